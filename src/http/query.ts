import { z } from 'zod';
import { setOf, text } from '../schema/fields.ts';
import { isHidden, requireReadable } from '../schema/access.ts';
import { type AnyResource, indexText } from '../schema/resource.ts';

/** The query parameters of a list, made from what the list declares: each is one literal, typed parameter. */

type Leaf = z.core.$ZodTypes['_zod']['def'];
type Condition = (field: string, value: unknown) => object;

/** Values stand behind an operator, so that none can be taken for one. */
const compare =
  (operator: string): Condition =>
  (field, value) => ({ [field]: { [operator]: value } });

export const OPERATORS = {
  eq: { words: 'is', condition: compare('$eq') },
  ne: { words: 'is not', condition: compare('$ne') },
  gt: { words: 'is greater than', condition: compare('$gt') },
  gte: { words: 'is at least', condition: compare('$gte') },
  lt: { words: 'is less than', condition: compare('$lt') },
  lte: { words: 'is at most', condition: compare('$lte') },
  in: { words: 'is one of', condition: compare('$in') },
  nin: { words: 'is none of', condition: compare('$nin') },
  exists: {
    words: 'is known (true) or null (false)',
    condition: (field: string, value: unknown) => ({ [field]: { [value ? '$ne' : '$eq']: null } }),
  },
  contains: { words: 'contains, whatever the case,', condition: contains },
} satisfies Record<string, { words: string; condition: Condition }>;

type Operator = keyof typeof OPERATORS;

const ONE: Operator[] = ['eq', 'ne', 'in', 'nin'];
const TEXT: Operator[] = [...ONE, 'contains'];
const ORDERED: Operator[] = ['eq', 'ne', 'gt', 'gte', 'lt', 'lte', 'in', 'nin'];

export interface Filter {
  parameter: string;
  /** What it looks at. */
  paths: readonly string[];
  schema: z.ZodType;
  condition: (value: unknown) => object;
}

export function filters(resource: AnyResource, names: readonly string[]): Filter[] {
  const { name, document, fields, indexes } = resource;
  return names.flatMap((field) => {
    if (field in resource.computed || isHidden(resource, field))
      throw new Error(`${name} cannot be filtered by ${field}: it is not stored, or no answer shows it.`);
    if (!indexes.some(({ key, where }) => Object.keys(key)[0] === field && !where))
      throw new Error(
        `${name} cannot be filtered by ${field}: it leads no index. Add ${indexText({ [field]: 1, _id: 1 })} to its indexes.`,
      );
    const { operators, ...kind } = kindOf((fields[field] ?? document.shape[field]) as z.ZodType, field);
    return operators.map((operator) => {
      const { condition } = OPERATORS[operator];
      return {
        parameter: operator === 'eq' ? field : `${field}[${operator}]`,
        paths: [field],
        schema: describe(operandOf(operator, kind), inWords(field, operator, kind.list)),
        condition: (given) => condition(field, given),
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
function inWords(field: string, operator: Operator, list: boolean): string {
  if (list && operator === 'ne') return `Only where none of the ${field} is this`;
  if (list && operator === 'nin') return `Only where none of the ${field} is one of these`;
  const object = operator === 'exists' ? '' : operator === 'in' || operator === 'nin' ? ' these' : ' this';
  return `Only where ${list ? `one of the ${field}` : field} ${OPERATORS[operator].words}${object}`;
}

const operandOf = (operator: Operator, { value, field }: Omit<Kind, 'operators'>): z.ZodType => {
  if (operator === 'in' || operator === 'nin') return several(value, field);
  if (operator === 'exists') return flag();
  return operator === 'contains' ? text(2, 100) : value;
};

interface Kind {
  /** One value as it stands in a URL. */
  value: z.ZodType;
  /** What the field itself takes. */
  field: z.ZodType;
  operators: Operator[];
  list: boolean;
}

/** How a field's values are written in a URL, and which operators make sense for them. */
function kindOf(schema: z.core.$ZodType, field: string): Kind {
  const one = { list: false, field: schema as z.ZodType, value: schema as z.ZodType };
  const def = schema._zod.def as Leaf;
  switch (def.type) {
    case 'nullable': {
      const kind = kindOf(def.innerType, field);
      return { ...kind, operators: [...kind.operators, 'exists'] };
    }
    case 'array':
      return { ...kindOf(def.element, field), list: true };
    case 'string':
      return { ...one, value: text(one.field.safeParse('').success ? 0 : 1, 1000), operators: TEXT };
    case 'enum':
      return { ...one, operators: ONE };
    case 'boolean':
      return { ...one, value: flag(), operators: ['eq', 'ne'] };
    case 'number':
      return {
        ...one,
        value: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
        operators: ORDERED,
      };
    case 'pipe': {
      const isDate = (def.out._zod.def as Leaf).type === 'date';
      return { ...one, operators: isDate ? ORDERED : ONE };
    }
    default:
      throw new Error(
        `A list cannot be filtered by ${field}: there is no way to write a "${def.type}" in a URL.`,
      );
  }
}

/** Looks for the letters as they stand, in whatever case: nothing in them has a meaning of its own. */
function contains(field: string, value: unknown): object {
  const letters = String(value).replace(/[\\^$.*+?()[\]{}|#\s-]/g, '\\$&');
  return { [field]: { $regex: letters, $options: 'i' } };
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

/** As far as the JSON Schema tells. */
function mayHaveCommas(schema: z.ZodType): boolean {
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
