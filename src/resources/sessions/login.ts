import { Types } from 'mongoose';
import { runAs } from '../../auth/caller.ts';
import { isPassword } from '../../auth/passwords.ts';
import { ACCESS_SECONDS, digestOf, makeSecret, matches, signToken, verifyToken } from '../../auth/tokens.ts';
import { Problem } from '../../errors.ts';
import { removeGuards } from '../../mongo/guards.ts';
import { noteChange } from '../../schema/changes.ts';
import { modelOf, QUERY_TIME } from '../../schema/model.ts';
import { create } from '../../schema/store.ts';
import { User } from '../users/user.ts';
import { guessingAs } from './guesses.ts';
import { Session } from './session.ts';

const DAY = 24 * 60 * 60 * 1_000;
/** A session ends when it has not been used for so long, in milliseconds. */
const IDLE = 30 * DAY;
/** And however much it is used, after so long. */
const LIFE = 90 * DAY;

export interface Tokens {
  access_token: string;
  token_type: 'Bearer';
  expires_in: number;
  /** The session, and a secret that is good once. */
  refresh_token: string;
}

/** A user who has shown that an account is his, and by which password. */
export interface Proof {
  user: Types.ObjectId;
  passwordHash: string;
}

/** The same answer, in the same time, for a name that nobody has and for a wrong password. Before the transaction. */
export const prove = (email: string, password: string): Promise<Proof> =>
  guessingAs(email, () => check(email, password));

async function check(email: string, password: string): Promise<Proof> {
  // MongoDB takes for equal what is not: a name must be written as one, or its spellings would count one by one.
  const isName = User.fields.email.safeParse(email).success;
  const user = isName
    ? await modelOf(User)
        .findOne({ email: { $eq: email } })
        .maxTimeMS(QUERY_TIME)
        .lean()
    : null;
  const isRight = await isPassword(password, user?.passwordHash);
  if (!user?.passwordHash || !isRight) throw wrongPassword();
  return { user: user._id, passwordHash: user.passwordHash };
}

/** Begins a session, unless the password has changed since it was shown. */
export async function login(proof: Proof): Promise<Tokens> {
  const user = await modelOf(User).findById(proof.user).lean();
  if (user?.passwordHash !== proof.passwordHash) throw wrongPassword();
  const [origin, secret] = [makeSecret(), makeSecret()];
  const digests = { origin: digestOf(origin), digest: digestOf(secret) };
  const session = await runAs({ kind: 'user', id: user._id, role: user.role }, () =>
    create(Session, { user: user._id, ...digests, expiresAt: expiry() }),
  );
  await endOldest(user._id);
  return tokens(user._id, { id: session._id, origin, secret });
}

/**
 * New tokens for a refresh token, which is used up by that. One that is presented again has been copied: by whom,
 * nobody can say, so the session ends for both. That must stay, hence a problem that is returned and not thrown.
 * What was never a token of the session, as its origin shows, ends nothing: ids can be guessed.
 */
export async function refresh(token: string): Promise<Tokens | Problem> {
  const { id, origin, secret: given } = parse(token);
  const theirs = { _id: id, origin: { $eq: digestOf(origin) } };
  const secret = makeSecret();
  const session = await modelOf(Session)
    .findOneAndUpdate(
      { ...theirs, digest: { $eq: digestOf(given) }, expiresAt: { $gt: new Date() } },
      [
        {
          $set: {
            digest: digestOf(secret),
            expiresAt: { $min: [expiry(), { $add: ['$createdAt', LIFE] }] },
          },
        },
      ],
      { updatePipeline: true },
    )
    .lean();
  if (session) return tokens(session.user, { id, origin, secret });
  if (await modelOf(Session).exists(theirs)) await end(id);
  return invalidGrant('The refresh token is not valid any more; log in again.');
}

/** Ends the session of an access or refresh token; of one that is neither, nothing (RFC 7009). */
export async function revoke(token: string): Promise<void> {
  const claims = await verifyToken(token);
  if (claims && claims !== 'expired') return end(new Types.ObjectId(claims.session));
  const { id, origin } = parse(token);
  const session = await modelOf(Session).findById(id).lean();
  if (session && matches(origin, session.origin)) await end(id);
}

/** Ends all sessions of a user but the one that is given. */
export async function endOthers(user: Types.ObjectId, session?: Types.ObjectId): Promise<void> {
  // A login under way holds one of these guards: one of the two has to wait, and then sees what the other did.
  await removeGuards([{ collection: User.collection, id: user }]);
  await endAll(
    await modelOf(Session)
      .find({ user, ...(session && { _id: { $ne: session } }) }, { _id: 1 })
      .lean(),
  );
}

/** Whoever logs in again and again ends his oldest sessions. */
const MAX_SESSIONS = 100;

const endOldest = async (user: Types.ObjectId): Promise<void> =>
  endAll(await modelOf(Session).find({ user }, { _id: 1 }).sort({ _id: -1 }).skip(MAX_SESSIONS).lean());

async function endAll(sessions: { _id: Types.ObjectId }[]): Promise<void> {
  if (sessions.length === 0) return;
  await modelOf(Session).deleteMany({ _id: { $in: sessions.map(({ _id }) => _id) } });
  for (const { _id } of sessions) noteChange(Session, _id, 'remove');
}

async function end(id: Types.ObjectId): Promise<void> {
  const session = await modelOf(Session)
    .findByIdAndDelete(id, { projection: { user: 1 } })
    .lean();
  if (session) runAs({ kind: 'user', id: session.user }, () => noteChange(Session, id, 'remove'));
}

interface RefreshToken {
  /** Of the session. */
  id: Types.ObjectId;
  origin: string;
  secret: string;
}

const tokens = async (user: Types.ObjectId, { id, origin, secret }: RefreshToken): Promise<Tokens> => ({
  access_token: await signToken({ user: user.toHexString(), session: id.toHexString() }),
  token_type: 'Bearer',
  expires_in: ACCESS_SECONDS,
  refresh_token: `${id.toHexString()}.${origin}.${secret}`,
});

const expiry = (): Date => new Date(Date.now() + IDLE);

/** What is no refresh token at all reads as one of a session that nobody has. */
function parse(token: string): RefreshToken {
  const [, id, origin = '', secret = ''] = /^([0-9a-f]{24})\.([\w-]{43})\.([\w-]{43})$/.exec(token) ?? [];
  return { id: new Types.ObjectId(id), origin, secret };
}

const wrongPassword = (): Problem => invalidGrant('The name and password do not belong together.');

const invalidGrant = (detail: string): Problem => new Problem('invalid_grant', detail);
