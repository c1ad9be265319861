import type { Aggregate, Query, Schema } from 'mongoose';
import { bulkWrite, Refused, type Write } from './bulk-write.ts';
import { isTransient } from './failures.ts';
import { guardWrites } from './guards.ts';
import { NotShared, sessions, type Underway, underway } from './session.ts';

/**
 * A transaction collects the writes whose result nobody waits for, and sends them as one command right before it is
 * committed: new and changed documents, guards, the entry of the audit trail, the record of an Idempotency-Key. What is
 * done by a model to a collection with collected writes sends them first, so that a transaction sees what it has written.
 */

/** Leaves a write for the end of the transaction. Its refusal is thrown where it is sent, explained by its `explain`. */
export function collect({ explain = itself, ...write }: Write): void {
  const { writes, explain: outer = itself } = underway();
  writes.push({ ...write, explain: (error) => outer(explain(error)) });
}

const itself = (error: unknown): unknown => error;

/** What this work collects is, where it is refused, also explained by this function. */
export const explaining = <T>(explain: (error: unknown) => unknown, work: () => T): T => {
  const store = underway();
  const { explain: outer = itself } = store;
  return sessions.run({ ...store, explain: (error) => outer(explain(error)) }, work);
};

/** Sends all that has been collected. Right before the commit: transactions meet at the guards of popular documents. */
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

/** The refusal of a write as whoever collected it words it. What may pass by itself stays what it is. */
function explained(error: unknown, writes: Write[]): unknown {
  if (!(error instanceof Refused)) return error;
  const { cause, index } = error;
  return isTransient(cause) ? cause : (writes[index]?.explain?.(cause) ?? cause);
}

/** If anything is collected for these collections, sends all but the guards, before something else is done to them. */
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

/** The plugin by which models do so. */
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
