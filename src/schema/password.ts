import { isGuessable } from '../auth/passwords.ts';
import { invalid } from '../errors.ts';
import { text } from './fields.ts';

const error = 'is easy to guess: use a longer one, or less common words';
const code = 'too_common';
const hasLength = (given: string): boolean => given.length >= 10 && given.length <= 200;

/** A new password. Passwords at login need not meet this rule, because rules may have changed. */
export const password = () =>
  text(10, 200)
    // Reports one fault at a time: a short password is easy to guess, too.
    .refine((given) => !hasLength(given) || !isGuessable(given), { error, params: { code } })
    .meta({ format: 'password', writeOnly: true, minLength: 10, maxLength: 200 })
    .describe('At least 10 characters, and not easy to guess; never shown');

/** Refuses a password that consists of its owner's name or address. */
export function refuseOwnWords(given: string, own: string[], pointer: string): void {
  if (isGuessable(given, own)) throw invalid([{ in: 'body', pointer, code, message: error }]);
}
