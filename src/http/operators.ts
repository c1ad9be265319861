import type { Path } from '../schema/paths.ts';

/** The operators of filters, and their conditions in MongoDB. */

type Condition = (path: Path, value: unknown) => object;

/** Values are always behind an operator, so that none can be mistaken for one. */
const compare =
  (operator: string): Condition =>
  (path, value) => ({ [storedName(path)]: { [operator]: value } });

export const OPERATORS = {
  eq: { words: 'is this', condition: compare('$eq') },
  ne: { words: 'is not this', condition: compare('$ne') },
  gt: { words: 'is greater than this', condition: compare('$gt') },
  gte: { words: 'is at least this', condition: compare('$gte') },
  lt: { words: 'is less than this', condition: compare('$lt') },
  lte: { words: 'is at most this', condition: compare('$lte') },
  in: { words: 'is one of these', condition: compare('$in') },
  nin: { words: 'is none of these', condition: compare('$nin') },
  all: { words: 'is each of these', condition: compare('$all') },
  exists: { words: 'is known (true) or null (false)', condition: exists },
  contains: { words: 'contains this, ignoring case', condition: contains },
} satisfies Record<string, { words: string; condition: Condition }>;

export type Operator = keyof typeof OPERATORS;

const ONE: Operator[] = ['eq', 'ne', 'in', 'nin'];
const TEXT: Operator[] = [...ONE, 'contains'];
const RANGE: Operator[] = ['gt', 'gte', 'lt', 'lte'];
const ORDERED: Operator[] = ['eq', 'ne', ...RANGE, 'in', 'nin'];

const OF_KIND: Partial<Record<Path['kind'], Operator[]>> = {
  text: TEXT,
  day: ORDERED,
  integer: ORDERED,
  number: ORDERED,
  decimal: ORDERED,
  instant: ORDERED,
  enum: ONE,
  id: ONE,
  boolean: ['eq', 'ne'],
};

/**
 * The operators that suit a field; none for an object, a map or a union. A single document by its id is another route.
 */
export function operatorsFor({ path, kind, many, optional }: Path): Operator[] {
  if (path === 'id') return ['in'];
  // No equality: times have milliseconds.
  if (path === 'createdAt' || path === 'updatedAt') return RANGE;
  const operators = OF_KIND[kind];
  if (!operators) return [];
  return [
    ...operators,
    ...(many ? (['all'] as const) : []),
    ...(many || optional ? (['exists'] as const) : []),
  ];
}

/** The name under which MongoDB stores a field. */
export const storedName = ({ path }: Pick<Path, 'path'>): string => (path === 'id' ? '_id' : path);

/**
 * Whether a document has a value there: a list at least one entry, a list of objects at least one entry with a value.
 */
function exists({ path, lists }: Path, value: unknown): object {
  const around = lists.filter((list) => list !== path);
  const isList = around.length < lists.length;
  if (around.length === 0 && isList) return { [path]: { [value ? '$nin' : '$in']: [null, []] } };
  if (around.length === 0) return { [path]: { [value ? '$ne' : '$eq']: null } };
  const names = [...around, path].map((name, i) =>
    i === 0 ? name : name.slice((around[i - 1] as string).length + 1),
  );
  const innermost: object = { [names.at(-1) as string]: isList ? { $nin: [null, []] } : { $ne: null } };
  const known = names
    .slice(0, -1)
    .reduceRight((inner, name) => ({ [name]: { $elemMatch: inner } }), innermost);
  return value ? known : { $nor: [known] };
}

/** Finds the characters literally, ignoring case: none is special. */
function contains({ path }: Pick<Path, 'path'>, value: unknown): object {
  const letters = String(value).replace(/[\\^$.*+?()[\]{}|#\s-]/g, '\\$&');
  return { [path]: { $regex: letters, $options: 'i' } };
}
