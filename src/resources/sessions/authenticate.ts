import { Types } from 'mongoose';
import { ANONYMOUS, type Caller, type Role } from '../../auth/caller.ts';
import { matches, verifyToken } from '../../auth/tokens.ts';
import { unauthenticated } from '../../errors.ts';
import { QUERY_TIME } from '../../schema/store.ts';
import { ApiKey } from '../keys/key.ts';
import { User } from '../users/user.ts';
import { Session } from './session.ts';

/**
 * Who is calling, by the header Authorization. A token says who and in which session; that the session and the user
 * are still there, and what the user may do, is read each time, so that a logout or another role holds at once.
 */
export async function authenticate(authorization: string): Promise<Caller> {
  if (authorization === '') return ANONYMOUS;
  const [, token] = /^Bearer +([\w.~+/=-]+)$/i.exec(authorization) ?? [];
  if (!token) throw unauthenticated('The Authorization header is not a Bearer token.');
  const [, id, secret] = /^sk_([0-9a-f]{24})_([\w-]+)$/.exec(token) ?? [];
  return id && secret ? byKey(new Types.ObjectId(id), secret) : byToken(token);
}

async function byToken(token: string): Promise<Caller> {
  const claims = await verifyToken(token);
  if (claims === 'expired') throw unauthenticated('The access token has expired.');
  if (!claims) throw unauthenticated('The access token is not valid.');
  const [session, id] = [new Types.ObjectId(claims.session), new Types.ObjectId(claims.user)];
  const [open, role] = await Promise.all([isOpen(session, id), roleOf(id)]);
  if (!open || !role) throw unauthenticated('The access token has been revoked.');
  return { kind: 'user', id, role, session };
}

async function byKey(key: Types.ObjectId, secret: string): Promise<Caller> {
  const found = await ApiKey.model.findById(key).maxTimeMS(QUERY_TIME).lean();
  if (!found || !matches(secret, found.digest)) throw unauthenticated('The API key is not valid.');
  if (found.expiresAt <= new Date()) throw unauthenticated('The API key has expired.');
  const role = await roleOf(found.user);
  if (!role) throw unauthenticated('The API key is not valid.');
  return { kind: 'user', id: found.user, role, key, scopes: found.scopes };
}

// On the driver's collections: at each request Mongoose would cost as much as the reading.
const isOpen = async (_id: Types.ObjectId, user: Types.ObjectId): Promise<boolean> => {
  const open = { _id, user, expiresAt: { $gt: new Date() } };
  return (await Session.model.collection.findOne(open, reading({ _id: 1 }))) !== null;
};

const roleOf = async (_id: Types.ObjectId): Promise<Role | undefined> =>
  (await User.model.collection.findOne({ _id }, reading({ role: 1 })))?.['role'] as Role | undefined;

const reading = (projection: Record<string, 1>) => ({ projection, maxTimeMS: QUERY_TIME });
