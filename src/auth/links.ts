import { timingSafeEqual } from 'node:crypto';
import { seal } from './tokens.ts';

/**
 * Tokens for links in mails. Nothing is stored: a token is sealed together with the state that it will change, such as
 * the present password, so it works once, and only until that state changes otherwise.
 */

export type Purpose = 'reset' | 'verify' | 'change-email';

interface Link {
  purpose: Purpose;
  user: string;
  /** What the user requested, such as a new address. */
  wish: string;
}

/** `state` is what must be unchanged when the link is used. */
export function linkToken({ purpose, user, wish }: Link, state: unknown[], seconds: number): string {
  const expires = Math.floor(Date.now() / 1_000) + seconds;
  const parts = [purpose, user, String(expires), Buffer.from(wish).toString('base64url')];
  return [...parts, seal(JSON.stringify([...parts, state]))].join('.');
}

/** The unverified claims of a token (isGenuine() verifies them); undefined if it is malformed or has expired. */
export function readLink(token: string): Link | undefined {
  const [, purpose, user = '', expires, wish = ''] =
    /^(reset|verify|change-email)\.([0-9a-f]{24})\.(\d{1,12})\.([\w-]*)\.[\w-]{43}$/.exec(token) ?? [];
  if (!purpose || Number(expires) * 1_000 < Date.now()) return undefined;
  return { purpose: purpose as Purpose, user, wish: Buffer.from(wish, 'base64url').toString() };
}

export function isGenuine(token: string, state: unknown[]): boolean {
  const parts = token.split('.');
  const given = Buffer.from(parts.pop() ?? '');
  const made = Buffer.from(seal(JSON.stringify([...parts, state])));
  return given.length === made.length && timingSafeEqual(given, made);
}
