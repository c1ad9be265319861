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

/** Access tokens: JWTs that live for minutes, signed by one of our own keys (RFC 9068). */

export const ACCESS_SECONDS = 15 * 60;

const ALGORITHM = 'EdDSA' as const;
/** There is one client, whoever logs in: clients are not registered. */
const CLIENT = 'shelfmark';
const TYPE = 'at+jwt';

export interface SigningKey {
  /** Made from the public key, so that it is the same on every process. */
  id: string;
  private: KeyObject;
  public: KeyObject;
}

/** Who a token says is calling, and in which session. */
export interface Claims {
  user: string;
  session: string;
}

/** Of a token whose signature is right; `expires` is a time as Date.now() gives it. */
type Verified = Claims & { expires: number };

/** The keys of this process; the first signs, all verify. */
let keys: SigningKey[] = [];
/** Made from the first key, so that it is the same on every process; no signature tells anything of it. */
let sealingKey: Buffer | undefined;

/** What tokens say of the server that made them, and whom they are for. */
let names = { address: '', issuer: '', audience: '' };

interface Naming {
  issuer?: string | undefined;
  audience?: string | undefined;
}

/** `address` is where clients reach the API; unless told otherwise, its tokens name it as their issuer. */
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

/** What verifies our tokens, as JSON (RFC 8037). */
export const publicKeys = () =>
  keys.map(({ id, public: key }) => ({
    kty: 'OKP' as const,
    crv: 'Ed25519' as const,
    x: key.export({ format: 'jwk' }).x as string,
    kid: id,
    use: 'sig' as const,
    alg: ALGORITHM,
  }));

/** The keys of a text of one or more PEMs. Throws an Error that says what is wrong, and never quotes the text. */
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
    throw new Error('has something that is no private key as PEM, or that needs a passphrase');
  }
  if (key.asymmetricKeyType !== 'ed25519') throw new Error('must be of Ed25519 keys only');
  const shared = createPublicKey(key);
  return { id: sha256(shared.export({ type: 'spki', format: 'der' })), private: key, public: shared };
}

/** A new key as PEM. */
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

/** Tokens whose signature has been found right, with the time at which they expire; the oldest go first. */
const verified = new Map<string, Verified>();
const MAX_VERIFIED = 5_000;

/** What a token says, if it is one of ours and has not expired. */
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

/** By the id alone: a key that the token itself brings or points to is not looked at. */
function publicKey(id: unknown): KeyObject {
  const key = keys.find((key) => key.id === id);
  if (!key) throw new Error('unknown key');
  return key.public;
}

/** The part that nobody can guess of a refresh token or an API key. Only its digest is stored. */
export const makeSecret = (): string => randomBytes(32).toString('base64url');

/** Fast, because what it digests has 256 random bits; a password needs more: see passwords.ts. */
export const digestOf = (secret: string): string => sha256(secret);

/** A digest that nobody can check a guess by who does not have our keys; another one when the first key changes. */
export const seal = (text: string): string => {
  if (!sealingKey) throw new Error('There is no key to seal with: see useKeys().');
  return createHmac('sha256', sealingKey).update(text).digest('base64url');
};

export const matches = (secret: string, digest: string): boolean =>
  timingSafeEqual(Buffer.from(sha256(secret)), Buffer.from(digest.padEnd(43).slice(0, 43)));

const sha256 = (content: string | Buffer): string => createHash('sha256').update(content).digest('base64url');
