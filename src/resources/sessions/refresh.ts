import { digestOf, makeSecret, matches } from '../../auth/tokens.ts';
import { Problem } from '../../errors.ts';
import { noteEvent } from '../../schema/changes.ts';
import { modelOf } from '../../schema/model.ts';
import { end } from './end.ts';
import { expiry, whereFrom } from './life.ts';
import { made, parse, type Tokens, tokensOf } from './refresh-token.ts';
import { Session } from './session.ts';

/** Milliseconds for which the predecessor of a refresh token is still accepted: two tabs may refresh at once. */
const GRACE = 30_000;
/** The most refresh tokens of a session that are valid at a time; the least recently used ones are dropped. */
const MAX_TOKENS = 20;

/**
 * Exchanges a refresh token for new tokens; it can be used once. Tabs that share one and refresh at once each get a
 * token of their own. Any other reuse means that the token was copied, so the session is revoked. That must be stored,
 * so the problem is returned and not thrown. A token with a wrong session secret was never issued and revokes nothing:
 * ids can be guessed.
 */
export async function refresh(token: string): Promise<Tokens | Problem> {
  const { session: id, origin, secret: given } = parse(token);
  const session = await modelOf(Session)
    .findOne({ _id: id, origin: { $eq: digestOf(origin) }, expiresAt: { $gt: new Date() } })
    .lean();
  if (!session) return refused();
  const now = Date.now();
  const current = session.tokens.find(({ digest }) => matches(given, digest));
  const isSibling = session.tokens.some(
    ({ previous, since }) => previous && since.getTime() > now - GRACE && matches(given, previous),
  );
  if (!current && !isSibling) {
    await end(id);
    noteEvent({ event: 'token_reused', account: session.user });
    return refused();
  }
  if (!current) noteEvent({ event: 'token_sibling', account: session.user });
  const secret = makeSecret();
  const others = session.tokens.filter((one) => one !== current);
  const tokens = [...others, made(secret, current?.digest)].slice(-MAX_TOKENS);
  const expiresAt = expiry(session.createdAt);
  await modelOf(Session).updateOne({ _id: id }, { $set: { tokens, expiresAt, ...whereFrom() } });
  return tokensOf(session.user, { session: id, origin, secret });
}

const refused = (): Problem =>
  new Problem('invalid_grant', 'The refresh token is no longer valid; log in again.');
