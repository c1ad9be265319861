import type { AsyncLocalStorage } from 'node:async_hooks';
import mongoose, { type ClientSession } from 'mongoose';

// Mongoose gives the session of this storage to every operation that a model runs inside it.
mongoose.set('transactionAsyncLocalStorage', true);
export const sessions = (
  mongoose as unknown as { transactionAsyncLocalStorage: AsyncLocalStorage<{ session: ClientSession }> }
).transactionAsyncLocalStorage;

/** The session of the transaction under way, for the calls of the driver that do not go through a model. */
export const currentSession = (): ClientSession => {
  const store = sessions.getStore();
  if (!store) throw new Error('This runs inside transaction() only.');
  return store.session;
};

/** The same for what may run outside of a transaction, too. */
export const inSession = (): { session?: ClientSession } => {
  const store = sessions.getStore();
  return store ? { session: store.session } : {};
};
