import type { Types } from 'mongoose';
import { z } from 'zod';
import { callerId } from '../../auth/caller.ts';
import { sendsMail } from '../../auth/mail.ts';
import { DEMO_PASSWORD } from '../../auth/passwords.ts';
import { byId, type Route, route } from '../../http/route.ts';
import { noteEvent } from '../../schema/changes.ts';
import { modelOf } from '../../schema/model.ts';
import { read, update } from '../../schema/store.ts';
import { asCommand } from './acting.ts';
import { mailChange, mailChanged, mailTaken, mailVerification } from './mails.ts';
import { confirmPassword, currentPassword } from './own-password.ts';
import { User } from './user.ts';

/** The address is the login name and receives password resets, so a token or key alone cannot change it. */

const body = (example: string) => ({
  schema: z
    .strictObject({ email: User.fields.email, currentPassword: currentPassword() })
    .meta({ id: 'EmailChange', description: 'The new address, and the password of the caller' }),
  example: { email: example, currentPassword: DEMO_PASSWORD },
});

const HOUR = 60 * 60;

export const emails = (): Route[] => [
  route({
    method: 'put',
    path: '/me/email',
    operationId: 'changeEmail',
    tag: 'auth',
    summary: 'Change your e-mail address',
    description:
      'Where the server sends mail, the new address gets a link and replaces the old one when the link is opened; the old address is notified. Otherwise it changes at once.',
    policy: { role: 'member' },
    secret: true,
    body: body('admin.new@example.org'),
    answer: {
      status: 200,
      description: 'Your address, and the pending one',
      schema: z
        .strictObject({
          email: User.fields.email,
          pending: User.fields.email.nullable().describe('The new address, until its link is opened'),
        })
        .meta({ id: 'EmailChanged', description: 'The present and the pending e-mail address' }),
      example: { email: 'admin.new@example.org', pending: null },
    },
    // Without mails, the answer reveals whether an address is taken.
    limits: [{ name: 'emails', points: 5, seconds: HOUR, by: ({ account }) => [account as string] }],
    problems: ['duplicate_key'],
    prepare: async ({ body }) => {
      await confirmPassword(body.currentPassword);
      return body;
    },
    handler: async ({ body: { email } }) => {
      const user = await read(User, callerId());
      if (!sendsMail()) return { email: (await setEmail(user._id, email)).email, pending: null };
      noteEvent({ event: 'email_requested', account: user._id });
      // The same answer if it is taken: only the owner of the address is told, by mail.
      if (await modelOf(User).exists({ email: { $eq: email } })) mailTaken(email);
      else mailChange(user, email);
      return { email: user.email, pending: email };
    },
  }),
  route({
    method: 'put',
    path: '/users/{id}/email',
    operationId: 'setEmail',
    tag: 'users',
    summary: 'Change the e-mail address of a user',
    description:
      'Where the server sends mail, the old address is notified and the new one must be confirmed.',
    policy: { role: 'admin' },
    about: User,
    secret: true,
    params: byId(User, '65f000000000000000000c03'),
    body: body('theo.silent@example.org'),
    answer: { status: 200, description: 'The user', schema: User.document, example: User.example },
    problems: ['duplicate_key'],
    prepare: async ({ body }) => {
      await confirmPassword(body.currentPassword);
      return body;
    },
    handler: ({ params, body }) => setEmail(params.id, body.email),
  }),
];

/** Changes an address that is not confirmed yet. */
async function setEmail(id: Types.ObjectId, email: string) {
  const { email: old } = await read(User, id);
  const user = await asCommand(() => update(User, id, { email, verifiedAt: null }));
  noteEvent({ event: 'email_changed', account: id });
  mailChanged(old);
  mailVerification(user);
  return user;
}
