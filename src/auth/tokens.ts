import {
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
  randomUUID,
  timingSafeEqual,
} from 'node:crypto';
import { jwtVerify, SignJWT } from 'jose';

/** Access tokens: short-lived JWTs (RFC 9068), signed with one of the server's keys. */

export const ACCESS_SECONDS = 15 * 60;

const ALGORITHM = 'EdDSA' as const;
/** The same for every login: OAuth clients are not registered. */
const CLIENT = 'shelfmark';
const TYPE = 'at+jwt';

export interface SigningKey {
  /** Derived from the public key, so that all processes agree. */
  id: string;
  private: KeyObject;
  public: KeyObject;
}

/** The user and session that a token claims. */
export interface Claims {
  user: string;
  session: string;
}

/** The claims of a verified token; `expires` as Date.now() counts. */
type Verified = Claims & { expires: number };

/** The keys of this process: the first one signs, all verify. */
let keys: SigningKey[] = [];
/** Derived from the first key, so that all processes agree; signatures reveal nothing about it. */
let sealingKey: Buffer | undefined;

/** The issuer and audience of tokens. */
let names = { address: '', issuer: '', audience: '' };

interface Naming {
  issuer?: string | undefined;
  audience?: string | undefined;
}

/** `address` is where clients reach the API, and the default issuer of its tokens. */
export function useKeys(
  own: SigningKey[],
  address = 'http://127.0.0.1:3000',
  { issuer = address, audience = 'shelfmark-api' }: Naming = {},
): void {
  keys = own;
  sealingKey = own[0] && sealingKeyOf(own[0]);
  names = { address, issuer, audience };
  verified.clear();
}

const sealingKeyOf = (key: SigningKey): Buffer =>
  Buffer.from(
    hkdfSync('sha256', key.private.export({ type: 'pkcs8', format: 'der' }), '', 'shelfmark seal', 32),
  );

export const issuer = (): string => names.issuer;

/** Where clients reach the API. */
export const ownAddress = (): string => names.address;

/** The public keys that verify tokens, as JWKs (RFC 8037). */
export const publicKeys = () =>
  keys.map(({ id, public: key }) => ({
    kty: 'OKP' as const,
    crv: 'Ed25519' as const,
    x: key.export({ format: 'jwk' }).x as string,
    kid: id,
    use: 'sig' as const,
    alg: ALGORITHM,
  }));

/** Parses one or more private keys in PEM. Throws an Error that says what is wrong without quoting the text. */
export function readKeys(pems: string): SigningKey[] {
  const blocks = pems.replaceAll('\\n', '\n').match(/-----BEGIN [A-Z ]+-----[^-]+-----END [A-Z ]+-----/g);
  if (!blocks) throw new Error('must be one or more private keys as PEM');
  return blocks.map(toKey);
}

function toKey(pem: string): SigningKey {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw new Error('contains a block that is not a PEM private key, or is encrypted');
  }
  if (key.asymmetricKeyType !== 'ed25519') throw new Error('must contain Ed25519 keys only');
  const shared = createPublicKey(key);
  return { id: sha256(shared.export({ type: 'spki', format: 'der' })), private: key, public: shared };
}

/** A new private key in PEM. */
export const makeKey = (): string =>
  generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;

export function signToken({ user, session }: Claims): Promise<string> {
  const [key] = keys;
  if (!key) throw new Error('There is no key to sign with: see useKeys().');
  return new SignJWT({ sid: session, client_id: CLIENT })
    .setProtectedHeader({ alg: ALGORITHM, kid: key.id, typ: TYPE })
    .setIssuer(names.issuer)
    .setAudience(names.audience)
    .setSubject(user)
    .setJti(randomUUID())
    .setIssuedAt()
    .setExpirationTime(`${ACCESS_SECONDS}s`)
    .sign(key.private);
}

/** A cache of verified tokens with their expiry times; the oldest are evicted first. */
const verified = new Map<string, Verified>();
const MAX_VERIFIED = 5_000;

/** The claims of a token, if it is valid and has not expired. */
export async function verifyToken(token: string): Promise<Verified | 'expired' | undefined> {
  const known = verified.get(token);
  if (known) {
    if (known.expires > Date.now()) return known;
    verified.delete(token);
    return 'expired';
  }
  try {
    const { payload } = await jwtVerify(token, ({ kid }) => publicKey(kid), {
      algorithms: [ALGORITHM],
      issuer: names.issuer,
      audience: names.audience,
      typ: TYPE,
      requiredClaims: ['sub', 'sid', 'jti', 'iat', 'exp'],
    });
    const claims = {
      user: String(payload.sub),
      session: String(payload['sid']),
      expires: Number(payload.exp) * 1_000,
    };
    if (!isId(claims.user) || !isId(claims.session)) return undefined;
    if (verified.size >= MAX_VERIFIED) verified.delete(verified.keys().next().value as string);
    verified.set(token, claims);
    return claims;
  } catch (error) {
    return (error as { code?: unknown }).code === 'ERR_JWT_EXPIRED' ? 'expired' : undefined;
  }
}

const isId = (text: string): boolean => /^[0-9a-f]{24}$/.test(text);

/** By the key id alone: keys that the token itself contains or links to are ignored. */
function publicKey(id: unknown): KeyObject {
  const key = keys.find((key) => key.id === id);
  if (!key) throw new Error('unknown key');
  return key.public;
}

/** The random part of a refresh token or API key. Only its digest is stored. */
export const makeSecret = (): string => randomBytes(32).toString('base64url');

/** A fast digest is enough for 256 random bits; passwords need more: see passwords.ts. */
export const digestOf = (secret: string): string => sha256(secret);

/**
 * A keyed digest (HMAC), so that guesses cannot be checked without the server's keys; it changes with the first key.
 */
export const seal = (text: string): string => {
  if (!sealingKey) throw new Error('There is no key to seal with: see useKeys().');
  return createHmac('sha256', sealingKey).update(text).digest('base64url');
};

export const matches = (secret: string, digest: string): boolean =>
  timingSafeEqual(Buffer.from(sha256(secret)), Buffer.from(digest.padEnd(43).slice(0, 43)));

const sha256 = (content: string | Buffer): string => createHash('sha256').update(content).digest('base64url');
