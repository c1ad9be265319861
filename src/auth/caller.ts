import { AsyncLocalStorage } from 'node:async_hooks';
import type { Types } from 'mongoose';

/**
 * The caller: on whose behalf code runs. It travels with the request in AsyncLocalStorage, like the transaction's
 * session.
 */

/** Roles of users; each includes the rights of those before it. */
export const ROLES = ['member', 'editor', 'admin'] as const;
export type Role = (typeof ROLES)[number];

export interface Caller {
  /** An anonymous client, a user, or a program of the operator, which may do everything. */
  kind: 'anonymous' | 'user' | 'system';
  /** The user's id. */
  id?: Types.ObjectId;
  role?: Role;
  /** The credential: a session or a key. */
  session?: Types.ObjectId;
  key?: Types.ObjectId;
  /** When the token, session or key expires. */
  expiresAt?: Date;
  /** When these were last read from the database, by performance.now(). */
  asOf?: number;
  /** The scopes of the key: `books:read`. Undefined without a key: no such limit. */
  scopes?: readonly string[];
}

export const ANONYMOUS: Caller = { kind: 'anonymous' };
/** Scripts, and the server at its start. */
export const SYSTEM: Caller = { kind: 'system' };

const callers = new AsyncLocalStorage<Caller>();

/** The caller. Throws if there is none, so that such code does not accidentally run with all rights. */
export function caller(): Caller {
  const who = callers.getStore();
  if (!who) throw new Error('This must run inside runAs().');
  return who;
}

/** The user who is calling, in routes that only users may call. */
export function callerId(): Types.ObjectId {
  const { id } = caller();
  if (!id) throw new Error('This must run on behalf of a user.');
  return id;
}

export const runAs = <T>(who: Caller, work: () => T): T => callers.run(who, work);

/** Produces the items on behalf of this caller, whoever consumes them: a stream is read by other code. */
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

/** Whether the caller's key (if any) has the scope for these documents; write includes read. */
export const hasScope = ({ scopes }: Caller, collection: string, right: 'read' | 'write'): boolean =>
  !scopes || scopes.includes(`${collection}:write`) || scopes.includes(`${collection}:${right}`);
