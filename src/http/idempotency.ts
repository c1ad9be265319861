import { createHash } from 'node:crypto';
import type { Context } from 'koa';
import { caller } from '../auth/caller.ts';
import { seal } from '../auth/tokens.ts';
import { invalid, Problem } from '../errors.ts';
import { collect } from '../mongo/collected.ts';
import { lookUp } from '../mongo/look-up.ts';
import type { Reply } from './reply.ts';

/**
 * Idempotency keys: a POST with a key takes effect once, however often it is sent within 24 hours. The record of the
 * answer is written in the transaction of the work, so neither exists without the other; of two concurrent requests,
 * one waits and gets the other's answer. Refusals are not recorded, because nothing was done. After the IETF draft
 * "The Idempotency-Key HTTP Header Field".
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

/** The key of this request, or undefined. */
export function keyOf(ctx: Context, body: unknown): Key | undefined {
  // Not ctx.get(): an empty header is a client's mistake, and must not count as no key.
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
  // Keys belong to one caller (without a login, to one address), so an answer never reaches anybody else.
  const principal = who.id ? [who.id, who.key].map(String) : [ctx.ip];
  return {
    id: `${who.id ? prefixOf(who.id) : ''}${hash([...principal, ctx.method, ctx.path, key])}`,
    // Keyed hash, because a body may contain a password: a plain digest could be brute-forced.
    fingerprint: seal(JSON.stringify([ctx.querystring, canonical(body)])),
  };
}

/** The answer recorded for this key, read inside the transaction. */
export async function recall({ id, fingerprint }: Key): Promise<Reply | undefined> {
  const [[record] = []] = await lookUp([{ collection: IDEMPOTENCY, ids: [id] }]);
  if (!record) return undefined;
  const found = record as Remembered;
  if (found.fingerprint !== fingerprint)
    throw new Problem(
      'idempotency_key_reused',
      'This key was used for a different request; use a new key for each new request.',
    );
  return {
    status: found.status,
    headers: { ...found.headers, 'Idempotency-Replayed': 'true' },
    body: found.body,
  };
}

/** Records an answer in the transaction that produced it. */
export function remember({ id, fingerprint }: Key, { status, headers, body }: Reply): void {
  const expireAt = new Date(Date.now() + KEPT);
  const insert = { _id: id, fingerprint, status, headers, body: body && String(body), expireAt };
  collect({ collection: IDEMPOTENCY, statement: { insert } });
}

/** The prefix of a user's records, so that the index of `_id` finds them. */
const prefixOf = (user: { toHexString(): string }): string => `${user.toHexString()}.`;

/** Removes the recorded answers of these users, in the transaction that removes the users. */
export function forgetAnswersTo(users: { toHexString(): string }[]): void {
  for (const user of users) {
    const filter = { _id: { $gte: prefixOf(user), $lt: `${user.toHexString()}/` } };
    collect({ collection: IDEMPOTENCY, statement: { delete: true, filter, multi: true } });
  }
}

const hash = (parts: string[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('base64url');

/** Canonical JSON: the same text whatever the order of members. */
const canonical = (json: unknown): string =>
  JSON.stringify(json, (_, value) =>
    value !== null && typeof value === 'object' && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  ) ?? '';
