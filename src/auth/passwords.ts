import { hash, verify } from '@node-rs/argon2';

/** Passwords: argon2id with the parameters that OWASP's cheat sheet names first. */

const ARGON2ID = 2;
const COST = { algorithm: ARGON2ID, memoryCost: 19_456, timeCost: 2, parallelism: 1 };

/** The digest of a random password that nobody knows, made at the same cost. */
const NOBODYS =
  '$argon2id$v=19$m=19456,t=2,p=1$WjH589EI9++A+aluTbU84g$B2zL3YL/oRPbC0MeHFeBGbW26xxH9r472noQ0M3o/xU';

/** What the demo accounts have; anybody can read it here. */
export const DEMO_PASSWORD = 'shelfmark-demo';

/** Those that everybody tries first, of at least ten characters. */
const COMMON = new Set([
  DEMO_PASSWORD,
  '1234567890',
  '0123456789',
  '0987654321',
  '12345678910',
  '123456789a',
  '1q2w3e4r5t',
  '1qaz2wsx3edc',
  'qwertyuiop',
  'qwerty1234',
  'qwerty12345',
  'qwerty123456',
  'asdfghjkl1',
  'abcdefghij',
  'password12',
  'password123',
  'password1234',
  'password!1',
  'passw0rd123',
  'changeme123',
  'changemenow',
  'letmein123',
  'welcome123',
  'welcome1234',
  'administrator',
  'admin12345',
  'iloveyou123',
  'football123',
  'baseball123',
  'superman123',
]);

/** Whether a password is so common, or so monotonous, that it is tried first. */
export const isCommon = (given: string): boolean =>
  COMMON.has(given.toLowerCase()) || new Set(given).size <= 2;

/** What looks the same is the same, whatever keyboard it was typed on. */
const normal = (given: string): string => given.normalize('NFKC');

export const hashPassword = (given: string): Promise<string> => hash(normal(given), COST);

/**
 * Whether this is the password. Where there is none to compare with, as for an unknown name, it takes as long: else
 * the time would tell which names exist.
 */
export async function isPassword(given: string, digest: string | null | undefined): Promise<boolean> {
  const matches = await verify(digest ?? NOBODYS, normal(given)).catch(() => false);
  return matches && typeof digest === 'string';
}
