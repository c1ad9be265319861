import { Types } from 'mongoose';
import { forbidden, Problem } from '../../errors.ts';
import { removeGuards } from '../../mongo/guards.ts';
import { noteEvent } from '../../schema/changes.ts';
import { update } from '../../schema/store.ts';
import { caller, hasRole, type Role } from '../../auth/caller.ts';
import { User } from './user.ts';
import { modelOf } from '../../schema/model.ts';

/** Represents the role of admin in guards: no user has this id. */
const OFFICE = { collection: 'users', id: new Types.ObjectId('000000000000000000000000') };

/**
 * Refuses to leave no admin; in the transaction that would remove or demote these users. All such transactions change
 * the same guards, so if two admins remove each other at once, one waits and is refused.
 */
export async function keepAnAdmin(leaving: Types.ObjectId[]): Promise<void> {
  if (!(await modelOf(User).exists({ _id: { $in: leaving }, role: 'admin' }))) return;
  removeGuards([OFFICE]);
  if (await modelOf(User).exists({ _id: { $nin: leaving }, role: 'admin', lockedAt: null })) return;
  throw new Problem('last_admin', 'There must be at least one admin: give another user that role first.');
}

export async function setRole(id: Types.ObjectId, role: Role) {
  if (role !== 'admin') await keepAnAdmin([id]);
  return update(User, id, (user) => {
    if (user.role !== role) noteEvent({ event: 'role_changed', account: id, reason: role });
    return { role };
  });
}

/** Refuses an API key that would change an admin other than its owner. */
export async function refuseKeyOnAdmins(id: Types.ObjectId): Promise<void> {
  const { key, id: own } = caller();
  if (!key || own?.equals(id)) return;
  if (await modelOf(User).exists({ _id: id, role: 'admin' }))
    throw forbidden('An API key cannot change another admin: log in.');
}

/** Accounts are removed by an admin, or by their owner at DELETE /me, which requires the password. */
export async function refuseRemovalByToken(): Promise<void> {
  const who = caller();
  if (!hasRole(who, 'admin'))
    throw forbidden('Remove your account with DELETE /me, which requires your password.');
}
