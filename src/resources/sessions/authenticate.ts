import { Types } from 'mongoose';
import { ANONYMOUS, type Caller, type Role } from '../../auth/caller.ts';
import { matches, verifyToken } from '../../auth/tokens.ts';
import { type Problem, unauthenticated } from '../../errors.ts';
import { confirmations } from '../../measures.ts';
import { loader } from '../../mongo/loader.ts';
import { lookUp } from '../../mongo/look-up.ts';
import { joining } from '../../mongo/read-many.ts';
import { isInTransaction } from '../../mongo/session.ts';
import { modelOf, QUERY_TIME } from '../../schema/model.ts';
import type { AnyResource } from '../../schema/resource.ts';
import { ApiKey } from '../keys/key.ts';
import { User } from '../users/user.ts';
import { Session } from './session.ts';

/** Identifies the caller by the header Authorization. */
export async function authenticate(authorization: string): Promise<Caller> {
  if (authorization === '') return ANONYMOUS;
  const [, token] = /^Bearer +([\w.~+/=-]+)$/i.exec(authorization) ?? [];
  if (!token) throw refused('The Authorization header is not a Bearer token.', 'malformed');
  const [, id, secret] = /^sk_([0-9a-f]{24})_([\w-]+)$/.exec(token) ?? [];
  return id && secret ? byKey(new Types.ObjectId(id), secret) : byToken(token);
}

async function byToken(token: string): Promise<Caller> {
  const claims = await verifyToken(token);
  if (claims === 'expired') throw refused('The access token has expired.', 'expired');
  if (!claims) throw refused('The access token is not valid.', 'invalid_token');
  const [session, id] = [new Types.ObjectId(claims.session), new Types.ObjectId(claims.user)];
  return confirm({ kind: 'user', id, session, expiresAt: new Date(claims.expires) });
}

async function byKey(key: Types.ObjectId, secret: string): Promise<Caller> {
  const asOf = performance.now();
  const found = await keyById(key);
  if (!found || !matches(secret, found.digest))
    throw refused('The API key is not valid.', 'invalid_key', found?.user);
  if (hasExpired(found)) throw refused('The API key has expired.', 'expired_key', found.user);
  const { user: id, role, scopes, expiresAt } = found;
  return { kind: 'user', id, role, key, scopes, expiresAt, asOf };
}

/**
 * The caller with present rights: a token or key identifies the user; whether it is still valid, and the user's role,
 * is read from the database each time. So logouts and role changes take effect at once.
 */
export async function confirm(who: Caller): Promise<Caller> {
  const { id, session, key } = who;
  if (!id) return who;
  const asOf = performance.now();
  const found = await (key ? keyById(key) : sessionById(session as Types.ObjectId));
  if (!found?.user.equals(id) || hasExpired(found))
    throw refused(`The ${key ? 'API key' : 'access token'} has been revoked.`, 'revoked', id);
  const expiresAt = who.expiresAt && who.expiresAt < found.expiresAt ? who.expiresAt : found.expiresAt;
  return { ...who, role: found.role, expiresAt, asOf };
}

/** Milliseconds for which a write trusts the caller's rights as read before. */
const FRESH = 50;

/**
 * Confirms the caller's rights at the beginning of a write's transaction: reads again only if the write has waited.
 */
export async function confirmAgain(who: Caller): Promise<Caller> {
  const isRecent = who.asOf !== undefined && performance.now() - who.asOf < FRESH;
  if (confirmations.hasSubscribers) confirmations.publish({ source: isRecent ? 'recent' : 'database' });
  return isRecent ? who : confirm(who);
}

const refused = (fault: string, reason: string, account?: Types.ObjectId): Problem =>
  unauthenticated(fault, { event: 'token_refused', account, reason });

type Authority = typeof Session | typeof ApiKey;

/** The rights of a session or key, with the role of its user. */
interface Standing {
  _id: Types.ObjectId;
  user: Types.ObjectId;
  role: Role;
  digest: string;
  expiresAt: Date;
  scopes: string[];
}

/** Not `<=`: a value of another type, stored by another tool, must not make a session last for ever. */
const hasExpired = ({ expiresAt }: Standing): boolean => !(expiresAt > new Date());

/** undefined if the session or key does not exist, or its user is gone or locked. */
const sessionById = loader((ids) => read(Session, ids));
const keyById = loader((ids) => read(ApiKey, ids));

type Stored = Standing & { users: { role?: Role; lockedAt?: Date | null }[] };

// Further stages and conditions would double MongoDB's time, although this returns the whole user.
const join = { from: User.collection, field: 'user', as: 'users' };

/** The driver's collection: Mongoose's overhead per request would cost as much as the query. */
async function read(
  authority: Authority,
  _id: Types.ObjectId | { $in: Types.ObjectId[] },
): Promise<Standing[]> {
  const found = isInTransaction()
    ? (await lookUp([{ collection: authority.collection, ids: [_id], join }]))[0]
    : await modelOf(authority as AnyResource)
        .collection.aggregate([{ $match: { _id } }, joining(join)], { maxTimeMS: QUERY_TIME })
        .toArray();
  return (found as Stored[]).flatMap(({ users: [user], ...rest }) =>
    user?.role && !user.lockedAt ? [{ ...rest, role: user.role }] : [],
  );
}

/** The collections that decide whether a caller may continue, and with which rights. */
export const authorities: AnyResource[] = [User, Session, ApiKey];
