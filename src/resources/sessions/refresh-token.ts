import { Types } from 'mongoose';
import { ACCESS_SECONDS, digestOf, signToken } from '../../auth/tokens.ts';

/**
 * The parts of a refresh token: its session, a secret shared by all refresh tokens of the session, and its own secret.
 */
interface RefreshToken {
  session: Types.ObjectId;
  origin: string;
  secret: string;
}

/** A malformed token is parsed as one of a session that does not exist. */
export function parse(token: string): RefreshToken {
  const [, id, origin = '', secret = ''] = /^([0-9a-f]{24})\.([\w-]{43})\.([\w-]{43})$/.exec(token) ?? [];
  return { session: new Types.ObjectId(id), origin, secret };
}

/** The stored form of a new refresh token: never the token itself. */
export const made = (secret: string, previous: string | null = null) => ({
  digest: digestOf(secret),
  previous,
  since: new Date(),
});

export interface Tokens {
  access_token: string;
  token_type: 'Bearer';
  expires_in: number;
  refresh_token: string;
}

export const tokensOf = async (
  user: Types.ObjectId,
  { session, origin, secret }: RefreshToken,
): Promise<Tokens> => ({
  access_token: await signToken({ user: user.toHexString(), session: session.toHexString() }),
  token_type: 'Bearer',
  expires_in: ACCESS_SECONDS,
  refresh_token: `${session.toHexString()}.${origin}.${secret}`,
});
