import { createHash } from 'node:crypto';
import type { Context } from 'koa';
import { caller } from '../auth/caller.ts';
import { seal } from '../auth/tokens.ts';
import { invalid, Problem } from '../errors.ts';
import { collect } from '../mongo/collected.ts';
import { lookUp } from '../mongo/look-up.ts';
import type { Reply } from './reply.ts';

/**
 * Idempotency keys: a POST that carries one is done once, however often it is sent within 24 hours. The record
 * of the answer is written by the transaction that does the work, so there is never one without the other; of
 * two requests at once one waits and gets the other's answer. Refusals are not kept: nothing was done.
 * After the IETF draft "The Idempotency-Key HTTP Header Field".
 */

export const IDEMPOTENCY = 'idempotency';
const KEPT = 24 * 60 * 60 * 1000;

export interface Key {
  id: string;
  fingerprint: string;
}

interface Remembered extends Reply {
  body: string | null;
  _id: string;
  fingerprint: string;
  expireAt: Date;
}

/** The key of this request, if it has one. */
export function keyOf(ctx: Context, body: unknown): Key | undefined {
  // Not ctx.get(): an empty key is one that went wrong, and must not pass for none.
  const key = ctx.headers['idempotency-key'];
  if (key === undefined) return undefined;
  if (typeof key !== 'string' || !/^[\x20-\x7e]{1,255}$/.test(key))
    throw invalid([
      {
        in: 'header',
        parameter: 'Idempotency-Key',
        code: 'invalid_format',
        message: 'must have 1 to 255 printable ASCII characters',
      },
    ]);
  const who = caller();
  // Each caller has keys of his own, and who has not logged in, each address: an answer is for nobody else.
  const principal = who.id ? [who.id, who.key].map(String) : [ctx.ip];
  return {
    id: `${who.id ? prefixOf(who.id) : ''}${hash([...principal, ctx.method, ctx.path, key])}`,
    // Sealed, because a body may contain a password: a plain digest would let it be guessed.
    fingerprint: seal(JSON.stringify([ctx.querystring, canonical(body)])),
  };
}

/** The answer that was given to this key, inside a transaction. */
export async function recall({ id, fingerprint }: Key): Promise<Reply | undefined> {
  const [[record] = []] = await lookUp([{ collection: IDEMPOTENCY, ids: [id] }]);
  if (!record) return undefined;
  const found = record as Remembered;
  if (found.fingerprint !== fingerprint)
    throw new Problem(
      'idempotency_key_reused',
      'Another request was sent with this key; use a new one for a new request.',
    );
  return {
    status: found.status,
    headers: { ...found.headers, 'Idempotency-Replayed': 'true' },
    body: found.body,
  };
}

/** Keeps an answer, inside the transaction that it is the answer of. */
export function remember({ id, fingerprint }: Key, { status, headers, body }: Reply): void {
  const expireAt = new Date(Date.now() + KEPT);
  const insert = { _id: id, fingerprint, status, headers, body: body && String(body), expireAt };
  collect({ collection: IDEMPOTENCY, statement: { insert } });
}

/** What the records of a user begin with, so that the index of the ids finds them. */
const prefixOf = (user: { toHexString(): string }): string => `${user.toHexString()}.`;

/** Removes what was answered to these users, inside the transaction that removes them. */
export function forgetAnswersTo(users: { toHexString(): string }[]): void {
  for (const user of users) {
    const filter = { _id: { $gte: prefixOf(user), $lt: `${user.toHexString()}/` } };
    collect({ collection: IDEMPOTENCY, statement: { delete: true, filter, multi: true } });
  }
}

const hash = (parts: string[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('base64url');

/** The same text for the same JSON, in whatever order its members stand. */
const canonical = (json: unknown): string =>
  JSON.stringify(json, (_, value) =>
    value !== null && typeof value === 'object' && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  ) ?? '';
