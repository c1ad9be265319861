import type { Types } from 'mongoose';
import { Problem } from '../errors.ts';
import { currentSession } from '../mongo/session.ts';
import { noteChange } from './changes.ts';
import { transaction } from '../mongo/transaction.ts';
import { isObjectId } from './fields.ts';
import { remove } from './integrity.ts';
import { changing, isEntry, valuesAt } from './places.ts';
import type { AnyResource, Reference } from './resource.ts';
import { modelOf, OF_THE_COLLECTION } from './model.ts';
import { refusedByRules, requireRules } from './rules.ts';

/**
 * Finds references to missing documents, and repairs them by their policies. The API leaves none behind, but other
 * tools can. Each finding is checked again in a transaction, so this can run while others write.
 */

export interface Dangling {
  reference: Reference;
  /** The referring document, and the missing one. */
  id: Types.ObjectId;
  missing: unknown[];
  mended: boolean;
  /** Why a repair failed, if one was tried. */
  reason?: string;
}

/** Documents per read. */
const BATCH = 1_000;
/** Documents that one transaction checks again and repairs. */
const MENDED_AT_ONCE = 100;
/** A document that breaks a rule of its collection (DocumentValidationFailure). */
const REFUSED = 121;

/** Runs a repair in one transaction; the caller adds its audit entry there. */
export type Mend = <T>(work: () => Promise<T>) => Promise<T>;

type Found = { _id: Types.ObjectId } & Record<string, unknown>;

/** Goes through all documents of a resource in batches; `mend` repairs what can be repaired. */
export async function* checkReferences(
  resource: AnyResource,
  mend?: Mend,
): AsyncGenerator<{ read: number; dangling: Dangling[] }> {
  const cursor = modelOf(resource)
    .find({}, projection(resource))
    .collation(OF_THE_COLLECTION)
    .sort({ _id: 1 })
    .lean<Found[]>()
    .cursor({ batchSize: BATCH });
  for await (const documents of inBatches(cursor, BATCH)) {
    const suspects = new Set((await danglingIn(resource, documents)).map(({ id }) => id));
    const dangling: Dangling[] = [];
    for (const ids of chunks([...suspects], MENDED_AT_ONCE))
      dangling.push(...(await lookAgain(resource, ids, mend)));
    yield { read: documents.length, dangling };
  }
}

async function lookAgain(resource: AnyResource, ids: Types.ObjectId[], mend?: Mend): Promise<Dangling[]> {
  const dangling = await detached(resource, ids, mend);
  if (mend) for (const one of dangling) if (one.reference.policy === 'cascade') await cascade(one, mend);
  return dangling;
}

/** A transaction repairs all or none: if the database refuses a batch, it is halved until the culprit is found. */
async function detached(resource: AnyResource, ids: Types.ObjectId[], mend?: Mend): Promise<Dangling[]> {
  try {
    return await (mend ?? transaction)(async () => {
      const found = await danglingIn(resource, await find(resource, ids));
      if (mend) for (const one of found) if (one.reference.policy === 'detach') await detach(one);
      return found;
    });
  } catch (error) {
    const reason = refusal(resource, error);
    if (!reason) throw error;
    const middle = Math.ceil(ids.length / 2);
    if (ids.length > 1)
      return [
        ...(await detached(resource, ids.slice(0, middle), mend)),
        ...(await detached(resource, ids.slice(middle), mend)),
      ];
    const found = await detached(resource, ids);
    for (const one of found) if (one.reference.policy === 'detach') one.reason = reason;
    return found;
  }
}

/** Why a document cannot be changed: MongoDB's validator or a rule of its resource refuses it. */
function refusal(resource: AnyResource, error: unknown): string | undefined {
  const broken = refusedByRules(resource, error) ?? error;
  if (broken instanceof Problem && broken.code === 'validation_failed')
    return `it would break a rule: ${broken.message}`;
  return (error as { code?: unknown }).code === REFUSED
    ? 'it breaks another rule of its collection'
    : undefined;
}

const projection = ({ references }: AnyResource): Record<string, 1> =>
  Object.fromEntries(['_id', ...references.map(({ field }) => field)].map((field) => [field, 1]));

/** An aggregation, because a query's values would be cast, and other tools may have stored anything. */
const find = (resource: AnyResource, ids: Types.ObjectId[]) =>
  modelOf(resource).aggregate<Found>([{ $match: { _id: { $in: ids } } }, { $project: projection(resource) }]);

async function danglingIn({ references }: AnyResource, documents: Found[]): Promise<Dangling[]> {
  const dangling: Dangling[] = [];
  for (const reference of references) {
    const exists = await existing(
      reference.target,
      documents.flatMap((document) => valuesOf(reference, document)),
    );
    for (const document of documents) {
      const missing = valuesOf(reference, document).filter((value) => !exists(value));
      if (missing.length > 0) dangling.push({ reference, id: document._id, missing, mended: false });
    }
  }
  return dangling;
}

const valuesOf = (reference: Reference, document: Found): unknown[] =>
  valuesAt(document, reference).map(({ value }) => value);

/** Looks up which values are ids of documents; a value that is not an ObjectId is not. */
async function existing(resource: AnyResource, values: unknown[]): Promise<(value: unknown) => boolean> {
  const ids = new Map(values.filter(isObjectId).map((id) => [id.toHexString(), id]));
  const existing = new Set<string>();
  for (const some of chunks([...ids.values()], BATCH))
    for (const { _id } of await modelOf(resource)
      .find({ _id: { $in: some } }, { _id: 1 })
      .lean<Found[]>())
      existing.add(_id.toHexString());
  return (value) => isObjectId(value) && existing.has(value.toHexString());
}

async function detach(dangling: Dangling): Promise<void> {
  const { reference, id, missing } = dangling;
  const theirs = { $in: missing };
  const { path, arrayFilters } = changing(reference, theirs);
  const detached = isEntry(reference);
  // The driver's collection accepts values of any type.
  const changed = await modelOf(reference.from).collection.findOneAndUpdate(
    { _id: id },
    {
      ...(detached && { $pull: { [path]: theirs as never } }),
      $set: { updatedAt: new Date(), ...(!detached && { [path]: null }) },
    },
    { arrayFilters, session: currentSession(), returnDocument: 'after' },
  );
  if (changed) {
    requireRules(reference.from, changed);
    noteChange(reference.from, id, 'update');
  }
  dangling.mended = true;
}

async function cascade(dangling: Dangling, mend: Mend): Promise<void> {
  const { reference, id } = dangling;
  try {
    await mend(async () => {
      const found = await danglingIn(reference.from, await find(reference.from, [id]));
      if (found.some((one) => one.reference === reference)) await remove(reference.from, id);
    });
    dangling.mended = true;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    dangling.reason = error.message;
  }
}

export async function* inBatches<T>(items: AsyncIterable<T>, size: number): AsyncGenerator<T[]> {
  let batch: T[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

function* chunks<T>(items: T[], size: number): Generator<T[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}
