import type { Types } from 'mongoose';
import { byId, type Route, route } from '../../http/route.ts';
import { noteEvent } from '../../schema/changes.ts';
import { read, update } from '../../schema/store.ts';
import { endKeys } from '../keys/end.ts';
import { endOthers } from '../sessions/end.ts';
import { asCommand } from './acting.ts';
import { keepAnAdmin } from './admins.ts';
import { User } from './user.ts';

const common = {
  tag: 'users',
  policy: { role: 'admin' as const },
  params: byId(User, '65f000000000000000000c03'),
};
const theUser = {
  status: 200 as const,
  description: 'The user',
  schema: User.document,
  example: User.example,
};

export const locks = (): Route[] => [
  route({
    ...common,
    method: 'put',
    path: '/users/{id}/lock',
    operationId: 'lockUser',
    about: User,
    summary: 'Lock an account',
    description:
      'Prevents logins and password resets, ends its sessions and removes its API keys. Its documents stay.',
    answer: theUser,
    problems: ['last_admin'],
    handler: async ({ params: { id } }) => {
      const { lockedAt } = await read(User, id);
      await keepAnAdmin([id]);
      await endAccess(id);
      noteEvent({ event: 'locked', account: id });
      return asCommand(() => update(User, id, { lockedAt: lockedAt ?? new Date() }));
    },
  }),
  route({
    ...common,
    method: 'delete',
    path: '/users/{id}/lock',
    operationId: 'unlockUser',
    about: User,
    summary: 'Unlock an account',
    description: 'The owner can log in again with the same password.',
    answer: theUser,
    handler: ({ params: { id } }) => {
      noteEvent({ event: 'unlocked', account: id });
      return asCommand(() => update(User, id, { lockedAt: null }));
    },
  }),
  route({
    ...common,
    method: 'delete',
    path: '/users/{id}/sessions',
    operationId: 'endAccess',
    summary: 'End all sessions and keys of a user',
    description: 'All tokens and API keys of the user become invalid; the user can still log in.',
    answer: { status: 204, description: 'Ended' },
    handler: async ({ params: { id } }) => {
      await read(User, id);
      await endAccess(id);
      noteEvent({ event: 'session_ended', account: id, reason: 'all' });
    },
  }),
];

async function endAccess(user: Types.ObjectId): Promise<void> {
  await endOthers(user);
  await endKeys(user);
}
