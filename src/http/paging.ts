import { createHash } from 'node:crypto';
import mongoose from 'mongoose';
import { Problem } from '../errors.ts';
import { database } from '../mongo/connect.ts';
import { readSome } from '../mongo/documents.ts';
import { isObjectId } from '../schema/fields.ts';
import type { Showing } from '../schema/include.ts';
import { valueOf } from '../schema/json/elements.ts';
import { type Row, type Rows, writeAll } from '../schema/json/read.ts';
import { BY_ID, modelOf, OF_THE_COLLECTION, QUERY_TIME } from '../schema/model.ts';
import { isOf } from '../schema/nodes.ts';
import { type Path, valueAt } from '../schema/paths.ts';
import type { AnyResource } from '../schema/resource.ts';

/**
 * Keyset paging: a page starts where the sort order goes on after a document, found by an index, so the
 * last page costs what the first does, and documents that come or go meanwhile move no other.
 */

const { EJSON } = mongoose.mongo.BSON;

/** A field to sort by. The last one of a sort is unique, so that no two documents are equal. */
export interface SortField {
  field: string;
  direction: 1 | -1;
}

/** Longest time for a search through texts, in milliseconds. */
const SEARCH_TIME = 5_000;

/** Whether something is looked for in texts: no index leads there at once. */
export const isSearch = (conditions: object[]): boolean =>
  conditions.some((condition) =>
    Object.entries(condition).some(
      ([key, value]) =>
        key === '$text' ||
        (['$and', '$or', '$nor'].includes(key) ? isSearch(value) : '$regex' in Object(value)),
    ),
  );

/** How long MongoDB may take for what meets these conditions. */
export const timeFor = (conditions: object[]): number => (isSearch(conditions) ? SEARCH_TIME : QUERY_TIME);

/** How many documents a full-text search compares. More would take too long, and so common a word tells little. */
export const MAX_RANKED = 10_000;

/** The field by which a full-text search is sorted: how well a document fits. */
export const SCORE = '_score';

export interface PageRequest {
  /** What was asked for: a cursor is good for the same question only. */
  question: unknown;
  /** All of them must hold. */
  conditions: object[];
  sort: SortField[];
  limit: number;
  after?: string | undefined;
  before?: string | undefined;
  offset?: number | undefined;
  showing: Showing;
}

export async function readPage(
  resource: AnyResource,
  { question, conditions, sort: wanted, limit, after, before, offset = 0, showing }: PageRequest,
) {
  const bondOf = (sort: SortField[]): string =>
    EJSON.stringify([resource.collection, question, sort.map(({ field, direction }) => [field, direction])]);
  const backwards = before !== undefined;
  const cursor = before ?? after;
  const { sort, position } =
    cursor === undefined
      ? { sort: await attainable(resource, wanted, conditions), position: undefined }
      : decodeCursor(cursor, resource, [wanted, withoutScore(wanted)], bondOf);
  const order = backwards ? sort.map((by) => ({ ...by, direction: -by.direction as 1 | -1 })) : sort;
  const bond = bondOf(sort);

  const { rows, hasMore } = await search(resource, { conditions, order, position, offset, limit, showing });
  if (backwards) rows.reverse();

  const cursorOf = (row: Row | undefined) =>
    row
      ? encodeCursor(
          sort.map(({ field }) => storedAt(row.stored, field) ?? null),
          bond,
        )
      : null;
  return {
    items: rows.map(({ json }) => json),
    page: {
      limit,
      next: backwards || hasMore ? cursorOf(rows.at(-1)) : null,
      prev: (backwards ? hasMore : position || offset > 0) ? cursorOf(rows[0]) : null,
    },
  };
}

const storedAt = (stored: Buffer, path: string): unknown => {
  const [field = '', ...rest] = path.split('.');
  const value = valueOf(stored, 0, field);
  return rest.length === 0 ? value : valueAt(value, rest.join('.'));
};

const withoutScore = (sort: SortField[]): SortField[] => sort.filter(({ field }) => field !== SCORE);

/** The best of too many hits could not be told in time: then the newest come first. */
async function attainable(
  resource: AnyResource,
  wanted: SortField[],
  conditions: object[],
): Promise<SortField[]> {
  if (wanted[0]?.field !== SCORE) return wanted;
  const hits = await modelOf(resource).countDocuments(all(conditions), {
    limit: MAX_RANKED + 1,
    maxTimeMS: timeFor(conditions),
  });
  return hits > MAX_RANKED ? withoutScore(wanted) : wanted;
}

interface Search {
  conditions: object[];
  order: SortField[];
  position: unknown[] | undefined;
  offset: number;
  limit: number;
  showing: Showing;
}

/** What meets the conditions, in order, from a position on. */
async function search(
  resource: AnyResource,
  { conditions, order, position, offset, limit, showing: { projection, joins, answer } }: Search,
): Promise<Rows> {
  const rest = position ? [beyond(order, position)] : [];
  if (order[0]?.field !== SCORE)
    return query(resource, [...conditions, ...rest], order, withSort(projection, order))
      .skip(offset)
      .limit(limit)
      .populate(joins)
      .bytes(answer);
  // How well a document fits is known only once it has been found, so what lies beyond is a stage of its own.
  const cursor = database()
    .collection(resource.collection)
    .aggregate(
      [
        { $match: all(conditions) },
        { $set: { [SCORE]: { $meta: 'textScore' } } },
        ...rest.map((condition) => ({ $match: condition })),
        { $sort: sortOf(order) },
        { $skip: offset },
        { $limit: limit + 1 },
        ...(projection ? [{ $project: { ...projection, [SCORE]: 1 } }] : []),
      ],
      {
        maxTimeMS: timeFor(conditions),
        ...(resource.collation && { collation: resource.collation }),
        raw: true,
      },
    );
  const { documents, isCut } = await readSome(cursor);
  const { rows, hasMore } = await writeAll(documents.slice(0, limit), joins, answer);
  return { rows, hasMore: hasMore || isCut || documents.length > limit };
}

/** The query for all that meets the conditions, in order. */
export const query = (
  resource: AnyResource,
  conditions: object[],
  order: SortField[],
  projection: Record<string, 1> | undefined,
) => {
  const isById = order[0]?.field === '_id';
  const isWhole = conditions.length === 0;
  const found = modelOf(resource)
    .find(all(isById && !isWhole ? [...conditions, BY_ID] : conditions), projection)
    .sort(sortOf(order))
    .maxTimeMS(timeFor(conditions));
  return isById && isWhole ? found.collation(OF_THE_COLLECTION) : found;
};

const sortOf = (order: SortField[]): Record<string, 1 | -1> =>
  Object.fromEntries(order.map(({ field, direction }) => [field, direction]));

/** What a cursor is made of is read, too. */
function withSort(projection: Record<string, 1> | undefined, sort: SortField[]) {
  if (!projection) return undefined;
  const isRead = (field: string) =>
    Object.keys(projection).some((path) => field === path || field.startsWith(`${path}.`));
  const more = sort.filter(({ field }) => !isRead(field));
  return { ...projection, ...Object.fromEntries(more.map(({ field }) => [field, 1 as const])) };
}

export const all = (conditions: object[]): object => (conditions.length > 0 ? { $and: conditions } : {});

/** The filter for what comes after `position`: equal in the first fields, beyond it in the next. */
function beyond(sort: SortField[], position: unknown[]): object {
  const branches = sort.flatMap(({ field, direction }, i) => {
    const equal = Object.fromEntries(sort.slice(0, i).map(({ field }, j) => [field, { $eq: position[j] }]));
    return past(field, direction, position[i]).map((condition) => ({ ...equal, [field]: condition }));
  });
  return branches.length === 1 ? (branches[0] as object) : { $or: branches };
}

/**
 * MongoDB sorts null before everything else, but compares values of one type only. Every field but the id can be
 * null: in a document that is older than the field it is missing, which is the same.
 */
const past = (field: string, direction: 1 | -1, value: unknown): object[] => {
  if (direction === 1) return [value === null ? { $ne: null } : { $gt: value }];
  if (value === null) return [];
  return field === '_id' ? [{ $lt: value }] : [{ $lt: value }, { $eq: null }];
};

/** A cursor holds the sorted fields of a document and a digest that binds them to their filter and sort. */
const encodeCursor = (position: unknown[], bond: string): string =>
  Buffer.from(EJSON.stringify([digest(position, bond), ...position])).toString('base64url');

/** Where a cursor goes on, and by which of these orders it was made. */
function decodeCursor(
  cursor: string,
  resource: AnyResource,
  orders: SortField[][],
  bondOf: (sort: SortField[]) => string,
): { sort: SortField[]; position: unknown[] } {
  // The digest is no secret, and documents may have values that no rule allows: only the field's own type goes on.
  const fits = (value: unknown, { field }: SortField): boolean => {
    if (field === SCORE) return typeof value === 'number';
    if (field === '_id') return isObjectId(value);
    return value === null || isOf((resource.paths.get(field) as Path).kind, value);
  };
  try {
    const [seal, ...position] = EJSON.parse(Buffer.from(cursor, 'base64url').toString()) as unknown[];
    const sort = orders.find(
      (one) =>
        position.length === one.length &&
        one.every((by, i) => fits(position[i], by)) &&
        seal === digest(position, bondOf(one)),
    );
    if (sort) return { sort, position };
  } catch {
    // Not JSON, or a value of another type: the same answer as for any other string that is no cursor of this list.
  }
  throw new Problem(
    'invalid_cursor',
    'Start again without a cursor: this one was made for another list, filter or sort.',
  );
}

const digest = (position: unknown[], bond: string): string =>
  createHash('sha256').update(bond).update(EJSON.stringify(position)).digest('base64url').slice(0, 16);
