import { Types } from 'mongoose';
import { runAs } from '../../auth/caller.ts';
import { matches, verifyToken } from '../../auth/tokens.ts';
import { removeGuards } from '../../mongo/guards.ts';
import { noteChange } from '../../schema/changes.ts';
import { modelOf } from '../../schema/model.ts';
import { User } from '../users/user.ts';
import { parse } from './refresh-token.ts';
import { Session } from './session.ts';

/** Ends sessions: by their owner, by an admin, or because there are too many. */

/** Ends the session of an access or refresh token; does nothing for an unknown token (RFC 7009). */
export async function revoke(token: string): Promise<void> {
  const claims = await verifyToken(token);
  if (claims && claims !== 'expired') return end(new Types.ObjectId(claims.session));
  const { session: id, origin } = parse(token);
  const session = await modelOf(Session).findById(id).lean();
  if (session && matches(origin, session.origin)) await end(id);
}

export async function end(id: Types.ObjectId): Promise<void> {
  const session = await modelOf(Session)
    .findByIdAndDelete(id, { projection: { user: 1 } })
    .lean();
  if (session) runAs({ kind: 'user', id: session.user }, () => noteChange(Session, id, 'remove'));
}

/** Ends all sessions of a user except the given one. */
export async function endOthers(user: Types.ObjectId, session?: Types.ObjectId): Promise<void> {
  // A concurrent login holds one of these guards: one of the two waits, then sees what the other did.
  removeGuards([{ collection: User.collection, id: user }]);
  const others = { user, ...(session && { _id: { $ne: session } }) };
  await endAll(await modelOf(Session).find(others, { _id: 1 }).lean());
}

/** Ends the oldest sessions of a user who has too many. */
const MAX_SESSIONS = 100;

export const endOldest = async (user: Types.ObjectId): Promise<void> =>
  endAll(await modelOf(Session).find({ user }, { _id: 1 }).sort({ _id: -1 }).skip(MAX_SESSIONS).lean());

async function endAll(sessions: { _id: Types.ObjectId }[]): Promise<void> {
  if (sessions.length === 0) return;
  await modelOf(Session).deleteMany({ _id: { $in: sessions.map(({ _id }) => _id) } });
  for (const { _id } of sessions) noteChange(Session, _id, 'remove');
}
