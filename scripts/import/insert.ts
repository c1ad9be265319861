import { setTimeout } from 'node:timers/promises';
import type { mongo, Types } from 'mongoose';
import { Problem } from '../../src/errors.ts';
import { isTransient } from '../../src/mongo/failures.ts';
import { transaction } from '../../src/mongo/transaction.ts';
import { hold } from '../../src/schema/integrity.ts';
import { guarded, targetsOf } from '../../src/schema/references.ts';
import type { AnyResource } from '../../src/schema/resource.ts';
import { say } from '../program.ts';
import { type Document, toReason } from './document.ts';
import { type Reason, reason } from './row.ts';
import { modelOf } from '../../src/schema/model.ts';

export interface Outcome {
  /** Documents that are stored now. */
  ids: Types.ObjectId[];
  /** Documents whose id or unique value another one already has (not changed), with the field. */
  present: Map<Document, string>;
  /** Documents that were refused, and why. */
  refused: Map<Document, Reason[]>;
}

/**
 * Stores validated documents independently of each other. Those with references are stored as the API does, in a
 * transaction that ensures that their targets exist.
 */
export async function insert(
  resource: AnyResource,
  documents: Document[],
  stop: AbortSignal,
): Promise<Outcome> {
  const outcome: Outcome = { ids: [], present: new Map(), refused: new Map() };
  const refers = (document: Document) => targetsOf(resource, document).length > 0;
  await insertFree(
    resource,
    documents.filter((document) => !refers(document)),
    outcome,
    stop,
  );
  await insertBound(resource, documents.filter(refers), outcome, stop);
  return outcome;
}

async function insertFree(resource: AnyResource, documents: Document[], outcome: Outcome, stop: AbortSignal) {
  if (documents.length === 0) return;
  const refused = new Set<Document>();
  try {
    // `lean`: Zod has validated the values, so Mongoose need not cast them.
    await patiently(() => modelOf(resource).insertMany(documents, { ordered: false, lean: true }), stop);
  } catch (error) {
    const refusals = refusalsOf(error);
    if (!refusals) throw error;
    for (const { index, code, errmsg } of refusals) {
      refused.add(documents[index] as Document);
      if (code === DUPLICATE_KEY) outcome.present.set(documents[index] as Document, fieldIn(errmsg));
      else outcome.refused.set(documents[index] as Document, [refusedByDatabase(errmsg)]);
    }
  }
  outcome.ids.push(...documents.filter((one) => !refused.has(one)).map(({ _id }) => _id));
}

/** A transaction stores all or none: if the database refuses a batch, it is halved until the culprit is found. */
async function insertBound(
  resource: AnyResource,
  documents: Document[],
  outcome: Outcome,
  stop: AbortSignal,
) {
  const [first] = documents;
  if (!first) return;
  const holds = documents.flatMap((document) => targetsOf(resource, document)).map(guarded);
  try {
    const stored = await patiently(
      () => transaction(() => insertAbsent(resource, documents), { holds }),
      stop,
    );
    outcome.ids.push(...stored);
    const fresh = new Set(stored);
    for (const document of documents) if (!fresh.has(document._id)) outcome.present.set(document, 'id');
  } catch (error) {
    const faults =
      error instanceof Problem && error.code === 'reference_not_found' ? error.members.errors : undefined;
    const refusal = refusalsOf(error)?.[0];
    if (!faults && !refusal) throw error;
    if (documents.length > 1) {
      const middle = Math.ceil(documents.length / 2);
      await insertBound(resource, documents.slice(0, middle), outcome, stop);
      await insertBound(resource, documents.slice(middle), outcome, stop);
    } else if (faults) outcome.refused.set(first, faults.map(toReason));
    else if (refusal?.code === DUPLICATE_KEY) outcome.present.set(first, fieldIn(refusal.errmsg));
    else outcome.refused.set(first, [refusedByDatabase(refusal?.errmsg)]);
  }
}

/** Stores those whose ids do not exist yet, and returns them. Inside a transaction. */
async function insertAbsent(resource: AnyResource, documents: Document[]): Promise<Types.ObjectId[]> {
  const absent = new Map(documents.map((document) => [document._id.toHexString(), document]));
  const known = await modelOf(resource)
    .find({ _id: { $in: documents.map(({ _id }) => _id) } }, { _id: 1 })
    .lean<{ _id: Types.ObjectId }[]>();
  for (const { _id } of known) absent.delete(_id.toHexString());
  const fresh = [...absent.values()];
  if (fresh.length > 0) await modelOf(resource).insertMany(fresh, { lean: true });
  await hold(fresh.flatMap((document) => targetsOf(resource, document)));
  return fresh.map(({ _id }) => _id);
}

/** Milliseconds to wait before each retry; together long enough to elect a primary. */
const PAUSES = [500, 1_000, 2_000, 4_000, 8_000];

/**
 * Resends a batch while the database is unavailable. If only the reply was lost, stored documents count as present
 * then, because the ids are the same.
 */
async function patiently<T>(work: () => Promise<T>, stop: AbortSignal): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const pause = PAUSES[attempt];
      const passing = !refusalsOf(error) && (isTransient(error) || isUnconfirmed(error) || isBusy(error));
      if (!passing || pause === undefined || stop.aborted) throw error;
      say(`A batch could not be stored (${(error as Error).message}); retrying.`);
      await setTimeout(pause);
    }
  }
}

const isBusy = (error: unknown): boolean => error instanceof Problem && error.status === 503;

// By name: the driver may be installed more than once.
const isBulkError = (error: unknown): error is mongo.MongoBulkWriteError =>
  error instanceof Error && error.name === 'MongoBulkWriteError';

/** The primary has written, but the majority has not confirmed. */
const isUnconfirmed = (error: unknown): boolean =>
  isBulkError(error) && error.result.getWriteConcernError() !== undefined;

/** MongoDB's permanent refusals, per document. */
const refusalsOf = (error: unknown): mongo.WriteError[] | undefined => {
  const refusals = isBulkError(error) && !isUnconfirmed(error) ? [error.writeErrors].flat() : [];
  return refusals.length > 0 ? refusals : undefined;
};

const DUPLICATE_KEY = 11000;

/** The field of a duplicate key error; for a compound index, the first one. */
const fieldIn = (message = ''): string => {
  const [, field = 'id'] = /dup key: \{ "?([\w.]+)/.exec(message) ?? [];
  return field === '_id' ? 'id' : field;
};

const refusedByDatabase = (message = 'the database gave no reason'): Reason =>
  reason('refused_by_database', message);
