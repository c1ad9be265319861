import { digestOf, makeSecret } from '../../auth/tokens.ts';
import type { Seed } from '../../seed.ts';
import { ApiKey } from './key.ts';

const inAMonth = (): string => new Date(Date.now() + 30 * 24 * 60 * 60 * 1_000).toISOString();

/** Its secret was discarded: the key is only there to be listed and removed. */
export const seeds: Seed[] = [
  [ApiKey, [{ ...ApiKey.example, expiresAt: inAMonth(), digest: digestOf(makeSecret()) }]],
];
