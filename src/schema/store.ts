import { type PipelineStage, type QueryOptions, Types, type UpdateQuery } from 'mongoose';
import type { z } from 'zod';
import { requireCreatable, requireOwn, restrict, visible, writable } from './policy.ts';
import { forbidden, notFound, Problem } from '../errors.ts';
import { noteChange } from './changes.ts';
import { completedOnce } from './defaults.ts';
import { type Preconditions, requireMatch } from './etag.ts';
import { hold, remove as removeReferred } from './integrity.ts';
import { loaderOf, modelOf, QUERY_TIME } from './model.ts';
import { type AnyResource, type DocumentOf, noun, type Reference } from './resource.ts';
import { refusedByRules, requireRules } from './rules.ts';
import { type Target, targetsOf } from './references.ts';

/**
 * What can be done to a resource's documents; routes, commands and scripts all go through here, and so all of them
 * see and change only what the caller may. Values come validated; the answers are plain documents as MongoDB stores
 * them. What writes runs inside transaction().
 */

export async function read<R extends AnyResource>(
  resource: R,
  id: Types.ObjectId,
  projection?: Record<string, 1>,
): Promise<DocumentOf<R>> {
  const condition = visible(resource);
  const found =
    condition || projection
      ? await modelOf<AnyResource>(resource)
          .findOne(restrict({ _id: id }, condition), projection)
          .maxTimeMS(QUERY_TIME)
          .lean()
      : await loaderOf<AnyResource>(resource)(id);
  return found ?? missing();
}

/** Refuses to go on where the caller sees no document with this id. */
export async function requireVisible(resource: AnyResource, id: Types.ObjectId): Promise<void> {
  const seen = restrict({ _id: id }, visible(resource));
  if (!(await modelOf(resource).exists(seen).maxTimeMS(QUERY_TIME))) missing();
}

/** A document that the caller may change. */
async function readWritable<R extends AnyResource>(
  resource: R,
  id: Types.ObjectId,
  right: 'update' | 'remove' = 'update',
): Promise<DocumentOf<R>> {
  const found = await modelOf<AnyResource>(resource)
    .findOne(restrict({ _id: id }, writable(resource, right)))
    .maxTimeMS(QUERY_TIME)
    .lean();
  return found ?? refuse(resource, id);
}

/** Why a document cannot be changed: it is another's or, as far as the caller can see, not there. */
async function refuse(resource: AnyResource, id: Types.ObjectId): Promise<never> {
  await read(resource, id);
  throw forbidden(`This ${noun(resource)} is another's.`);
}

/**
 * Refuses to go on with another version of a document than the caller knows; inside the transaction of the change.
 * A document that the caller may not change is refused first: preconditions are about what could be done (RFC 9110,
 * section 13.2.1).
 */
export async function requireVersion(
  resource: AnyResource,
  id: Types.ObjectId,
  preconditions: Preconditions,
): Promise<void> {
  requireMatch(resource, await readWritable(resource, id), preconditions);
}

/** The id may be made by the caller, who can so refer to the document before it is there. */
export async function create<R extends AnyResource>(
  resource: R,
  body: object,
  id: Types.ObjectId = new Types.ObjectId(),
): Promise<DocumentOf<R>> {
  const complete = completedOnce(resource, body);
  requireCreatable(resource, complete);
  const now = new Date();
  const made = { createdAt: now, updatedAt: now, ...complete, _id: id };
  requireRules(resource, made);
  const document = (await modelOf<AnyResource>(resource).create(made).catch(byRules(resource))).toObject();
  noteChange(resource, id, 'create');
  await hold(targetsOf(resource, document));
  for (const { afterCreate } of resource.hooks) await afterCreate?.(document);
  return document as DocumentOf<R>;
}

/** What is stored for what a create takes and is not stored as it comes: a hash for a password. */
export async function takeIn(
  { intake, hooks }: AnyResource,
  body: Record<string, unknown>,
): Promise<Record<string, unknown>> {
  for (const { beforeCreate } of hooks) await beforeCreate?.();
  if (!intake) return body;
  const isTaken = ([field]: [string, unknown]) => field in intake.fields;
  const entries = Object.entries(body);
  const given = Object.fromEntries(entries.filter(isTaken));
  const stored = await intake.toStored(given, body);
  return { ...stored, ...Object.fromEntries(entries.filter((entry) => !isTaken(entry))) };
}

type Changes = Record<string, unknown>;
type Stage = PipelineStage.Set | PipelineStage.Unset;

/** Only what the patch names changes; it may depend on the document as it is. */
export async function update<R extends AnyResource>(
  resource: R,
  id: Types.ObjectId,
  patch: Changes | ((current: DocumentOf<R>) => Changes),
): Promise<DocumentOf<R>> {
  const known = typeof patch === 'function' ? await readWritable(resource, id) : undefined;
  const changes = typeof patch === 'function' ? patch(known as DocumentOf<R>) : patch;
  // A patch that names nothing changes nothing, the time of the last change neither.
  if (Object.keys(changes).length === 0) return known ?? readWritable(resource, id);

  for (const { beforeChange } of resource.hooks) await beforeChange?.(id);
  const targets = targetsOf(resource, changes);
  const before =
    targets.length > 0 ? targetsOf(resource, (known ?? (await readWritable(resource, id))) as Changes) : [];
  requireOwn(resource, changes);
  // MongoDB refuses what breaks the rules that it knows, and says nothing of the others.
  if (known) requireRules(resource, { ...known, ...changes });
  const now = new Date();
  const updated = await change(resource, { _id: id }, setting(resource, changes, now), {
    timestamps: false,
    // Whatever the collection's own collation takes for equal, a change of case is a change.
    collation: { locale: 'simple' },
  });
  if (!updated) return refuse(resource, id);
  // Nothing was changed: then MongoDB has written nothing either.
  if (updated.updatedAt?.getTime() !== now.getTime()) return updated;
  settle(resource, updated);
  // What it referred to before exists already, and cannot have gone meanwhile.
  await hold(targets.filter((target) => !before.some((known) => isSame(known, target))));
  return updated;
}

/**
 * Sets fields, and the time of the change where one of them had another value. What a field is stored as by its former
 * name goes: as long as it is there, a server of the version before has stored it.
 */
const setting = ({ renamed }: AnyResource, changes: Changes, now: Date): Stage[] => {
  const values = Object.entries(changes).map(([field, value]) => [field, { $literal: value }] as const);
  const former = Object.keys(changes).flatMap((field) => renamed[field] ?? []);
  const same = values.map(([field, value]) => {
    // Missing is what answers show for it.
    const nothing = { $literal: Array.isArray(changes[field]) ? [] : null };
    return { $eq: [{ $ifNull: [`$${field}`, nothing] }, value] };
  });
  return [
    { $set: { ...Object.fromEntries(values), updatedAt: { $cond: [{ $and: same }, '$updatedAt', now] } } },
    ...(former.length > 0 ? [{ $unset: former }] : []),
  ];
};

/** Changes a document that the caller may change, if there is one; answers what has become of it. */
const change = (
  resource: AnyResource,
  filter: Changes,
  update: UpdateQuery<unknown> | Stage[],
  options: QueryOptions = {},
): Promise<DocumentOf<AnyResource>> =>
  modelOf(resource)
    .findOneAndUpdate(restrict(filter, writable(resource, 'update')), update, {
      returnDocument: 'after',
      updatePipeline: true,
      ...options,
    })
    .maxTimeMS(QUERY_TIME)
    .lean()
    .catch(byRules(resource));

/** Holds a changed document to the rules of its resource, and notes the change. */
function settle(resource: AnyResource, changed: DocumentOf<AnyResource>): void {
  requireRules(resource, changed);
  noteChange(resource, changed._id, 'update');
}

/** Where MongoDB refused a document for its rules, says so as requireRules() does. */
const byRules = (resource: AnyResource) => (error: unknown) => {
  throw refusedByRules(resource, error) ?? error;
};

/** Removes a document and does to those that refer to it what their references' policies say. */
export async function remove(resource: AnyResource, id: Types.ObjectId): Promise<void> {
  if (writable(resource, 'remove')) await readWritable(resource, id, 'remove');
  for (const { beforeChange } of resource.hooks) await beforeChange?.(id);
  await removeReferred(resource, id);
}

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
  const list = `$${field}`;
  const added = await change(
    from,
    { _id: id, [field]: { $ne: targetId }, [`${field}.${max - 1}`]: { $exists: false } },
    // Not $push: other tools may have stored what is no list, and answers show that as an empty one.
    [{ $set: { [field]: { $concatArrays: [{ $cond: [{ $isArray: list }, list, []] }, [targetId]] } } }],
  );
  if (added) {
    settle(from, added);
    return hold([{ resource: target, id: targetId }]);
  }
  const found = (await readWritable(from, id)) as Record<string, Types.ObjectId[]>;
  if (found[field]?.some((known) => known.equals(targetId))) return;
  throw new Problem('validation_failed', `${field} has ${max} entries already, and may have no more.`);
}

/** Takes an id out of a list; that it does not stand there is no fault. */
export async function pull(
  { from, field }: Reference,
  id: Types.ObjectId,
  targetId: Types.ObjectId,
): Promise<void> {
  const pulled = await change(from, { _id: id, [field]: targetId }, { $pull: { [field]: targetId } });
  if (pulled) settle(from, pulled);
  else await readWritable(from, id);
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
