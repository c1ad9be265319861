import type { Context } from 'koa';
import { caller } from '../auth/caller.ts';
import { client } from './places.ts';
import type { Reply } from './reply.ts';

/** Reads that are waiting or started in this turn of the event loop, by caller and question. */
const readings = new Map<string, Promise<Reply>>();

/**
 * Equal requests of one client on behalf of one caller share one read, if all of them arrive before it starts: no
 * request gets data read before it arrived. A failure fails all of them. So one client's repeated requests do not wait
 * for each other's places. `read` tells when it starts.
 */
export function sharing(ctx: Context, read: (begin: () => void) => Promise<Reply>): Promise<Reply> {
  // A caller whose role has changed is another one.
  const { session, key, role } = caller();
  const name = `${client()} ${String(session ?? key ?? '')} ${role ?? ''} ${ctx.url}`;
  const known = readings.get(name);
  if (known) return known;
  const forget = () => void readings.delete(name);
  // A request that arrives in the same turn precedes the database's reading.
  const reading = read(() => setImmediate(forget));
  readings.set(name, reading);
  // It may be refused before it starts.
  reading.catch(forget);
  return reading;
}
