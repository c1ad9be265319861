import type { Context } from 'koa';
import { caller } from '../auth/caller.ts';
import type { Reply } from './reply.ts';

/** What is read in this turn of the event loop, by who asks and for what. */
const readings = new Map<string, Promise<Reply>>();

/**
 * Requests that ask for the same on behalf of the same caller, and get here in the same turn of the event loop, are
 * answered by one reading. All of them had arrived before it began, so nobody is given what was read before; a page
 * that everybody looks at is read once per turn, however many look at it. What fails, fails for all of them.
 */
export function sharing(ctx: Context, read: () => Promise<Reply>): Promise<Reply> {
  const { session, key } = caller();
  const name = `${String(session ?? key ?? '')} ${ctx.url}`;
  const known = readings.get(name);
  if (known) return known;
  if (readings.size === 0) setImmediate(() => readings.clear());
  const reading = read();
  readings.set(name, reading);
  return reading;
}
