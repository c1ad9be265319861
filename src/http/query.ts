import { z } from 'zod';
import { setOf, text } from '../schema/fields.ts';
import type { AnyResource } from '../schema/resource.ts';

/** The query parameters of a list, made from what the list declares: each is one literal, typed parameter. */

type Leaf = z.core.$ZodTypes['_zod']['def'];

const OPERATORS = {
  eq: { suffix: '', mongo: '$eq', words: 'is' },
  gt: { suffix: '[gt]', mongo: '$gt', words: 'is greater than' },
  gte: { suffix: '[gte]', mongo: '$gte', words: 'is at least' },
  lt: { suffix: '[lt]', mongo: '$lt', words: 'is less than' },
  lte: { suffix: '[lte]', mongo: '$lte', words: 'is at most' },
} as const;
type Operator = keyof typeof OPERATORS;

interface Filter {
  parameter: string;
  field: string;
  mongo: string;
  schema: z.ZodType;
}

export function filters({ name, fields, document }: AnyResource, names: readonly string[]): Filter[] {
  return names.flatMap((field) => {
    if (!(field in document.shape))
      throw new Error(`${name} cannot be filtered by ${field}: no answer shows it.`);
    const { value, operators, list } = kindOf(fields[field] as z.ZodType, field);
    return operators.map((operator) => {
      const { suffix, mongo, words } = OPERATORS[operator];
      const description = `Only where ${list ? `one of the ${field}` : field} ${words} this`;
      return {
        parameter: `${field}${suffix}`,
        field,
        mongo,
        schema: value.meta({ ...value.meta(), description }),
      };
    });
  });
}

/** MongoDB's filter for a query that has been checked. Values stand behind an operator, so none can be one. */
export function toFilter(declared: Filter[], query: Record<string, unknown>): Record<string, object> {
  const filter: Record<string, object> = {};
  for (const { parameter, field, mongo } of declared) {
    if (query[parameter] !== undefined) filter[field] = { ...filter[field], [mongo]: query[parameter] };
  }
  return filter;
}

/** How a field's values are written in a URL, and which operators make sense for them. */
function kindOf(
  schema: z.core.$ZodType,
  field: string,
): { value: z.ZodType; operators: Operator[]; list: boolean } {
  const def = schema._zod.def as Leaf;
  const all = Object.keys(OPERATORS) as Operator[];
  switch (def.type) {
    case 'nullable':
      return kindOf(def.innerType, field);
    case 'array':
      return { ...kindOf(def.element, field), operators: ['eq'], list: true };
    case 'string':
      return { value: text(1, 1000), operators: ['eq'], list: false };
    case 'enum':
      return { value: schema as z.ZodType, operators: ['eq'], list: false };
    case 'number':
      return {
        value: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
        operators: all,
        list: false,
      };
    case 'pipe':
      return {
        value: schema as z.ZodType,
        operators: (def.out._zod.def as Leaf).type === 'date' ? all : ['eq'],
        list: false,
      };
    default:
      throw new Error(
        `A list cannot be filtered by ${field}: there is no way to write a "${def.type}" in a URL.`,
      );
  }
}

/** A whole number in a URL. Number('') is 0 and Number('0x10') is 16, so the digits are checked first. */
export const integer = (minimum: number, maximum: number) =>
  z
    .codec(
      z.string().regex(/^-?\d{1,15}$/, 'must be a whole number'),
      z.int().min(minimum, `must be at least ${minimum}`).max(maximum, `must be at most ${maximum}`),
      { decode: Number, encode: String },
    )
    .meta({
      type: 'integer',
      ...(minimum > Number.MIN_SAFE_INTEGER && { minimum }),
      ...(maximum < Number.MAX_SAFE_INTEGER && { maximum }),
    });

/** Several of these words, each once, separated by commas. */
export const oneOrMore = (words: string[], description: string) =>
  z
    .codec(z.string(), setOf(z.enum(words, `must be among ${words.join(', ')}`), words.length), {
      decode: (text) => text.split(','),
      encode: (chosen) => chosen.join(','),
    })
    .meta({
      type: 'array',
      items: { type: 'string', enum: words },
      uniqueItems: true,
      description,
      param: { style: 'form', explode: false },
    });
