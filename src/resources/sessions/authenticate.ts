import { type mongo, Types } from 'mongoose';
import { ANONYMOUS, type Caller, type Role } from '../../auth/caller.ts';
import { matches, verifyToken } from '../../auth/tokens.ts';
import { unauthenticated } from '../../errors.ts';
import { inSession } from '../../mongo/transaction.ts';
import { QUERY_TIME } from '../../schema/store.ts';
import { ApiKey } from '../keys/key.ts';
import { User } from '../users/user.ts';
import { Session } from './session.ts';

/** Who is calling, by the header Authorization. */
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
  return confirm({ kind: 'user', id, session });
}

async function byKey(key: Types.ObjectId, secret: string): Promise<Caller> {
  const found = await standing(ApiKey.model.collection, { _id: key });
  if (!found?.role || !matches(secret, found.digest)) throw unauthenticated('The API key is not valid.');
  if (found.expiresAt <= new Date()) throw unauthenticated('The API key has expired.');
  return { kind: 'user', id: found.user, role: found.role, key, scopes: found.scopes };
}

/**
 * The caller as the database knows him at this moment: a token or key says who it is; that it is still good, and what
 * the user may do, is read each time. So a logout or another role holds at once. A write asks once more inside its
 * transaction, because it may have waited for its turn meanwhile.
 */
export async function confirm(who: Caller): Promise<Caller> {
  const { id, session, key } = who;
  if (!id) return who;
  const by = key ? ApiKey : Session;
  const good = { _id: key ?? session, user: id, expiresAt: { $gt: new Date() } };
  const found = await standing(by.model.collection, good);
  if (!found?.role) throw unauthenticated(`The ${key ? 'API key' : 'access token'} has been revoked.`);
  return { ...who, role: found.role };
}

interface Standing {
  user: Types.ObjectId;
  role?: Role;
  digest: string;
  expiresAt: Date;
  scopes: string[];
}

/**
 * What a session or a key is good for, with the role of its user: one query. On the driver's collection: at each
 * request Mongoose would cost as much as the reading.
 */
async function standing(collection: mongo.Collection, match: object): Promise<Standing | undefined> {
  const role = {
    $lookup: {
      from: User.collection,
      localField: 'user',
      foreignField: '_id',
      pipeline: [{ $project: { role: 1 } }],
      as: 'found',
    },
  };
  const [found] = await collection
    .aggregate<Standing>([{ $match: match }, role, { $set: { role: { $first: '$found.role' } } }], {
      maxTimeMS: QUERY_TIME,
      ...inSession(),
    })
    .toArray();
  return found;
}
