import { caller, hasRole } from '../../auth/caller.ts';
import { origin } from '../../auth/origin.ts';
import { Problem } from '../../errors.ts';
import { budget } from '../../mongo/budget.ts';
import { digest } from '../../schema/etag.ts';

/**
 * How many accounts may be made from one place. Counted where an account is made, by whatever route and also where it
 * is only tried: the answer tells whether an address is taken, and each account costs time of the processor. By the
 * address always: an account that has just been made is nobody to count by.
 */

const seconds = 60 * 60;
/** For the networks of an address, the narrowest first. */
const LIMITS = [
  budget({ name: 'registrations', points: 30, seconds }),
  budget({ name: 'registrations-wide', points: 200, seconds }),
];

export async function countRegistration(): Promise<void> {
  const from = origin();
  // The operator's scripts, and admins, make accounts for others.
  if (!from || hasRole(caller(), 'admin')) return;
  for (const [i, limit] of LIMITS.entries()) {
    const network = from.networks[i];
    if (network === undefined) continue;
    const { granted, reset } = await limit.take(digest(network));
    if (!granted) throw tooMany(Math.ceil(reset / 1_000));
  }
}

const tooMany = (seconds: number): Problem =>
  new Problem('rate_limited', `Too many accounts were made from here; try again in ${seconds} seconds.`, {
    headers: { 'Retry-After': String(seconds) },
    event: { event: 'registration_delayed' },
  });
