import { digestOf, makeSecret } from '../../auth/tokens.ts';
import type { Seed } from '../../seed.ts';
import { Session } from './session.ts';

const inAMonth = (): string => new Date(Date.now() + 30 * 24 * 60 * 60 * 1_000).toISOString();

/** Its secrets were discarded: the session is only there to be listed and ended. */
export const seeds: Seed[] = [
  [Session, [{ ...Session.example, expiresAt: inAMonth(), origin: digestOf(makeSecret()), tokens: [] }]],
];
