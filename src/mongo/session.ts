import type { AsyncLocalStorage } from 'node:async_hooks';
import mongoose, { type ClientSession, type mongo } from 'mongoose';
import type { Write } from './bulk-write.ts';
import type { Wanted } from './read-many.ts';

/** A transaction under way. */
export interface Underway {
  session: ClientSession;
  /** Which guards it changes, by the keys of the documents: see guards.ts. */
  stripes: Map<string, number>;
  /** What it is yet to write: see collected.ts. */
  writes: Write[];
  /** The guards that it is yet to change, by their ids, and whether they exist. */
  guards: Map<string, { exists: boolean }>;
  /** Says what the refusal of a write that is collected now means. */
  explain?: (error: unknown) => unknown;
  /** Set where several requests share the transaction: how they read. For all else they need one of their own. */
  shared?: (wanted: Wanted[]) => Promise<mongo.Document[][]>;
}

/** Thrown where a request needs a transaction of its own. */
export class NotShared extends Error {}

// Mongoose gives the session of this storage to every operation that a model runs inside it.
mongoose.set('transactionAsyncLocalStorage', true);
export const sessions = (mongoose as unknown as { transactionAsyncLocalStorage: AsyncLocalStorage<Underway> })
  .transactionAsyncLocalStorage;

/** The transaction under way. */
export const underway = (): Underway => {
  const store = sessions.getStore();
  if (!store) throw new Error('This runs inside transaction() only.');
  return store;
};

/** Its session, for the calls of the driver that do not go through a model. */
export const currentSession = (): ClientSession => {
  const { session, writes, shared } = underway();
  if (shared) throw new NotShared();
  // The call would not see them.
  if (writes.length > 0) throw new Error('Writes have been collected: await sendCollected() first.');
  return session;
};

export const isInTransaction = (): boolean => sessions.getStore() !== undefined;
