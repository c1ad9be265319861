import type { Aggregate, Query, Schema } from 'mongoose';
import { bulkWrite, Refused, type Write } from './bulk-write.ts';
import { isTransient } from './failures.ts';
import { guardWrites } from './guards.ts';
import { NotShared, sessions, type Underway, underway } from './session.ts';

/**
 * A transaction collects the writes whose result is not needed, and sends them as one command right before the commit:
 * new and changed documents, guards, the audit entry, the Idempotency-Key record. An operation of a model on a
 * collection with collected writes sends them first, so that a transaction reads its own writes.
 */

/**
 * Collects a write for the end of the transaction. If MongoDB refuses it, the error is thrown when it is sent,
 * translated by its `explain`.
 */
export function collect({ explain = itself, ...write }: Write): void {
  const { writes, explain: outer = itself } = underway();
  writes.push({ ...write, explain: (error) => outer(explain(error)) });
}

const itself = (error: unknown): unknown => error;

/** Refusals of writes that this work collects are also translated by this function. */
export const explaining = <T>(explain: (error: unknown) => unknown, work: () => T): T => {
  const store = underway();
  const { explain: outer = itself } = store;
  return sessions.run({ ...store, explain: (error) => outer(explain(error)) }, work);
};

/**
 * Sends all collected writes. Right before the commit, because transactions collide at the guards of popular
 * documents.
 */
export function sendCollected(): Promise<void> {
  const store = underway();
  store.writes.push(...guardWrites(store.guards));
  store.guards.clear();
  return send(store);
}

async function send({ writes, session }: Underway): Promise<void> {
  const sent = writes.splice(0);
  if (sent.length === 0) return;
  try {
    await bulkWrite(sent, session);
  } catch (error) {
    throw explained(error, sent);
  }
}

/** The refusal of a write, as translated by the code that collected it. Transient errors are kept as they are. */
function explained(error: unknown, writes: Write[]): unknown {
  if (!(error instanceof Refused)) return error;
  const { cause, index } = error;
  return isTransient(cause) ? cause : (writes[index]?.explain?.(cause) ?? cause);
}

/** Sends all collected writes except guards if any is for these collections, before another operation on them. */
export const sendBefore = (...collections: string[]): Promise<void> | undefined => {
  const store = sessions.getStore();
  if (store?.shared) throw new NotShared();
  return store?.writes.some(({ collection }) => collections.includes(collection)) ? send(store) : undefined;
};

const QUERIES = [
  'countDocuments',
  'deleteMany',
  'deleteOne',
  'distinct',
  'find',
  'findOne',
  'findOneAndDelete',
  'findOneAndReplace',
  'findOneAndUpdate',
  'replaceOne',
  'updateMany',
  'updateOne',
] as const;

/** The Mongoose plugin that does so. */
export function inOrder(schema: Schema): void {
  schema.pre([...QUERIES], { query: true, document: false }, function (this: Query<unknown, unknown>) {
    return sendBefore(this.model.collection.collectionName);
  });
  const sendAll = () => {
    const store = sessions.getStore();
    if (store?.shared) throw new NotShared();
    return store && store.writes.length > 0 ? send(store) : undefined;
  };
  // An aggregation may read any collection.
  schema.pre('aggregate', function (this: Aggregate<unknown>) {
    return sendAll();
  });
  schema.pre(['save', 'insertMany', 'bulkWrite'] as never, sendAll);
}
