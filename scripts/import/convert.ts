import type { z } from 'zod';
import { objectIn } from '../../src/schema/columns.ts';

/**
 * The map of an import: the column (in NDJSON: property) of each field, and how to convert it:
 *
 *     {
 *       "title": "name of the column",
 *       "authors": { "from": "names", "split": ", " },
 *       "isbn": { "from": "isbn", "pad": 10 },
 *       "tags": { "from": "genres", "split": ";", "find": "name", "create": true }
 *     }
 *
 * `split` splits a text into a list; `pad` adds leading zeros to a text that is shorter. `find` is for references: the
 * cell contains this field of the referenced document, and `create` creates missing ones. In NDJSON, `a.b` is a property
 * inside another. The rest follows from the field's type: a text becomes a number (`2008.0` is 2008), true or false, or
 * parsed JSON; an empty cell becomes null, or is left out if the field is not nullable and so gets its default.
 */
export type FieldMap = Record<string, Source>;

export interface Source {
  from: string;
  split?: string | undefined;
  pad?: number | undefined;
  find?: string | undefined;
  create?: boolean | undefined;
}

type Convert = (value: unknown) => unknown;

/** Compiles a map into a function from a row to the JSON of a document. */
export function converter(map: FieldMap, fields: Record<string, z.ZodType>): Convert {
  const entries = Object.entries(map).map(([name, source]) => ({
    name,
    from: source.from,
    convert: convertTo(fields[name] as z.ZodType, source),
  }));
  return (row) => {
    // A value that is not an object is refused by the validation.
    if (row === null || typeof row !== 'object' || Array.isArray(row)) return row;
    const json: Record<string, unknown> = {};
    for (const { name, from, convert } of entries) {
      const found = valueIn(row, from);
      const value = found === undefined ? undefined : convert(found);
      if (value !== undefined) put(json, name.split('.'), value);
    }
    return withNulls(json, fields);
  };
}

/** The value of a column, or of a property by its path. */
function valueIn(row: object, from: string): unknown {
  if (Object.hasOwn(row, from)) return (row as Record<string, unknown>)[from];
  const [first = '', ...rest] = from.split('.');
  const inner = rest.length > 0 && Object.hasOwn(row, first) && (row as Record<string, unknown>)[first];
  return inner !== null && typeof inner === 'object' ? valueIn(inner, rest.join('.')) : undefined;
}

/** A column can be a field inside an object, by its path: `start.city`. */
function put(json: Record<string, unknown>, [name = '', ...rest]: string[], value: unknown): void {
  if (rest.length === 0) json[name] = value;
  else {
    const inner = json[name];
    if (inner === null || typeof inner !== 'object') json[name] = {};
    put(json[name] as Record<string, unknown>, rest, value);
  }
}

/** An object whose cells are all empty becomes null, if it is nullable. */
function withNulls(
  json: Record<string, unknown>,
  fields: Record<string, z.ZodType>,
): Record<string, unknown> {
  for (const [name, field] of Object.entries(fields)) {
    const object = objectIn(field);
    const value = json[name];
    if (!object || value === null || typeof value !== 'object') continue;
    const inner = withNulls(value as Record<string, unknown>, object.shape as Record<string, z.ZodType>);
    if (Object.values(inner).every((one) => one === null) && field.safeParse(null).success) json[name] = null;
  }
  return json;
}

function convertTo(field: z.ZodType, { split, pad }: Source): Convert {
  const nothing = field.safeParse(null).success ? null : undefined;
  const mayBeBlank = field.safeParse('').success;
  const parse = split === undefined ? parserOf(field) : splitter(field, split);
  return (value) => {
    if (value === null || (value === '' && !mayBeBlank)) return nothing;
    // In NDJSON a text that lost its leading zeros may be a number.
    if (pad && (typeof value === 'string' || typeof value === 'number'))
      return String(value).padStart(pad, '0');
    return typeof value === 'string' ? parse(value) : value;
  };
}

function splitter(field: z.ZodType, separator: string): (text: string) => unknown[] {
  const parse = parserOf((wireOf(field) as z.ZodArray<z.ZodType>).element);
  return (text) => text.split(separator).map(parse);
}

/** Converts a text to the field's type. A text that does not fit stays a text, which the validation refuses. */
function parserOf(field: z.ZodType): (text: string) => unknown {
  switch (kindOf(field)) {
    case 'number':
      return (text) => (NUMBER.test(text) ? Number(text) : text);
    case 'boolean':
      return (text) => (text === 'true' ? true : text === 'false' ? false : text);
    case 'array':
    case 'object':
    case 'record':
    case 'union':
      return parseJson;
    default:
      return (text) => text;
  }
}

const NUMBER = /^\s*[+-]?\d+(\.\d+)?([eE][+-]?\d+)?\s*$/;

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
};

/** The type of a field's JSON side, in Zod's terms. */
export const kindOf = (field: z.ZodType): string => wireOf(field).def.type;

function wireOf(field: z.ZodType): z.ZodType {
  const def = field.def as z.core.$ZodTypes['_zod']['def'];
  if (def.type === 'nullable' || def.type === 'optional') return wireOf(def.innerType as z.ZodType);
  return def.type === 'pipe' ? wireOf(def.in as z.ZodType) : field;
}
