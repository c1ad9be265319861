import { createRequire } from 'node:module';
import { hash, verify } from '@node-rs/argon2';

const require = createRequire(import.meta.url);

/** Passwords: argon2id with the parameters that OWASP's cheat sheet names first. */

const ARGON2ID = 2;
const COST = { algorithm: ARGON2ID, memoryCost: 19_456, timeCost: 2, parallelism: 1 };

/** The digest of a random password that nobody knows, made at the same cost. */
const NOBODYS =
  '$argon2id$v=19$m=19456,t=2,p=1$WjH589EI9++A+aluTbU84g$B2zL3YL/oRPbC0MeHFeBGbW26xxH9r472noQ0M3o/xU';

/** What the demo accounts have; anybody can read it here. */
export const DEMO_PASSWORD = 'shelfmark-demo';

/** An estimate of fewer guesses than this is refused. */
const LEAST_GUESSES = 1e8;
/** Estimating takes longer the longer a password is; what has so many characters is not guessed by its end. */
const MOST_LOOKED_AT = 40;
/** The readings of digits and signs as letters that are tried: with zxcvbn's 512 a password takes a tenth of a second. */
const MOST_READINGS = 8;

let estimator: { check: (password: string, own: string[]) => { guesses: number } } | undefined;

/** zxcvbn knows the common passwords and patterns. Loaded when it is first needed: its lists take a fifth of a second. */
function loadEstimator() {
  const { ZxcvbnFactory } = require('@zxcvbn-ts/core') as typeof import('@zxcvbn-ts/core');
  const { adjacencyGraphs: graphs, dictionary } =
    require('@zxcvbn-ts/language-common') as typeof import('@zxcvbn-ts/language-common');
  return new ZxcvbnFactory({
    dictionary,
    graphs,
    maxLength: MOST_LOOKED_AT,
    l33tMaxSubstitutions: MOST_READINGS,
  });
}

/** Whether a password is easy to guess, also for somebody who knows the name and address of its owner. */
export function isGuessable(given: string, own: string[] = []): boolean {
  estimator ??= loadEstimator();
  const words = [
    DEMO_PASSWORD,
    'shelfmark',
    ...own.flatMap((text) => [text, ...text.split(/[^\p{L}\p{N}]+/u)]),
  ];
  const { guesses } = estimator.check(
    given.slice(0, MOST_LOOKED_AT),
    words.filter((word) => word.length > 2),
  );
  return guesses < LEAST_GUESSES;
}

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
