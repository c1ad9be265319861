import { z } from 'zod';
import { setOf } from '../schema/fields.ts';

/** How values are written in a URL: each query parameter has a typed schema over strings. */

/** A value of an enum, which may consist of numbers or booleans. */
export function valueAmong(values: (string | number | boolean)[]): z.ZodType {
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
export const fraction = () =>
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

/** For a list: whether an escaped comma can be part of a value. */
export const lists = z.registry<{ keepsCommas: boolean }>();

/** 1 to 100 values; see queryReader() for the forms that clients may use. `field` is the schema of one value. */
export const several = <T extends z.ZodType>(value: T, field: z.ZodType = value) =>
  z
    .array(value)
    .min(1, 'must have a value')
    .max(100)
    .register(lists, { keepsCommas: mayHaveCommas(field) });

/** Memoized: it is needed for each operator of a field in each of its lists, and is slow. */
const mayHaveCommas = (schema: z.ZodType): boolean => {
  const known = commas.get(schema) ?? admitsCommas(schema);
  commas.set(schema, known);
  return known;
};

const commas = new WeakMap<z.ZodType, boolean>();

/** Determined from the JSON Schema. */
function admitsCommas(schema: z.ZodType): boolean {
  const { type, enum: words, pattern, format } = z.toJSONSchema(schema, { io: 'input' });
  if (words) return words.some((word) => String(word).includes(','));
  if (type !== 'string' || format === 'date-time') return false;
  return !pattern || ['a,b', 'A, B', '1,2'].some((text) => new RegExp(pattern, 'u').test(text));
}

/** One or more of these words, without repetition. */
export const oneOrMore = (words: string[], description: string) =>
  setOf(z.enum(words, `must be among ${words.join(', ')}`), words.length)
    .min(1, 'must have a value')
    .meta({ description, uniqueItems: true, maxItems: undefined });
