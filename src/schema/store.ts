import type { Types } from 'mongoose';
import { notFound } from '../errors.ts';
import type { AnyResource } from './resource.ts';

/**
 * What can be done to a resource's documents; routes, scripts and commands all go through here.
 * Values come validated; the answers are plain documents as MongoDB stores them.
 */

/** Longest time that MongoDB may spend on one query, in milliseconds. */
export const QUERY_TIME = 2_000;

/** A document as MongoDB stores it. */
export type Document = { _id: Types.ObjectId } & Record<string, unknown>;

export async function read(resource: AnyResource, id: Types.ObjectId): Promise<Document> {
  const found = await resource.model.findById(id).maxTimeMS(QUERY_TIME).lean<Document>();
  return found ?? missing();
}

export async function create(resource: AnyResource, body: object): Promise<Document> {
  const created = await resource.model.create({ ...resource.defaults, ...body });
  return created.toObject();
}

/** Everything that a client may write becomes what the body says, or its default. */
export const replace = (resource: AnyResource, id: Types.ObjectId, body: object) =>
  update(resource, id, { ...resource.defaults, ...body });

/** Only what the patch names changes. */
export async function update(resource: AnyResource, id: Types.ObjectId, patch: object): Promise<Document> {
  const updated = await resource.model
    .findByIdAndUpdate(id, { $set: patch }, { returnDocument: 'after' })
    .maxTimeMS(QUERY_TIME)
    .lean<Document>();
  return updated ?? missing();
}

export async function remove(resource: AnyResource, id: Types.ObjectId): Promise<void> {
  const { deletedCount } = await resource.model.deleteOne({ _id: id }).maxTimeMS(QUERY_TIME);
  if (deletedCount === 0) missing();
}

const missing = (): never => {
  throw notFound();
};
