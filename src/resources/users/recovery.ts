import { Types } from 'mongoose';
import { z } from 'zod';
import { isGenuine, type Purpose, readLink } from '../../auth/links.ts';
import { sendsMail } from '../../auth/mail.ts';
import { hashPassword } from '../../auth/passwords.ts';
import { Problem } from '../../errors.ts';
import type { Limit } from '../../http/limits.ts';
import { type Route, route } from '../../http/route.ts';
import { noteEvent } from '../../schema/changes.ts';
import { modelOf, QUERY_TIME } from '../../schema/model.ts';
import { password, refuseOwnWords } from '../../schema/password.ts';
import type { Access } from '../../schema/policy.ts';
import type { DocumentOf } from '../../schema/resource.ts';
import { update } from '../../schema/store.ts';
import { endKeys } from '../keys/end.ts';
import { endOthers } from '../sessions/end.ts';
import { knownFromHere } from '../sessions/guesses.ts';
import { asOwner } from './acting.ts';
import { findAccount } from './find.ts';
import { mailChanged, mailReset, mailVerification, stateOf } from './mails.ts';
import { User } from './user.ts';

/** Account recovery by mail: resetting a password, and confirming an address. */

type Account = DocumentOf<typeof User>;

const open: Access = { role: 'anyone', credentials: 'body' };
const HOUR = 60 * 60;

/** So that nobody's mailbox can be flooded. Unknown addresses count too, because the answers must not differ. */
const limitsOf = (what: string): Limit<{ email: string }>[] => [
  { name: what, points: 10, seconds: HOUR, by: ({ body }) => [body.email.toLowerCase()] },
  { name: `${what}-from`, points: 30, seconds: HOUR, by: ({ address }) => [address] },
];

const askFor = (what: string, send: (user: Account) => void) => ({
  method: 'post' as const,
  tag: 'auth',
  policy: open,
  secret: true as const,
  body: {
    schema: z
      .strictObject({ email: User.fields.email })
      .meta({ id: what, description: 'The address of the account' }),
    example: { email: 'theo@example.org' },
  },
  answer: { status: 204 as const, description: 'If there is such an account, a mail is on its way' },
  limits: limitsOf(what),
  problems: ['no_mail' as const],
  handler: async ({ body: { email } }: { body: { email: string } }) => {
    if (!sendsMail())
      throw new Problem(
        'no_mail',
        'This server sends no mail (SMTP_URL is not set): ask an administrator for a new password.',
      );
    const user = await findAccount(email);
    if (user && !user.lockedAt) send(user);
  },
});

const token = z.string().max(2_000).describe('The part of the link in the mail after the #');

/** There is no working example: a document with a valid token would let its readers into the account. */
const fromMail = (operation: string): string =>
  `The token is in the mail that \`${operation}\` sends (the embedded mode shows it at /mails); the token of the example returns 400 \`invalid_link\`.`;

export const recovery = (): Route[] => [
  route({
    ...askFor('ResetRequest', (user) => {
      mailReset(user);
      noteEvent({ event: 'reset_requested', account: user._id });
    }),
    path: '/auth/reset',
    operationId: 'requestReset',
    summary: 'Ask for a new password',
    description:
      'Sends a link for choosing a new password. The answer does not reveal whether the account exists.',
  }),
  route({
    method: 'post',
    path: '/auth/password',
    operationId: 'resetPassword',
    tag: 'auth',
    summary: 'Choose a new password with a link',
    description: `Ends all sessions and removes all API keys of the account. A link can be used once. ${fromMail('requestReset')}`,
    policy: open,
    secret: true,
    body: {
      schema: z
        .strictObject({ token, newPassword: password() })
        .meta({ id: 'PasswordReset', description: 'The token of the link, and the new password' }),
      example: { token: 'reset.65f000000000000000000c03…', newPassword: 'a long way home' },
    },
    answer: { status: 204, description: 'Changed: log in' },
    problems: ['invalid_link'],
    prepare: async ({ body: { token, newPassword } }) => {
      const { user } = await accountOf(token, 'reset');
      refuseOwnWords(newPassword, [user.name, user.email], '/newPassword');
      return { token, passwordHash: await hashPassword(newPassword) };
    },
    handler: async ({ body: { token, passwordHash } }) => {
      const { user } = await accountOf(token, 'reset');
      // Using the link proves that the address is theirs.
      const verifiedAt = user.verifiedAt ?? new Date();
      await asOwner(user._id, () => update(User, user._id, { passwordHash, verifiedAt }));
      await asOwner(user._id, () => endOthers(user._id));
      await asOwner(user._id, () => endKeys(user._id));
      noteEvent({ event: 'password_changed', account: user._id, reason: 'reset' });
      await knownFromHere(user.email);
    },
  }),
  route({
    ...askFor('VerificationRequest', (user) => {
      if (!user.verifiedAt) mailVerification(user);
    }),
    path: '/auth/verification',
    operationId: 'requestVerification',
    summary: 'Ask for a link that confirms an address',
    description:
      'Where the server sends mail, an account must confirm its address before the first login. The first link is sent automatically.',
  }),
  route({
    method: 'post',
    path: '/auth/verify',
    operationId: 'verifyEmail',
    tag: 'auth',
    summary: 'Confirm an address with a link',
    description: `Confirms the address of a new account, or a pending change of address. A link can be used once. ${fromMail('requestVerification')}`,
    policy: open,
    secret: true,
    body: {
      schema: z.strictObject({ token }).meta({ id: 'Verification', description: 'The token of the link' }),
      example: { token: 'verify.65f000000000000000000c03…' },
    },
    answer: { status: 204, description: 'Confirmed' },
    problems: ['invalid_link', 'duplicate_key'],
    handler: async ({ body: { token } }) => {
      const { user, wish } = await accountOf(token, 'verify', 'change-email');
      const email = wish || user.email;
      await asOwner(user._id, () => update(User, user._id, { email, verifiedAt: new Date() }));
      if (wish) {
        noteEvent({ event: 'email_changed', account: user._id });
        mailChanged(user.email);
      } else noteEvent({ event: 'email_verified', account: user._id });
    },
  }),
];

/** The account of a link, while the link is valid. */
async function accountOf(token: string, ...purposes: Purpose[]): Promise<{ user: Account; wish: string }> {
  const link = readLink(token);
  const user =
    link && purposes.includes(link.purpose)
      ? await modelOf(User).findById(new Types.ObjectId(link.user)).maxTimeMS(QUERY_TIME).lean()
      : null;
  if (link && user && !user.lockedAt && isGenuine(token, stateOf[link.purpose](user)))
    return { user, wish: link.wish };
  throw new Problem('invalid_link', 'The link has been used, has expired, or is invalid: request a new one.');
}
