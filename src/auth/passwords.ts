import { createRequire } from 'node:module';
import { hash, verify } from '@node-rs/argon2';

const require = createRequire(import.meta.url);

/** Passwords: argon2id, with the parameters that OWASP's cheat sheet recommends first. */

const ARGON2ID = 2;
const COST = { algorithm: ARGON2ID, memoryCost: 19_456, timeCost: 2, parallelism: 1 };

/** The hash of a random, discarded password, with the same cost. */
const NOBODYS =
  '$argon2id$v=19$m=19456,t=2,p=1$WjH589EI9++A+aluTbU84g$B2zL3YL/oRPbC0MeHFeBGbW26xxH9r472noQ0M3o/xU';

/** The password of the demo accounts; public. */
export const DEMO_PASSWORD = 'shelfmark-demo';

/** Passwords with an estimate of fewer guesses are refused. */
const LEAST_GUESSES = 1e8;
/** Estimating takes longer for longer passwords; the characters beyond this cannot make a password easier to guess. */
const MOST_LOOKED_AT = 40;
/** How many readings of digits and signs as letters are tried: zxcvbn's default of 512 takes a tenth of a second. */
const MOST_READINGS = 8;

let estimator: { check: (password: string, own: string[]) => { guesses: number } } | undefined;

/** zxcvbn knows common passwords and patterns. Loaded on first use: its lists take 0.2 s to load. */
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

/** Whether a password is easy to guess, also for somebody who knows its owner's name and address. */
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

/** Unicode normalisation: the same characters from any keyboard give the same password. */
const normal = (given: string): string => given.normalize('NFKC');

export const hashPassword = (given: string): Promise<string> => hash(normal(given), COST);

/**
 * Verifies a password. Without a hash, as for an unknown name, it takes just as long: otherwise the time would reveal
 * which names exist.
 */
export async function isPassword(given: string, digest: string | null | undefined): Promise<boolean> {
  const matches = await verify(digest ?? NOBODYS, normal(given)).catch(() => false);
  return matches && typeof digest === 'string';
}
