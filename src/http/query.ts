import { z } from 'zod';
import { anyDecimal } from '../schema/decimal.ts';
import { setOf, text } from '../schema/fields.ts';
import { indexText, leadsIndex } from '../schema/indexes.ts';
import { isHidden, requireReadable } from '../schema/access.ts';
import type { Path } from '../schema/paths.ts';
import type { AnyResource } from '../schema/resource.ts';
import { type Operator, OPERATORS, operatorsFor } from './operators.ts';

/** The query parameters of a list, made from what the list declares: each is one literal, typed parameter. */

export interface Filter {
  parameter: string;
  /** What it looks at. */
  paths: readonly string[];
  schema: z.ZodType;
  condition: (value: unknown) => object;
}

export function filters(resource: AnyResource, names: readonly string[]): Filter[] {
  const { name, paths } = resource;
  return names.flatMap((field) => {
    if (field in resource.computed || isHidden(resource, field))
      throw new Error(`${name} cannot be filtered by ${field}: it is not stored, or no answer shows it.`);
    const path = paths.get(field);
    if (!path) throw new Error(`${name} cannot be filtered by ${field}: it is no field.`);
    const operators = operatorsFor(path);
    if (operators.length === 0)
      throw new Error(
        `${name} cannot be filtered by ${field}: it is not one value. Filter by what it contains.`,
      );
    if (field !== 'id' && !leadsIndex(resource, field))
      throw new Error(
        `${name} cannot be filtered by ${field}: it leads no index. Add ${indexText({ [field]: 1, _id: 1 })} to its indexes.`,
      );
    return operators.map((operator) => {
      return {
        parameter: operator === 'eq' ? field : `${field}[${operator}]`,
        paths: [field],
        schema: describe(operandOf(operator, path), inWords(path, operator)),
        condition: (given) => OPERATORS[operator].condition(path, given),
      };
    });
  });
}

/** MongoDB's conditions for a query that has been checked. Refuses to filter by what the caller does not see. */
export function toConditions(
  resource: AnyResource,
  declared: Filter[],
  query: Record<string, unknown>,
): object[] {
  const used = declared.filter(({ parameter }) => query[parameter] !== undefined);
  requireReadable(resource, used);
  return used.map(({ parameter, condition }) => condition(query[parameter]));
}

const describe = (schema: z.ZodType, description: string) => schema.meta({ ...schema.meta(), description });

/** Of a list, that it is not this means that none of its entries is. */
function inWords({ path, many }: Path, operator: Operator): string {
  if (many && operator === 'ne') return `Only where none of the ${path} is this`;
  if (many && operator === 'nin') return `Only where none of the ${path} is one of these`;
  return `Only where ${many && operator !== 'all' ? `one of the ${path}` : path} ${OPERATORS[operator].words}`;
}

const operandOf = (operator: Operator, path: Path): z.ZodType => {
  if (operator === 'exists') return flag();
  if (operator === 'contains') return text(2, 100);
  const value = valueOf(path);
  return ['in', 'nin', 'all'].includes(operator) ? several(value, path.schema) : value;
};

/** How a field's values are written in a URL. The field's own limits do not matter: a filter may lie beyond them. */
function valueOf({ kind, schema }: Path): z.ZodType {
  switch (kind) {
    case 'text':
      return text(schema.safeParse('').success ? 0 : 1, 1000);
    case 'integer':
      return integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    case 'number':
      return fraction();
    case 'decimal':
      return anyDecimal();
    case 'boolean':
      return flag();
    case 'enum':
      return valueAmong([...((schema as z.ZodLiteral)._zod.values as Set<string>)]);
    default:
      return schema;
  }
}

/** One of the values of an enum, which may be numbers or booleans. */
function valueAmong(values: (string | number | boolean)[]): z.ZodType {
  const texts = z.enum(values.map(String), `must be one of ${values.join(', ')}`);
  if (typeof values[0] === 'string') return texts;
  const byText = new Map(values.map((value) => [String(value), value]));
  return z.codec(texts, z.literal(values), {
    decode: (text) => byText.get(text) as string,
    encode: String,
  });
}

/** A whole number in a URL. Number('') is 0 and Number('0x10') is 16, so the digits are checked first. */
export const integer = (minimum: number, maximum: number) =>
  z
    .codec(
      z.string().regex(/^-?\d{1,16}$/, 'must be a whole number'),
      z.int().min(minimum, `must be at least ${minimum}`).max(maximum, `must be at most ${maximum}`),
      { decode: Number, encode: String },
    )
    .meta({
      type: 'integer',
      ...(minimum > Number.MIN_SAFE_INTEGER && { minimum }),
      ...(maximum < Number.MAX_SAFE_INTEGER && { maximum }),
    });

/** A number in a URL, as JSON writes it. */
const fraction = () =>
  z
    .codec(
      z.string().regex(/^-?\d{1,400}(\.\d{1,400})?([eE][+-]?\d{1,3})?$/, 'must be a number, such as 4.5'),
      z.number('must be a number, such as 4.5'),
      { decode: Number, encode: String },
    )
    .meta({ type: 'number' });

export const flag = () =>
  z
    .codec(z.enum(['true', 'false'], 'must be true or false'), z.boolean(), {
      decode: (text) => text === 'true',
      encode: (value) => (value ? 'true' : 'false'),
    })
    .meta({ type: 'boolean' });

const LIST = { style: 'form', explode: true } as const;

/** Of a list: whether an escaped comma is a part of a value, because values may have commas. */
export const lists = z.registry<{ keepsCommas: boolean }>();

/** 1 to 100 values; see queryReader() for the ways in which clients write them. `field` takes what is looked for. */
export const several = <T extends z.ZodType>(value: T, field: z.ZodType = value) =>
  z
    .array(value)
    .min(1, 'must have a value')
    .max(100)
    .meta({ param: LIST })
    .register(lists, { keepsCommas: mayHaveCommas(field) });

/** Asked for each operator of a field, in each of its lists: it takes a while, and is told once. */
const mayHaveCommas = (schema: z.ZodType): boolean => {
  const known = commas.get(schema) ?? admitsCommas(schema);
  commas.set(schema, known);
  return known;
};

const commas = new WeakMap<z.ZodType, boolean>();

/** As far as the JSON Schema tells. */
function admitsCommas(schema: z.ZodType): boolean {
  const { type, enum: words, pattern, format } = z.toJSONSchema(schema, { io: 'input' });
  if (words) return words.some((word) => String(word).includes(','));
  if (type !== 'string' || format === 'date-time') return false;
  return !pattern || ['a,b', 'A, B', '1,2'].some((text) => new RegExp(pattern, 'u').test(text));
}

/** Several of these words, each once. */
export const oneOrMore = (words: string[], description: string) =>
  setOf(z.enum(words, `must be among ${words.join(', ')}`), words.length)
    .min(1, 'must have a value')
    .meta({ description, uniqueItems: true, param: LIST });
