import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { objectIn } from '../../src/schema/columns.ts';
import { leadsIndex } from '../../src/schema/indexes.ts';
import type { Reference } from '../../src/schema/resource.ts';
import { type FieldMap, kindOf } from './convert.ts';

type Fields = Record<string, z.ZodType>;

/** Each field from the column of the same name. */
export const ownNames = (fields: Fields): FieldMap =>
  Object.fromEntries(Object.keys(fields).map((name) => [name, { from: name }]));

/** Throws an Error that names all faults of the file. */
export async function readMap(path: string, fields: Fields, references: Reference[] = []): Promise<FieldMap> {
  const unusable = (faults: string) => new Error(`The map ${path} cannot be used:\n${faults}`);
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw unusable(`  ${(error as Error).message}`);
  }
  const result = mapSchema(fields, references).safeParse(json);
  if (result.success) return result.data as FieldMap;
  throw unusable(result.error.issues.flatMap((issue) => explain(issue, fields)).join('\n'));
}

const mapSchema = (fields: Fields, references: Reference[]) =>
  z.strictObject(
    Object.fromEntries(
      Object.entries(fields).map(([name, field]) => {
        const source = sourceSchema(
          field,
          references.find((reference) => reference.field === name),
        );
        const isOptional = name.includes('.') || objectIn(field) || field.safeParse(undefined).success;
        return [name, isOptional ? source.optional() : source];
      }),
    ),
    'must be an object of fields',
  );

function sourceSchema(field: z.ZodType, reference: Reference | undefined) {
  const kind = kindOf(field);
  const source = z.strictObject(
    {
      from: z.string(COLUMN).min(1, COLUMN),
      ...(kind === 'array' && { split: z.string('must be a text').min(1, 'must not be empty').optional() }),
      ...(reference && {
        find: keyOf(reference).optional(),
        create: z.boolean('must be true or false').optional(),
      }),
      ...(kind === 'string' && { pad: z.int(LENGTH).min(1, LENGTH).max(100, LENGTH).optional() }),
    },
    {
      error: ({ code, input }) =>
        code === 'invalid_type' ? (input === undefined ? MISSING : SOURCE) : undefined,
    },
  );
  return z.preprocess((short) => (typeof short === 'string' ? { from: short } : short), source);
}

/** A field by which documents of the target can be found. */
const keyOf = ({ target }: Reference) => {
  const keys = Object.keys(target.fields).filter(
    (field) => target.paths.get(field)?.kind === 'text' && leadsIndex(target, field),
  );
  return z.enum(
    keys,
    `must be a text of ${target.collection} that leads an index: ${keys.join(', ') || 'there is none'}`,
  );
};

const COLUMN = 'must be the name of a column';
const SOURCE = `${COLUMN}, or an object with "from"`;
const MISSING = 'is missing: this field is required; name its column';
const LENGTH = 'must be a length from 1 to 100';

const explain = (issue: z.core.$ZodIssue, fields: Fields): string[] =>
  issue.code === 'unrecognized_keys'
    ? issue.keys.map((key) =>
        issue.path.length === 0
          ? `  ${key}: is not a field; the fields are ${Object.keys(fields).join(', ')}`
          : `  ${issue.path.join('.')}.${key}: is not an option of this field; options are "from", "split" for lists, "pad" for texts, "find" and "create" for references`,
      )
    : [`  ${issue.path.join('.') || 'The file'}: ${issue.message}`];

/** Throws an Error that names the columns of a map that the header lacks or repeats. */
export function checkSources(map: FieldMap, columns: string[]): void {
  const times = (name: string) => columns.filter((column) => column === name).length;
  const faulty = [...new Set(Object.values(map).map(({ from }) => from))].filter((name) => times(name) !== 1);
  if (faulty.length === 0) return;
  const list = faulty.map((name) => `  ${name} ${times(name) === 0 ? 'is missing' : 'is repeated'}`);
  throw new Error(`The header does not fit:\n${list.join('\n')}\nIt has ${columns.join(', ')}.`);
}

/** The same for a file without a map, whose columns must all be fields. */
export function checkOwnNames(fields: Fields, columns: string[]): void {
  const unknown = columns.filter((column) => !Object.hasOwn(fields, column));
  if (unknown.length > 0)
    throw new Error(
      `The header names columns that are not fields: ${unknown.map((name) => JSON.stringify(name)).join(', ')}.\n` +
        `The fields are ${Object.keys(fields).join(', ')}; a map (--map) can rename columns and leave them out.`,
    );
  checkSources(Object.fromEntries(columns.map((from) => [from, { from }])), columns);
}
