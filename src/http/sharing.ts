import type { Context } from 'koa';
import { caller } from '../auth/caller.ts';
import { client } from './places.ts';
import type { Reply } from './reply.ts';

/** What waits to be read, or is read since this turn of the event loop: by who asks, and for what. */
const readings = new Map<string, Promise<Reply>>();

/**
 * Requests of a client that ask for the same on behalf of the same caller are answered by one reading, if all of them
 * are here before it begins: nobody is given what was read before. What fails, fails for all of them; so one client's
 * requests do not wait for the places of another. `read` says when it begins.
 */
export function sharing(ctx: Context, read: (begin: () => void) => Promise<Reply>): Promise<Reply> {
  const { session, key } = caller();
  const name = `${client()} ${String(session ?? key ?? '')} ${ctx.url}`;
  const known = readings.get(name);
  if (known) return known;
  const forget = () => void readings.delete(name);
  // What arrives in the same turn was there before the database has got the question.
  const reading = read(() => setImmediate(forget));
  readings.set(name, reading);
  // It may be refused before it begins.
  reading.catch(forget);
  return reading;
}
