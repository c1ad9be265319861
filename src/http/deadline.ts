import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import { tooSlow } from '../mongo/failures.ts';

/** Requests are answered in time even if the database hangs, which MongoDB's own time limits do not cover. */

const due = new WeakMap<IncomingMessage, number>();

/** Starts the clock of a request that must be answered within so many milliseconds. */
export const startClock = (request: IncomingMessage, time: number): void =>
  void due.set(request, performance.now() + time);

/** When the answer to this request is due, by performance.now(). */
export const deadlineOf = ({ req }: Context): number => due.get(req) as number;

/** Waits for the client, for example for its body, and extends the deadline by that time. */
export async function offTheClock<T>(ctx: Context, work: Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await work;
  due.set(ctx.req, deadlineOf(ctx) + performance.now() - start);
  return result;
}

/** Pending work and its deadline. */
interface Awaited {
  deadline: number;
  giveUp: () => void;
}

/** One timer for all pending work: a timer each would cost more than most of the work itself. */
const awaited = new Set<Awaited>();
const TICK = 20;
let clock: NodeJS.Timeout | undefined;

function lookAtClock(): void {
  const now = performance.now();
  for (const one of awaited) if (one.deadline <= now) one.giveUp();
  if (awaited.size > 0) return;
  clearInterval(clock);
  clock = undefined;
}

/** Throws a 503 problem if the work is not done by the deadline; the work itself goes on. */
export function inTime<T>(deadline: number, work: Promise<T>): Promise<T> {
  clock ??= setInterval(lookAtClock, TICK).unref();
  return new Promise((resolve, reject) => {
    const one = {
      deadline,
      giveUp: () => {
        awaited.delete(one);
        reject(tooSlow('The request took too long to answer.'));
      },
    };
    awaited.add(one);
    work.then(
      (result) => {
        awaited.delete(one);
        resolve(result);
      },
      (error: unknown) => {
        awaited.delete(one);
        reject(error as Error);
      },
    );
  });
}
