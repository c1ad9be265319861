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
 * Keyset paging: a page starts behind a document in the sort order, found by an index. So the last page costs as much
 * as the first, and documents that are added or removed meanwhile shift no others.
 */

const { EJSON } = mongoose.mongo.BSON;

/** A field to sort by. The last one of a sort is unique, so that the order is total. */
export interface SortField {
  field: string;
  direction: 1 | -1;
}

/** The time limit of a search through texts, in milliseconds. */
const SEARCH_TIME = 5_000;

/** Whether the conditions search in texts, which no index answers directly. */
export const isSearch = (conditions: object[]): boolean =>
  conditions.some((condition) =>
    Object.entries(condition).some(
      ([key, value]) =>
        key === '$text' ||
        (['$and', '$or', '$nor'].includes(key) ? isSearch(value) : '$regex' in Object(value)),
    ),
  );

/** The time limit of a query with these conditions. */
export const timeFor = (conditions: object[]): number => (isSearch(conditions) ? SEARCH_TIME : QUERY_TIME);

/** The most documents that a full-text search ranks. More would take too long, and such a common word says little. */
export const MAX_RANKED = 10_000;

/** The field by which a full-text search is sorted: the score. */
export const SCORE = '_score';

export interface PageRequest {
  /** The identity of the list; a cursor is only valid for the same one. */
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

/** With too many matches, ranking would take too long: the newest come first instead. */
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

/** The documents that meet the conditions, in order, starting at a position. */
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
  // The score is known only after a document has been found, so the position needs a stage of its own.
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

/** The query for all documents that meet the conditions, in order. */
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

/** The fields that a cursor is made of are read too. */
function withSort(projection: Record<string, 1> | undefined, sort: SortField[]) {
  if (!projection) return undefined;
  const isRead = (field: string) =>
    Object.keys(projection).some((path) => field === path || field.startsWith(`${path}.`));
  const more = sort.filter(({ field }) => !isRead(field));
  return { ...projection, ...Object.fromEntries(more.map(({ field }) => [field, 1 as const])) };
}

export const all = (conditions: object[]): object => (conditions.length > 0 ? { $and: conditions } : {});

/** The filter for documents behind `position`: equal in the first fields, beyond it in the next one. */
function beyond(sort: SortField[], position: unknown[]): object {
  const branches = sort.flatMap(({ field, direction }, i) => {
    const equal = Object.fromEntries(sort.slice(0, i).map(({ field }, j) => [field, { $eq: position[j] }]));
    return past(field, direction, position[i]).map((condition) => ({ ...equal, [field]: condition }));
  });
  return branches.length === 1 ? (branches[0] as object) : { $or: branches };
}

/**
 * MongoDB sorts null first, but its comparisons match values of one type only. Every field but the id can be null: in
 * documents older than the field it is missing, which counts as null.
 */
const past = (field: string, direction: 1 | -1, value: unknown): object[] => {
  if (direction === 1) return [value === null ? { $ne: null } : { $gt: value }];
  if (value === null) return [];
  return field === '_id' ? [{ $lt: value }] : [{ $lt: value }, { $eq: null }];
};

/** A cursor holds the sorted fields of a document, and a digest that binds them to filter and sort. */
function encodeCursor(position: unknown[], bond: string): string {
  const values = EJSON.stringify(position);
  return Buffer.from(`["${digest(values, bond)}",${values.slice(1)}`).toString('base64url');
}

/** Decodes a cursor: its position, and which of these orders it belongs to. */
function decodeCursor(
  cursor: string,
  resource: AnyResource,
  orders: SortField[][],
  bondOf: (sort: SortField[]) => string,
): { sort: SortField[]; position: unknown[] } {
  // The digest is no secret, so a forged cursor may have any values: only those of the field's own type are used.
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
        seal === digest(EJSON.stringify(position), bondOf(one)),
    );
    if (sort) return { sort, position };
  } catch {
    // Not JSON, or a value of another type: the same error as for any string that is not a cursor of this list.
  }
  throw new Problem(
    'invalid_cursor',
    'This cursor belongs to another list, filter or sort; start again without one.',
  );
}

const digest = (values: string, bond: string): string =>
  createHash('sha256').update(bond).update(values).digest('base64url').slice(0, 16);
