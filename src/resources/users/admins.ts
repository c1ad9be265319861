import { Types } from 'mongoose';
import { Problem } from '../../errors.ts';
import { removeGuards } from '../../mongo/guards.ts';
import { noteEvent } from '../../schema/changes.ts';
import { update } from '../../schema/store.ts';
import type { Role } from '../../auth/caller.ts';
import { User } from './user.ts';
import { modelOf } from '../../schema/model.ts';

/** Stands for the office of admin: no user has this id. */
const OFFICE = { collection: 'users', id: new Types.ObjectId('000000000000000000000000') };

/**
 * Refuses to leave the users without an admin; in the transaction that would remove or demote these. Whoever does
 * that changes the same guards: of two admins who remove each other at once one has to wait, and is refused.
 */
export async function keepAnAdmin(leaving: Types.ObjectId[]): Promise<void> {
  if (!(await modelOf(User).exists({ _id: { $in: leaving }, role: 'admin' }))) return;
  await removeGuards([OFFICE]);
  if (await modelOf(User).exists({ _id: { $nin: leaving }, role: 'admin' })) return;
  throw new Problem('last_admin', 'There must be an admin: make another user one first.');
}

export async function setRole(id: Types.ObjectId, role: Role) {
  if (role !== 'admin') await keepAnAdmin([id]);
  noteEvent({ event: 'role_changed', account: id, reason: role });
  return update(User, id, { role });
}
