import type { Types } from 'mongoose';
import { invalid } from '../../errors.ts';
import { redirect } from '../../schema/integrity.ts';
import { read } from '../../schema/store.ts';
import { User } from '../users/user.ts';

/** Makes another user the author of a user's posts, so that the user can be removed. */
export async function transfer(from: Types.ObjectId, to: Types.ObjectId): Promise<{ changed: number }> {
  if (from.equals(to))
    throw invalid([
      { in: 'body', pointer: '/to', code: 'same_user', message: 'is already the author of these posts' },
    ]);
  await read(User, from);
  return { changed: await redirect(User, from, to, '/to') };
}
