import { AsyncLocalStorage } from 'node:async_hooks';
import type { Types } from 'mongoose';

/** On whose behalf something is done. It travels with the request, as the session of a transaction does. */

/** What users may do; each may what those before it may. */
export const ROLES = ['member', 'editor', 'admin'] as const;
export type Role = (typeof ROLES)[number];

export interface Caller {
  /** Nobody who has logged in, a user, or a program of the operator, which may do everything. */
  kind: 'anonymous' | 'user' | 'system';
  /** The user. */
  id?: Types.ObjectId;
  role?: Role;
  /** By what the user has shown who he is: one of the two. */
  session?: Types.ObjectId;
  key?: Types.ObjectId;
  /** When the token, the session or the key expires. */
  expiresAt?: Date;
  /** When that was last read from the database, by performance.now(). */
  asOf?: number;
  /** All that the key may be used for: `books:read`. Without a key there is no such limit. */
  scopes?: readonly string[];
}

export const ANONYMOUS: Caller = { kind: 'anonymous' };
/** Scripts, and what the server does at its start. */
export const SYSTEM: Caller = { kind: 'system' };

const callers = new AsyncLocalStorage<Caller>();

/** Who is calling. Code that runs for nobody in particular throws here, rather than run for everybody. */
export function caller(): Caller {
  const who = callers.getStore();
  if (!who) throw new Error('This runs inside runAs() only.');
  return who;
}

/** The user who is calling, where the route has let in nobody else. */
export function callerId(): Types.ObjectId {
  const { id } = caller();
  if (!id) throw new Error('This runs on behalf of a user only.');
  return id;
}

export const runAs = <T>(who: Caller, work: () => T): T => callers.run(who, work);

/** Makes the items on behalf of this caller, whoever asks for the next one: a stream is read from elsewhere. */
export async function* iterateAs<T>(who: Caller, items: AsyncIterable<T>): AsyncGenerator<T> {
  const iterator = items[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await runAs(who, () => iterator.next());
      if (next.done) return;
      yield next.value;
    }
  } finally {
    await runAs(who, async () => iterator.return?.());
  }
}

/** Whether the caller has this role or a higher one. */
export const hasRole = ({ kind, role }: Caller, least: Role): boolean =>
  kind === 'system' || (role !== undefined && ROLES.indexOf(role) >= ROLES.indexOf(least));

/** Whether the caller may do this to these documents as far as a key decides it; who may write may read. */
export const hasScope = ({ scopes }: Caller, collection: string, right: 'read' | 'write'): boolean =>
  !scopes || scopes.includes(`${collection}:write`) || scopes.includes(`${collection}:${right}`);
