import mongoose, { type PipelineStage, Types, type UpdateQuery } from 'mongoose';
import type { z } from 'zod';
import { requireCreatable, requireOwn, restrict, visible, writable } from './policy.ts';
import { forbidden, notFound, Problem } from '../errors.ts';
import { collect } from '../mongo/collected.ts';
import { noteChange } from './changes.ts';
import { completedOnce } from './defaults.ts';
import { type Preconditions, requireMatch } from './etag.ts';
import { hold, lookUpTargets, remove as removeReferred } from './integrity.ts';
import type { Showing } from './include.ts';
import type { Row } from './json/read.ts';
import { modelOf, QUERY_TIME } from './model.ts';
import { type AnyResource, type DocumentOf, noun, type Reference } from './resource.ts';
import { byFormerNames, withFormerValues } from './former-values.ts';
import { refusedByRules, requireRules } from './rules.ts';
import { type Target, targetsOf } from './references.ts';

/**
 * Reads and writes of a resource's documents. Routes, commands and scripts all use these functions, so all of them see
 * and change only what the caller may. Values must be validated already; results are plain documents as MongoDB stores
 * them. Writes run inside transaction().
 */

export async function read<R extends AnyResource>(resource: R, id: Types.ObjectId): Promise<DocumentOf<R>> {
  const found = await modelOf<AnyResource>(resource)
    .findOne(restrict({ _id: id }, visible(resource)))
    .maxTimeMS(QUERY_TIME)
    .lean();
  return found ?? missing();
}

/** The same as JSON, in the shape that a client has chosen. */
export async function readAs(
  resource: AnyResource,
  id: Types.ObjectId,
  { joins, answer, projection }: Showing,
): Promise<Row> {
  const { rows } = await modelOf(resource)
    .find(visible(resource) ?? {}, projection)
    .maxTimeMS(QUERY_TIME)
    .populate(joins)
    .bytes(answer, [id]);
  return rows[0] ?? missing();
}

/** Throws 404 if the caller may not see a document with this id. */
export async function requireVisible(resource: AnyResource, id: Types.ObjectId): Promise<void> {
  const seen = restrict({ _id: id }, visible(resource));
  if (!(await modelOf(resource).exists(seen).maxTimeMS(QUERY_TIME))) missing();
}

/** A document that the caller may change. */
async function readWritable<R extends AnyResource>(
  resource: R,
  id: Types.ObjectId,
  right: 'update' | 'remove',
): Promise<DocumentOf<R>> {
  const found = await modelOf<AnyResource>(resource)
    .findOne(restrict({ _id: id }, writable(resource, right)))
    .maxTimeMS(QUERY_TIME)
    .lean();
  return found ?? refuse(resource, id);
}

/** Why a document cannot be changed: it belongs to another user, or does not exist as far as the caller can see. */
async function refuse(resource: AnyResource, id: Types.ObjectId): Promise<never> {
  await read(resource, id);
  throw forbidden(`This ${noun(resource)} belongs to another user.`);
}

/**
 * Refuses if the document has another version than the client knows; inside the transaction of the change. A document
 * that the caller may not change is refused first: preconditions come after all other checks (RFC 9110, section
 * 13.2.1).
 */
export async function requireVersion(
  resource: AnyResource,
  id: Types.ObjectId,
  preconditions: Preconditions,
  right: 'update' | 'remove',
): Promise<void> {
  requireMatch(resource, await readWritable(resource, id, right), preconditions);
}

/** The caller may choose the id, to refer to the document before it exists. */
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
  const document = await cast(resource, made);
  await hold(targetsOf(resource, document));
  collect({
    collection: resource.collection,
    statement: { insert: document },
    explain: byRules(resource),
  });
  noteChange(resource, id, 'create');
  for (const { afterCreate } of resource.hooks) await afterCreate?.(document);
  return document as DocumentOf<R>;
}

/** The document as Mongoose stores it. */
async function cast(resource: AnyResource, made: object): Promise<{ _id: Types.ObjectId } & Changes> {
  const document = new (modelOf<AnyResource>(resource))(made);
  await document.validate();
  return document.toObject();
}

/** Converts the input of a create that is not stored as sent: a password to its hash. */
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

/** Changes only the fields of the patch, which may be a function of the present document. */
export async function update<R extends AnyResource>(
  resource: R,
  id: Types.ObjectId,
  patch: Changes | ((current: DocumentOf<R>) => Changes),
): Promise<DocumentOf<R>> {
  const isKnown = typeof patch !== 'function';
  const [holdFound, [found] = []] = await lookUpTargets(isKnown ? targetsOf(resource, patch) : [], {
    collection: resource.collection,
    ids: [id],
    condition: writable(resource, 'update'),
    collation: resource.collation,
  });
  if (!found) return refuse(resource, id);
  const known = withFormerValues(resource.renamed, found);
  const current = known as DocumentOf<R>;
  const changes = stored(isKnown ? patch : patch(current));
  // A patch without changes leaves updatedAt as it is.
  if (isUnchanged(known, changes)) return current;

  for (const { beforeChange } of resource.hooks) await beforeChange?.(id);
  requireOwn(resource, changes);
  const changed = { ...known, ...changes, updatedAt: new Date() };
  requireRules(resource, changed);
  // Its former references exist already, and cannot be removed meanwhile.
  const before = targetsOf(resource, known);
  const added = targetsOf(resource, changes).filter((target) => !before.some((one) => isSame(one, target)));
  if (isKnown) holdFound(added);
  else await hold(added);
  collect({
    collection: resource.collection,
    statement: {
      filter: { _id: id },
      updateMods: {
        $set: {
          ...changes,
          ...byFormerNames(resource.renamed, found, changes),
          updatedAt: changed.updatedAt,
        },
      },
    },
    explain: byRules(resource),
  });
  noteChange(resource, id, 'update');
  return changed as DocumentOf<R>;
}

const { serialize, deserialize } = mongoose.mongo.BSON;

/** Values as MongoDB gives them back. */
const stored = (changes: Changes): Changes => deserialize(serialize(changes));

/** Whether a document has these values already. A missing field counts as the value that answers show for it. */
const isUnchanged = (known: Changes, changes: Changes): boolean =>
  Object.entries(changes).every(([field, value]) => {
    const nothing = Array.isArray(value) ? [] : null;
    return Buffer.compare(serialize({ value: known[field] ?? nothing }), serialize({ value })) === 0;
  });

/** Changes a document if it exists and the caller may change it; returns the result. */
const change = (
  resource: AnyResource,
  filter: Changes,
  update: UpdateQuery<unknown> | PipelineStage.Set[],
): Promise<DocumentOf<AnyResource>> =>
  modelOf(resource)
    .findOneAndUpdate(restrict(filter, writable(resource, 'update')), update, {
      returnDocument: 'after',
      updatePipeline: true,
    })
    .maxTimeMS(QUERY_TIME)
    .lean()
    .catch((error: unknown) => {
      throw byRules(resource)(error);
    });

/** Checks a changed document against the rules of its resource, and records the change. */
function settle(resource: AnyResource, changed: DocumentOf<AnyResource>): void {
  requireRules(resource, changed);
  noteChange(resource, changed._id, 'update');
}

/** Converts a refusal by MongoDB's validator to the one of requireRules(). */
const byRules = (resource: AnyResource) => (error: unknown) => refusedByRules(resource, error) ?? error;

/** Removes a document, and treats the documents that refer to it by their references' policies. */
export async function remove(resource: AnyResource, id: Types.ObjectId): Promise<void> {
  if (writable(resource, 'remove')) await readWritable(resource, id, 'remove');
  for (const { beforeChange } of resource.hooks) await beforeChange?.(id);
  await removeReferred(resource, id);
}

/**
 * Adds an id to a list unless it is there; the list's limit holds. One atomic operation, so that concurrent additions
 * are not lost.
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
    // Not $push: other tools may have stored a value that is not a list, which answers show as an empty one.
    [{ $set: { [field]: { $concatArrays: [{ $cond: [{ $isArray: list }, list, []] }, [targetId]] } } }],
  );
  if (added) {
    settle(from, added);
    return hold([{ resource: target, id: targetId }]);
  }
  const found = (await readWritable(from, id, 'update')) as Record<string, Types.ObjectId[]>;
  if (found[field]?.some((known) => known.equals(targetId))) return;
  throw new Problem('validation_failed', `${field} already has ${max} entries, the most allowed.`);
}

/** Removes an id from a list, if it is there. */
export async function pull(
  { from, field }: Reference,
  id: Types.ObjectId,
  targetId: Types.ObjectId,
): Promise<void> {
  const pulled = await change(from, { _id: id, [field]: targetId }, { $pull: { [field]: targetId } });
  if (pulled) settle(from, pulled);
  else await readWritable(from, id, 'update');
}

/** The most entries that a list may have. */
const maxLength = (list: z.ZodType | undefined): number =>
  list?.def.checks
    ?.map(({ _zod }) => (_zod.def as { maximum?: number }).maximum)
    .find((maximum) => maximum !== undefined) ?? 1_000;

const isSame = (a: Target, b: Target): boolean => a.resource === b.resource && a.id.equals(b.id);

const missing = (): never => {
  throw notFound();
};
