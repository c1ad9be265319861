import { type Model, Types } from 'mongoose';
import type { z } from 'zod';
import { notFound, Problem } from '../errors.ts';
import { hold, remove } from './integrity.ts';
import { type Reference, type Target, targetsOf } from './references.ts';
import type { AnyResource } from './resource.ts';

/**
 * What can be done to a resource's documents; routes, commands and scripts all go through here. Values come
 * validated; the answers are plain documents as MongoDB stores them. What writes runs inside transaction().
 */

/** Longest time that MongoDB may spend on one query, in milliseconds. */
export const QUERY_TIME = 2_000;

/** A document as MongoDB stores it. */
export type DocumentOf<R extends AnyResource> = R['model'] extends Model<infer D> ? D : never;

export async function read<R extends AnyResource>(resource: R, id: Types.ObjectId): Promise<DocumentOf<R>> {
  const found = await resource.model.findById(id).maxTimeMS(QUERY_TIME).lean();
  return found ?? missing();
}

/** The id may be made by the caller, who can so refer to the document before it is there. */
export async function create<R extends AnyResource>(
  resource: R,
  body: object,
  id: Types.ObjectId = new Types.ObjectId(),
): Promise<DocumentOf<R>> {
  const document = (await resource.model.create({ ...resource.defaults, ...body, _id: id })).toObject();
  await hold(targetsOf(resource, document));
  return document as DocumentOf<R>;
}

/** Everything that a client may write becomes what the body says, or its default. */
export const replace = <R extends AnyResource>(resource: R, id: Types.ObjectId, body: object) =>
  update(resource, id, { ...resource.blank, ...body });

/** Only what the patch names changes. */
export async function update<R extends AnyResource>(
  resource: R,
  id: Types.ObjectId,
  patch: Record<string, unknown>,
): Promise<DocumentOf<R>> {
  // A patch that names nothing changes nothing, the time of the last change neither.
  if (Object.keys(patch).length === 0) return read(resource, id);
  const targets = targetsOf(resource, patch);
  const before = targets.length > 0 ? targetsOf(resource, await read<AnyResource>(resource, id)) : [];
  const updated = await resource.model
    .findByIdAndUpdate(id, { $set: patch }, { returnDocument: 'after' })
    .maxTimeMS(QUERY_TIME)
    .lean();
  // What it referred to before exists already, and cannot have gone meanwhile.
  await hold(targets.filter((target) => !before.some((known) => isSame(known, target))));
  return updated ?? missing();
}

export { remove };

/**
 * Puts an id into a list, unless it stands there; the list's limit holds. One atomic operation, so that of two
 * that add at once none is lost.
 */
export async function addToSet(
  { from, field, target }: Reference,
  id: Types.ObjectId,
  targetId: Types.ObjectId,
): Promise<void> {
  const max = maxLength(from.fields[field]);
  const added = await from.model.updateOne(
    { _id: id, [field]: { $ne: targetId }, [`${field}.${max - 1}`]: { $exists: false } },
    { $push: { [field]: targetId } },
  );
  if (added.matchedCount > 0) return hold([{ resource: target, id: targetId }]);
  const found = await from.model.findById(id, { [field]: 1 }).lean<Record<string, Types.ObjectId[]>>();
  if (!found) return missing();
  if (found[field]?.some((known) => known.equals(targetId))) return;
  throw new Problem('validation_failed', `${field} has ${max} entries already, and may have no more.`);
}

/** Takes an id out of a list; that it does not stand there is no fault. */
export async function pull(
  { from, field }: Reference,
  id: Types.ObjectId,
  targetId: Types.ObjectId,
): Promise<void> {
  const { matchedCount } = await from.model.updateOne(
    { _id: id, [field]: targetId },
    { $pull: { [field]: targetId } },
  );
  if (matchedCount === 0 && !(await from.model.exists({ _id: id }))) missing();
}

/** How many entries a list may have. */
const maxLength = (list: z.ZodType | undefined): number =>
  list?.def.checks
    ?.map(({ _zod }) => (_zod.def as { maximum?: number }).maximum)
    .find((maximum) => maximum !== undefined) ?? 1_000;

const isSame = (a: Target, b: Target): boolean => a.resource === b.resource && a.id.equals(b.id);

const missing = (): never => {
  throw notFound();
};
