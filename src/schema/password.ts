import { isGuessable } from '../auth/passwords.ts';
import { invalid } from '../errors.ts';
import { text } from './fields.ts';

const error = 'is easy to guess: take a longer one, or less common words';
const code = 'too_common';
const hasLength = (given: string): boolean => given.length >= 10 && given.length <= 200;

/** A password that is being set. One that is only presented need not meet this rule, because rules may have changed. */
export const password = () =>
  text(10, 200)
    // One fault at a time: a short one is easy to guess, too.
    .refine((given) => !hasLength(given) || !isGuessable(given), { error, params: { code } })
    .meta({ format: 'password', writeOnly: true, minLength: 10, maxLength: 200 })
    .describe('At least 10 characters, and not easy to guess; it is never shown');

/** Refuses a password that is made of the name or the address of its owner. */
export function refuseOwnWords(given: string, own: string[], pointer: string): void {
  if (isGuessable(given, own)) throw invalid([{ in: 'body', pointer, code, message: error }]);
}
