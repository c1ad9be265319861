import { sign } from 'node:crypto';
import { readKeys, type SigningKey } from '../../src/auth/tokens.ts';
import { TOKEN_KEYS } from './callers.ts';

export const [own] = readKeys(TOKEN_KEYS) as [SigningKey];
export const now = (): number => Math.floor(Date.now() / 1000);

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Makes a token that is right but for what a test changes; not by the code that is tested. */
export function forge(
  { header = {}, claims = {} }: { header?: object; claims?: object },
  signed: (text: string) => Buffer = (text) => sign(null, Buffer.from(text), own.private),
) {
  return async (user: string, session: string): Promise<string> => {
    const head = part({ alg: 'EdDSA', kid: own.id, typ: 'at+jwt', ...header });
    const body = part({
      sid: session,
      iss: 'http://127.0.0.1:3000',
      aud: 'shelfmark-api',
      sub: user,
      jti: 'x',
      iat: now(),
      exp: now() + 900,
      ...claims,
    });
    return `${head}.${body}.${signed(`${head}.${body}`).toString('base64url')}`;
  };
}
