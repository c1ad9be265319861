import { AsyncLocalStorage } from 'node:async_hooks';
import { Problem } from '../../errors.ts';
import { type Claims, dueBy, transaction } from '../transaction.ts';
import type { Member } from './member.ts';
import { loners, perform } from './perform.ts';

/**
 * Group commit: requests that only create are written together, many in one transaction, as databases do with their
 * logs. Requests that arrive while three groups are under way join the next group; a request that finds a free place
 * starts at once, so none waits for company. Each gets the answer that it would get alone.
 */

/** The most groups under way at once. */
const LANES = 3;
/** The most members of a group. */
const SIZE = 32;
/** The most waiting requests; more are refused at once. */
const MAX_WAITING = 1_000;

interface Waiting extends Member {
  timer: NodeJS.Timeout | undefined;
}

const waiting: Waiting[] = [];
let underWay = 0;

/** A group runs on behalf of none of its members, and inside none of their transactions. */
const outside = AsyncLocalStorage.snapshot();

/**
 * Like transaction(), for work that reads with lookUp() alone and collects its writes. Work of a `kind` that turns out
 * to do more gets its own transactions.
 */
export function together<T>(kind: object, work: () => Promise<T>, claims: Claims): Promise<T> {
  if (loners.has(kind)) return transaction(work, claims);
  return new Promise((resolve, reject) => {
    if (waiting.length >= MAX_WAITING) return reject(tooMany());
    const member: Waiting = {
      kind,
      work,
      holds: claims.holds ?? [],
      deadline: dueBy(claims),
      inContext: AsyncLocalStorage.snapshot(),
      resolve: resolve as Member['resolve'],
      reject,
      timer: undefined,
    };
    member.timer = setTimeout(() => expire(member), member.deadline - performance.now()).unref();
    waiting.push(member);
    if (underWay < LANES) start();
  });
}

function start(): void {
  underWay++;
  // After those that arrive in the same turn of the event loop.
  outside(setImmediate, async () => {
    const members = waiting.splice(0, SIZE);
    for (const { timer } of members) clearTimeout(timer);
    if (members.length > 0) await perform(members);
    underWay--;
    if (waiting.length > 0 && underWay < LANES) start();
  });
}

function expire(member: Waiting): void {
  waiting.splice(waiting.indexOf(member), 1);
  member.reject(tooMany());
}

const tooMany = (): Problem =>
  new Problem(
    'write_conflict',
    'Too many requests are waiting to be written; nothing was written. Try again.',
    {
      cause: `${waiting.length} other requests are waiting to be written.`,
    },
  );
