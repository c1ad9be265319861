import { z } from 'zod';
import { caller, callerId } from '../../auth/caller.ts';
import { DEMO_PASSWORD, hashPassword, isPassword } from '../../auth/passwords.ts';
import { password } from '../../schema/password.ts';
import { invalid } from '../../errors.ts';
import { type Route, route } from '../../http/route.ts';
import { read, update } from '../../schema/store.ts';
import { User } from './user.ts';
import { endOthers } from '../sessions/login.ts';

export const me = (): Route[] => [
  route({
    method: 'get',
    path: '/me',
    operationId: 'readMe',
    tag: 'auth',
    summary: 'Read who you are',
    description: 'The user whose token or API key this is.',
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
    description: 'All of your other sessions end. API keys stay: remove those that you do not trust.',
    policy: { role: 'member' },
    secret: true,
    body: {
      schema: z
        .strictObject({
          currentPassword: z.string().max(1_000).meta({ format: 'password', writeOnly: true }),
          newPassword: password(),
        })
        .meta({ id: 'PasswordChange', description: 'The password that you have, and the one that you want' }),
      example: { currentPassword: DEMO_PASSWORD, newPassword: 'a long way home' },
    },
    answer: { status: 204, description: 'It is changed' },
    // Whoever has found a token must not find the password, too.
    limits: [
      {
        name: 'password',
        points: 10,
        seconds: 15 * 60,
        onlyRefused: true,
        by: ({ account }) => [account as string],
      },
    ],
    handler: async ({ body: { currentPassword, newPassword } }) => {
      const { passwordHash } = await read(User, callerId());
      if (!(await isPassword(currentPassword, passwordHash))) throw wrongPassword();
      await update(User, callerId(), { passwordHash: await hashPassword(newPassword) });
      await endOthers(callerId(), caller().session);
    },
  }),
];

const wrongPassword = () =>
  invalid([
    { in: 'body', pointer: '/currentPassword', code: 'wrong_password', message: 'is not your password' },
  ]);
