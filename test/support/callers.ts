import { type mongo, Types } from 'mongoose';
import type { Role } from '../../src/auth/caller.ts';
import { makeKey, readKeys, signToken, useKeys } from '../../src/auth/tokens.ts';
import { demoPasswordHash } from '../../src/resources/users/demo.ts';
import { Session } from '../../src/resources/sessions/session.ts';
import { User } from '../../src/resources/users/user.ts';
import { modelOf } from '../../src/schema/model.ts';

/** Who calls: real users in the database, with real tokens. */

/** The admin on whose behalf a test calls that does not say otherwise. Stored as any user, with a session; the password is DEMO_PASSWORD. */
export const admin = {
  _id: new Types.ObjectId('65f000000000000000000fff'),
  name: 'The Caller',
  email: 'caller@tests.example',
  role: 'admin' as const,
  bio: null,
  passwordHash: demoPasswordHash,
  verifiedAt: new Date(),
  lockedAt: null,
};

/** All users but that admin. */
export const users = { _id: { $ne: admin._id } };

/** What a session is that nobody has refresh tokens of. */
export const aSession = (user: Types.ObjectId) => ({
  user,
  origin: 'none',
  tokens: [],
  address: null,
  agent: null,
  expiresAt: new Date(Date.now() + 3_600_000),
});

/** A token of this user, in a session of its own. */
export async function tokenOf(user: Types.ObjectId): Promise<string> {
  const { _id } = await modelOf(Session).create(aSession(user));
  return signToken({ user: user.toHexString(), session: _id.toHexString() });
}

/** A user with this role and the token of one. */
export async function aCaller(role: Role): Promise<{ id: Types.ObjectId; token: string }> {
  const id = new Types.ObjectId();
  await modelOf(User).create({
    ...admin,
    _id: id,
    name: role,
    email: `${id.toHexString()}@tests.example`,
    role,
  });
  return { id, token: await tokenOf(id) };
}

/**
 * The keys of this process, and of those that it starts. The tests of the kernel and those of what is registered have
 * each a copy of this module in one worker: both must sign with the same keys.
 */
export const TOKEN_KEYS = (process.env['TEST_TOKEN_KEYS'] ??= makeKey());
process.env['TOKEN_KEYS'] = TOKEN_KEYS;
useKeys(readKeys(TOKEN_KEYS));

const session = { _id: new Types.ObjectId(), ...aSession(admin._id) };
/** The header of that admin, for what does not go through call(). */
export const CREDENTIALS = `Bearer ${await signToken({ user: String(admin._id), session: String(session._id) })}`;

/** Makes a database know that admin. */
export async function letIn(db: mongo.Db): Promise<void> {
  const now = new Date();
  const stamps = { createdAt: now, updatedAt: now };
  await db.collection('users').insertOne({ ...admin, ...stamps });
  await db.collection('sessions').insertOne({ ...session, ...stamps });
}
