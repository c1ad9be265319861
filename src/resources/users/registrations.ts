import { caller, hasRole } from '../../auth/caller.ts';
import { origin } from '../../auth/origin.ts';
import { Problem } from '../../errors.ts';
import { budget } from '../../mongo/budget.ts';
import { digest } from '../../schema/etag.ts';

/**
 * Limits new accounts per network. Failed attempts and dry runs count too, by whatever route: the answer reveals
 * whether an address is taken, and hashing a password is expensive. Always counted by address: a new account has no
 * identity to count by.
 */

const seconds = 60 * 60;
/** By the networks of an address, narrowest first. */
const LIMITS = [
  budget({ name: 'registrations', points: 30, seconds }),
  budget({ name: 'registrations-wide', points: 200, seconds }),
];

export async function countRegistration(): Promise<void> {
  const from = origin();
  // Scripts and admins create accounts for others.
  if (!from || hasRole(caller(), 'admin')) return;
  for (const [i, limit] of LIMITS.entries()) {
    const network = from.networks[i];
    if (network === undefined) continue;
    const { granted, reset } = await limit.take(digest(network));
    if (!granted) throw tooMany(Math.ceil(reset / 1_000));
  }
}

const tooMany = (seconds: number): Problem =>
  new Problem(
    'rate_limited',
    `Too many accounts were created from your network; try again in ${seconds} seconds.`,
    {
      headers: { 'Retry-After': String(seconds) },
      event: { event: 'registration_delayed' },
    },
  );
