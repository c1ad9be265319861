import type { Types } from 'mongoose';
import { Problem } from '../../src/errors.ts';
import { transaction } from '../../src/mongo/transaction.ts';
import { modelOf } from '../../src/schema/model.ts';
import type { AnyResource } from '../../src/schema/resource.ts';
import { update } from '../../src/schema/store.ts';
import { type Document, type Made, toReason } from './document.ts';
import { type Reason, reason } from './row.ts';

/** The result for a row that already exists. */
export interface Updated {
  /** The document, if it has changed. */
  id?: Types.ObjectId;
  refused?: Reason[];
}

/** Changes the document with the row's id or unique value to what the row says; other fields stay. */
export async function updatePresent(
  resource: AnyResource,
  { document, given = [] }: Made & { document: Document },
): Promise<Updated> {
  const before = await modelOf(resource)
    .findOne({ $or: keysOf(resource, document) })
    .lean<Document>();
  if (!before) return { refused: [reason('not_found', 'no longer exists')] };
  const changes = Object.fromEntries(
    given.filter((field) => !STAMPS.includes(field)).map((field) => [field, document[field]]),
  );
  try {
    const after = await transaction(() => update(resource, before._id, changes));
    const isOther = String(after.updatedAt) !== String(before['updatedAt']);
    return isOther ? { id: before._id } : {};
  } catch (error) {
    if (!(error instanceof Problem) || error.status >= 500) throw error;
    return { refused: error.members.errors?.map(toReason) ?? [reason(error.code, error.message)] };
  }
}

const STAMPS = ['id', 'createdAt', 'updatedAt'];

/** The keys by which a row can exist already: its id, and each unique index for which it has all values. */
const keysOf = ({ indexes }: AnyResource, document: Document): object[] => [
  { _id: document._id },
  ...indexes
    .filter(({ unique, key }) => unique && Object.keys(key).every((field) => document[field] != null))
    .map(({ key }) => Object.fromEntries(Object.keys(key).map((field) => [field, { $eq: document[field] }]))),
];
