import type { AsyncLocalStorage } from 'node:async_hooks';
import mongoose, { type ClientSession, type mongo } from 'mongoose';
import type { Write } from './bulk-write.ts';
import type { Wanted } from './read-many.ts';

/** A transaction under way. */
export interface Underway {
  session: ClientSession;
  /** The guards that it changes, by the keys of the documents: see guards.ts. */
  stripes: Map<string, number>;
  /** Writes to be sent: see collected.ts. */
  writes: Write[];
  /** Guards to be changed, by their ids, and whether they exist. */
  guards: Map<string, { exists: boolean }>;
  /** Translates refusals of writes that are collected now. */
  explain?: (error: unknown) => unknown;
  /** Set if several requests share the transaction: how they read. Anything else needs a transaction of its own. */
  shared?: (wanted: Wanted[]) => Promise<mongo.Document[][]>;
}

/** Thrown if a request needs a transaction of its own. */
export class NotShared extends Error {}

// Mongoose passes the session of this storage to every operation of a model inside it.
mongoose.set('transactionAsyncLocalStorage', true);
export const sessions = (mongoose as unknown as { transactionAsyncLocalStorage: AsyncLocalStorage<Underway> })
  .transactionAsyncLocalStorage;

/** The transaction under way. */
export const underway = (): Underway => {
  const store = sessions.getStore();
  if (!store) throw new Error('This must run inside transaction().');
  return store;
};

/** Its session, for driver calls that bypass models. */
export const currentSession = (): ClientSession => {
  const { session, writes, shared } = underway();
  if (shared) throw new NotShared();
  // The call would not see the collected writes.
  if (writes.length > 0) throw new Error('Writes have been collected: await sendCollected() first.');
  return session;
};

export const isInTransaction = (): boolean => sessions.getStore() !== undefined;
