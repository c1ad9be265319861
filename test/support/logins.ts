import { hashPassword } from '../../src/auth/passwords.ts';
import { anAddress, from } from './addresses.ts';
import { aUser } from './factories.ts';
import type { Answer, useApi } from './harness.ts';

/** Logging in as a client does it, from an address that a test chooses; the API must trust one proxy. */

export const PASSWORD = 'a long way to a small, angry planet';
export const passwordHash = await hashPassword(PASSWORD);

export const someone = (fields: object = {}) => aUser({ passwordHash, ...fields });

export function logins(api: ReturnType<typeof useApi>) {
  const form = (
    path: string,
    fields: Record<string, string> | string,
    headers: Record<string, string> = {},
  ): Promise<Answer> =>
    api.call('POST', path, {
      as: '',
      raw: new URLSearchParams(fields).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded', ...from(anAddress()), ...headers },
    });
  const logIn = (username: string, password = PASSWORD, address = anAddress()) =>
    form('/auth/token', { grant_type: 'password', username, password }, from(address));
  const refresh = (refresh_token: string, address = anAddress()) =>
    form('/auth/token', { grant_type: 'refresh_token', refresh_token }, from(address));
  /** A user who has logged in. */
  const loggedIn = async (fields: object = {}, address = anAddress()) => {
    const user = await someone(fields);
    const { body } = await logIn(user.email, PASSWORD, address);
    return { user, access: body.access_token as string, refresh: body.refresh_token as string };
  };
  return { form, logIn, refresh, loggedIn };
}
