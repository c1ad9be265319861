import { z } from 'zod';
import { caller, callerId } from '../../auth/caller.ts';
import { DEMO_PASSWORD, hashPassword } from '../../auth/passwords.ts';
import { password, refuseOwnWords } from '../../schema/password.ts';
import { type Route, route } from '../../http/route.ts';
import { noteEvent } from '../../schema/changes.ts';
import { read, update } from '../../schema/store.ts';
import { User } from './user.ts';
import { endKeys } from '../keys/end.ts';
import { endOthers } from '../sessions/end.ts';
import { confirmPassword, currentPassword } from './own-password.ts';

export const me = (): Route[] => [
  route({
    method: 'get',
    path: '/me',
    operationId: 'readMe',
    tag: 'auth',
    summary: 'Read your account',
    description: 'The user of this token or API key.',
    policy: { role: 'member', scope: 'users:read' },
    secret: true,
    answer: { status: 200, description: 'The user', schema: User.document, example: User.example },
    handler: () => read(User, callerId()),
  }),
  route({
    method: 'put',
    path: '/me/password',
    operationId: 'changePassword',
    tag: 'auth',
    summary: 'Change your password',
    description: 'Ends all of your other sessions, and removes your API keys unless `keepKeys` is true.',
    policy: { role: 'member' },
    secret: true,
    body: {
      schema: z
        .strictObject({
          currentPassword: currentPassword(),
          newPassword: password(),
          keepKeys: z.boolean().optional().describe('Whether your API keys stay; false by default'),
        })
        .meta({ id: 'PasswordChange', description: 'Your current password and the new one' }),
      example: { currentPassword: DEMO_PASSWORD, newPassword: 'a long way home' },
    },
    answer: { status: 204, description: 'Changed' },
    prepare: async ({ body: { currentPassword, newPassword, keepKeys = false } }) => {
      await confirmPassword(currentPassword);
      const { name, email } = await read(User, callerId());
      refuseOwnWords(newPassword, [name, email], '/newPassword');
      return { passwordHash: await hashPassword(newPassword), keepKeys };
    },
    handler: async ({ body: { passwordHash, keepKeys } }) => {
      await update(User, callerId(), { passwordHash });
      await endOthers(callerId(), caller().session);
      if (!keepKeys) await endKeys(callerId());
      noteEvent({ event: 'password_changed', account: callerId() });
    },
  }),
];
