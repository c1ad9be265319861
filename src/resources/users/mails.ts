import { linkToken } from '../../auth/links.ts';
import { sendsMail } from '../../auth/mail.ts';
import { ownAddress } from '../../auth/tokens.ts';
import { noteMail } from '../../schema/changes.ts';
import type { DocumentOf } from '../../schema/resource.ts';
import type { User } from './user.ts';

/** Mails to users about their accounts, sent after the transaction has committed. */

type Account = DocumentOf<typeof User>;

const HOUR = 60 * 60;

/** The state that must be unchanged for a link to work, so that each works once. */
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
    'Someone asked to reset the password of your account. To choose a new one, open this link within an hour:',
    linkTo(user, 'reset', 1),
    'If it was not you, do nothing: your password stays as it is.',
  ]);

export const mailVerification = (user: Account): void =>
  write(user.email, 'Confirm your e-mail address', () => [
    'To confirm that this address is yours, open this link within a day:',
    linkTo(user, 'verify', 24),
    'If you have no account with us, do nothing: an account with your address cannot be used without this.',
  ]);

/** Asks the new address to confirm, and notifies the old one. */
export function mailChange(user: Account, email: string): void {
  write(email, 'Confirm your new e-mail address', () => [
    'To make this the address of your account, open this link within a day:',
    linkTo(user, 'change-email', 24, email),
    'If you did not ask for it, do nothing.',
  ]);
  write(user.email, 'Your e-mail address is about to change', () => [
    'Someone who knows your password asked to change the e-mail address of your account.',
    'If it was not you, change your password now: that cancels the request.',
  ]);
}

export const mailTaken = (email: string): void =>
  write(email, 'Your e-mail address', () => [
    'Someone asked to use this address for another account. It already belongs to yours, so nothing was changed.',
  ]);

export const mailChanged = (old: string): void =>
  write(old, 'Your e-mail address was changed', () => [
    'The e-mail address of your account was changed. If that was not you, contact an administrator.',
  ]);

/** The text is only made if mails are sent: links need the server's keys, which a command does not have. */
function write(to: string, subject: string, paragraphs: () => string[]): void {
  if (!sendsMail()) return;
  noteMail({ to, subject: `Shelfmark: ${subject}`, text: `${paragraphs().join('\n\n')}\n` });
}
