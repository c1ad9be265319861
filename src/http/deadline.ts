import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import { tooSlow } from '../mongo/failures.ts';

/** Requests are answered in time even if the database hangs, which none of its own time limits covers. */

const due = new WeakMap<IncomingMessage, number>();

/** A request has arrived, and is to be answered within so many milliseconds. */
export const startClock = (request: IncomingMessage, time: number): void =>
  void due.set(request, performance.now() + time);

/** When the answer to this request is due, by performance.now(). */
export const deadlineOf = ({ req }: Context): number => due.get(req) as number;

/** Waits for the client, as for its body, and puts the deadline off by that time. */
export async function offTheClock<T>(ctx: Context, work: Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await work;
  due.set(ctx.req, deadlineOf(ctx) + performance.now() - start);
  return result;
}

/** Throws a 503 problem if the work is not done by the deadline; the work itself goes on. */
export async function inTime<T>(deadline: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(tooSlow()), deadline - performance.now()).unref();
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}
