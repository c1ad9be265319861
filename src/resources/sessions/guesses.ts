import { callerId, caller } from '../../auth/caller.ts';
import { origin } from '../../auth/origin.ts';
import { Problem } from '../../errors.ts';
import { count, countApart, forgive, look, type Patience, remember } from '../../mongo/patience.ts';
import { digest } from '../../schema/etag.ts';

/**
 * Limits on password guessing. A wrong password counts for its address, for the /64 and /48 around an IPv6 address, and
 * for the account; after too many, the next attempt has to wait. Nothing is ever locked:
 *
 * - For an address that has logged in to the account recently, only wrong passwords from that address for that account
 *   count. So neither strangers nor neighbours behind the same address can keep its owner out.
 * - An account under attack makes each new network wait separately. So guesses from elsewhere do not use up the attempts
 *   of an owner who comes from a new address.
 */

const ADDRESS: Patience = { name: 'address', free: 20, forgiven: 60 };
/** A /48 may contain many households. */
const WIDE: Patience = { name: 'network', free: 60, forgiven: 20 };
const ACCOUNT: Patience = { name: 'account', free: 20, forgiven: 60 };
const KNOWN: Patience = { name: 'known', free: 10, forgiven: 60 };
/** For password checks of a logged-in user: a stolen token could guess, too. */
const SESSION: Patience = { name: 'session', free: 5, forgiven: 60 };

/** How long an account remembers an address after a login, in seconds. */
const LATELY = 30 * 24 * 60 * 60;

interface Counter {
  patience: Patience;
  key: string;
  /** Whether each network waits separately. */
  apart?: true;
}

/** The address and account of a guess. */
function placeOf(name: string) {
  const [address = '', wide] = origin()?.networks ?? [];
  // Hashed: client input may be long, and is private.
  const account = digest(name.toLowerCase());
  const here = digest(JSON.stringify([account, address]));
  return { account, address, wide, here, known: `login:${here}` };
}

/** Runs a login's password check; throws a 429 if it has to wait. */
export async function guessingAs<T>(name: string, work: () => Promise<T>): Promise<T> {
  const { account, address, wide, here, known } = placeOf(name);
  const place = wide ?? address;
  const asKnown: Counter[] = [{ patience: KNOWN, key: here }];
  const asStranger: Counter[] = [
    { patience: ADDRESS, key: address },
    ...(wide === undefined ? [] : [{ patience: WIDE, key: wide }]),
    { patience: ACCOUNT, key: account, apart: true },
  ];
  const found = await look([known, ...[...asKnown, ...asStranger].map((counter) => idOf(counter, place))]);
  const counters = found.has(known) ? asKnown : asStranger;
  // A request that has to wait costs only this read: the counts are written when it is admitted.
  for (const counter of counters) {
    const seconds = found.get(idOf(counter, place)) ?? 0;
    if (seconds > 0) throw tooMany(seconds, counter);
  }
  const result = await guessing(counters, place, work);
  await remember(known, LATELY);
  return result;
}

/** A user who has proved by mail that the account is theirs may log in from here, whatever others try. */
export const knownFromHere = (name: string): Promise<void> => remember(placeOf(name).known, LATELY);

const idOf = ({ patience, key, apart }: Counter, place: string): string =>
  [patience.name, key, ...(apart ? [place] : [])].join(':');

/** Runs a check of the caller's password. It counts per session, so that a thief of the session cannot guess it. */
export const guessingOwn = <T>(work: () => Promise<T>): Promise<T> =>
  guessing([{ patience: SESSION, key: String(caller().session ?? callerId()) }], '', work);

async function guessing<T>(counters: Counter[], place: string, work: () => Promise<T>): Promise<T> {
  const counted: Counter[] = [];
  const takeBack = async () => {
    for (const { patience, key } of counted) await forgive(patience, key);
  };
  for (const counter of counters) {
    const { patience, key, apart } = counter;
    const seconds = await (apart ? countApart(patience, key, place) : count(patience, key));
    if (seconds > 0) {
      // If one counter refuses, nothing was tried as far as the others are concerned.
      await takeBack();
      throw tooMany(seconds, counter);
    }
    counted.push(counter);
  }
  try {
    const result = await work();
    await takeBack();
    return result;
  } catch (error) {
    // A failure of the server reveals nothing about the guess.
    if (!(error instanceof Problem) || error.status >= 500) await takeBack();
    throw error;
  }
}

const tooMany = (seconds: number, { patience }: Counter): Problem =>
  new Problem('rate_limited', `Too many wrong passwords; try again in ${seconds} seconds.`, {
    headers: { 'Retry-After': String(seconds) },
    event: { event: 'login_delayed', reason: patience.name },
  });
