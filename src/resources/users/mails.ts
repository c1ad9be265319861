import { linkToken } from '../../auth/links.ts';
import { sendsMail } from '../../auth/mail.ts';
import { ownAddress } from '../../auth/tokens.ts';
import { noteMail } from '../../schema/changes.ts';
import type { DocumentOf } from '../../schema/resource.ts';
import type { User } from './user.ts';

/** What is written to users about their accounts. It is sent when the transaction has ended well. */

type Account = DocumentOf<typeof User>;

const HOUR = 60 * 60;

/** What must not have changed since a link was sent, so that each is good once. */
export const stateOf = {
  reset: ({ email, passwordHash }: Account) => [email, passwordHash],
  verify: ({ email, verifiedAt }: Account) => [email, verifiedAt],
  'change-email': ({ email, passwordHash }: Account) => [email, passwordHash],
};

const linkTo = (user: Account, purpose: keyof typeof stateOf, hours: number, wish = ''): string => {
  const token = linkToken({ purpose, user: String(user._id), wish }, stateOf[purpose](user), hours * HOUR);
  return `${ownAddress()}/account#${token}`;
};

export const mailReset = (user: Account): void =>
  write(user.email, 'Reset your password', () => [
    'Somebody asked to reset the password of your account. To choose a new one, open this link within an hour:',
    linkTo(user, 'reset', 1),
    'If it was not you, do nothing: your password stays as it is.',
  ]);

export const mailVerification = (user: Account): void =>
  write(user.email, 'Confirm your e-mail address', () => [
    'To confirm that this address is yours, open this link within a day:',
    linkTo(user, 'verify', 24),
    'If you have no account with us, do nothing: without this nobody can use one with your address.',
  ]);

/** Asks the new address, and tells the old one. */
export function mailChange(user: Account, email: string): void {
  write(email, 'Confirm your new e-mail address', () => [
    'To make this the address of your account, open this link within a day:',
    linkTo(user, 'change-email', 24, email),
    'If you did not ask for it, do nothing.',
  ]);
  write(user.email, 'Your e-mail address is about to change', () => [
    'Somebody who knows your password asked to give your account another e-mail address.',
    'If it was not you, change your password now: then the request is void.',
  ]);
}

export const mailTaken = (email: string): void =>
  write(email, 'Your e-mail address', () => [
    'Somebody asked to make this the address of another account. It is that of yours already, so nothing was changed.',
  ]);

export const mailChanged = (old: string): void =>
  write(old, 'Your e-mail address was changed', () => [
    'Your account has another e-mail address now. If you did not want that, ask an administrator.',
  ]);

/** The text is made only where mails are sent: a link needs the keys of a server, which a command has not. */
function write(to: string, subject: string, paragraphs: () => string[]): void {
  if (!sendsMail()) return;
  noteMail({ to, subject: `Shelfmark: ${subject}`, text: `${paragraphs().join('\n\n')}\n` });
}
