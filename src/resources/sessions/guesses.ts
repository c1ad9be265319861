import { callerId, caller } from '../../auth/caller.ts';
import { origin } from '../../auth/origin.ts';
import { Problem } from '../../errors.ts';
import { count, countApart, forgive, look, type Patience, remember } from '../../mongo/patience.ts';
import { digest } from '../../schema/etag.ts';

/**
 * Guesses at passwords. Each wrong one counts for the address it comes from, for the /64 and /48 around an IPv6
 * address, and for the account; where too many have been wrong, the next one has to wait. Nothing is ever locked:
 *
 * - From an address that has logged in to the account lately, only wrong guesses from that address at that account
 *   count. So neither strangers nor neighbours behind the same address keep its owner out.
 * - An account that is being guessed at makes each new network wait by itself. So guesses from elsewhere do not use up
 *   the turn of an owner who comes from a new address.
 */

const ADDRESS: Patience = { name: 'address', free: 20, forgiven: 60 };
/** Many households. */
const WIDE: Patience = { name: 'network', free: 60, forgiven: 20 };
const ACCOUNT: Patience = { name: 'account', free: 20, forgiven: 60 };
const KNOWN: Patience = { name: 'known', free: 10, forgiven: 60 };
/** Of somebody who has logged in, as a stolen token has. */
const SESSION: Patience = { name: 'session', free: 5, forgiven: 60 };

/** How long an address stays known to an account after a login, in seconds. */
const LATELY = 30 * 24 * 60 * 60;

interface Counter {
  patience: Patience;
  key: string;
  /** Whether each network waits for itself. */
  apart?: true;
}

/** Where a guess at an account comes from. */
function placeOf(name: string) {
  const [address = '', wide] = origin()?.networks ?? [];
  // What clients type may be long, and nobody else's business.
  const account = digest(name.toLowerCase());
  const here = digest(JSON.stringify([account, address]));
  return { account, address, wide, here, known: `login:${here}` };
}

/** Runs a login's guess at a password; one that is not let in throws a 429. */
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
  // Whoever has to wait costs this one read: the counts are written where it is certain by then.
  for (const counter of counters) {
    const seconds = found.get(idOf(counter, place)) ?? 0;
    if (seconds > 0) throw tooMany(seconds, counter);
  }
  const result = await guessing(counters, place, work);
  await remember(known, LATELY);
  return result;
}

/** Whoever has shown by mail that an account is his gets in from here, whatever others try. */
export const knownFromHere = (name: string): Promise<void> => remember(placeOf(name).known, LATELY);

const idOf = ({ patience, key, apart }: Counter, place: string): string =>
  [patience.name, key, ...(apart ? [place] : [])].join(':');

/** Runs the guess at the password of the caller. It counts for the session, so that its thief cannot find it. */
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
      // What one of them does not let in has tried nothing, for the others.
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
    // A failure of ours tells nobody whether the guess was right.
    if (!(error instanceof Problem) || error.status >= 500) await takeBack();
    throw error;
  }
}

const tooMany = (seconds: number, { patience }: Counter): Problem =>
  new Problem('rate_limited', `Too many wrong passwords; try again in ${seconds} seconds.`, {
    headers: { 'Retry-After': String(seconds) },
    event: { event: 'login_delayed', reason: patience.name },
  });
