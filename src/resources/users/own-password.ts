import { z } from 'zod';
import { callerId } from '../../auth/caller.ts';
import { isPassword } from '../../auth/passwords.ts';
import { invalid } from '../../errors.ts';
import { read } from '../../schema/store.ts';
import { User } from './user.ts';
import { guessingOwn } from '../sessions/guesses.ts';

/** Actions for which a token is not enough require the caller's password too, because a token can be stolen. */
export const currentPassword = () =>
  z
    .string()
    .max(1_000)
    .meta({ format: 'password', writeOnly: true })
    .describe('Your password: a token alone is not enough here');

/** Refuses a wrong password of the caller. Before the transaction, because it is slow. */
export const confirmPassword = (given: string): Promise<void> =>
  guessingOwn(async () => {
    const { passwordHash } = await read(User, callerId());
    if (await isPassword(given, passwordHash)) return;
    throw invalid(
      [{ in: 'body', pointer: '/currentPassword', code: 'wrong_password', message: 'is not your password' }],
      { event: 'password_wrong', account: callerId() },
    );
  });
