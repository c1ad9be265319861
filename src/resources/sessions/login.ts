import type { Types } from 'mongoose';
import { runAs } from '../../auth/caller.ts';
import { sendsMail } from '../../auth/mail.ts';
import { isPassword } from '../../auth/passwords.ts';
import { digestOf, makeSecret } from '../../auth/tokens.ts';
import { Problem } from '../../errors.ts';
import { noteEvent } from '../../schema/changes.ts';
import { modelOf } from '../../schema/model.ts';
import { create } from '../../schema/store.ts';
import { findAccount } from '../users/find.ts';
import { User } from '../users/user.ts';
import { endOldest } from './end.ts';
import { guessingAs } from './guesses.ts';
import { expiry, whereFrom } from './life.ts';
import { made, type Tokens, tokensOf } from './refresh-token.ts';
import { Session } from './session.ts';

/** A user whose password was verified, and its hash. */
export interface Proof {
  user: Types.ObjectId;
  passwordHash: string;
}

/** Unknown names and wrong passwords get the same answer after the same time. Runs before the transaction. */
export const prove = (email: string, password: string): Promise<Proof> =>
  guessingAs(email, () => check(email, password));

async function check(email: string, password: string): Promise<Proof> {
  const user = await findAccount(email);
  const isRight = await isPassword(password, user?.passwordHash);
  if (!user?.passwordHash || !isRight)
    throw refused(user?._id, !user ? 'unknown_name' : user.passwordHash ? 'wrong_password' : 'no_password');
  if (user.lockedAt) throw refused(user._id, 'locked');
  if (sendsMail() && !user.verifiedAt) throw unverified(user._id);
  return { user: user._id, passwordHash: user.passwordHash };
}

/** Starts a session, unless the password has changed since it was verified. */
export async function login(proof: Proof): Promise<Tokens> {
  const user = await modelOf(User).findById(proof.user).lean();
  if (user?.passwordHash !== proof.passwordHash || user.lockedAt) throw refused(proof.user, 'wrong_password');
  const [origin, secret] = [makeSecret(), makeSecret()];
  const { _id: session } = await runAs({ kind: 'user', id: user._id, role: user.role }, () =>
    create(Session, {
      user: user._id,
      origin: digestOf(origin),
      tokens: [made(secret)],
      expiresAt: expiry(),
      ...whereFrom(),
    }),
  );
  await endOldest(user._id);
  noteEvent({ event: 'login', account: user._id });
  return tokensOf(user._id, { session, origin, secret });
}

/** Only revealed to somebody who knows the password. */
const unverified = (account: Types.ObjectId): Problem =>
  new Problem(
    'invalid_grant',
    'Confirm your e-mail address first, with the link that was sent to it. POST /auth/verification sends another link.',
    { event: { event: 'login_failed', account, reason: 'unverified' } },
  );

/** The reason is only logged: clients must not learn which names exist. */
const refused = (account: Types.ObjectId | undefined, reason: string): Problem =>
  new Problem('invalid_grant', 'The name or password is wrong.', {
    event: { event: 'login_failed', account, reason },
  });
