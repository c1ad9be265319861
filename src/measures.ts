import { type Channel, channel } from 'node:diagnostics_channel';

/**
 * What the program tells of its work to whoever measures it: Node's diagnostics channels, which cost nothing while
 * nobody listens. Nothing here depends on who that is; see src/edges/metrics.
 */
interface Measure<T extends object> extends Omit<Channel, 'publish' | 'subscribe' | 'unsubscribe'> {
  publish: (message: T) => void;
  subscribe: (listener: (message: T) => void) => void;
  unsubscribe: (listener: (message: T) => void) => void;
}

const measure = <T extends object>(name: string): Measure<T> => channel(`shelfmark:${name}`) as never;

/** A command went to the database and came back; seconds. */
export const roundTrips = measure<{ seconds: number }>('round-trip');
/** A transaction has ended, with all its attempts. */
export const transactions = measure<{ outcome: 'committed' | 'failed' | 'unknown' }>('transaction');
/** A transaction is tried again. */
export const retries = measure<{ reason: 'write_conflict' | 'guard' | 'connection' | 'other' }>('retry');
/** A write needs to know that its caller may still do it: that was read a moment ago, or is read again. */
export const confirmations = measure<{ source: 'recent' | 'database' }>('confirmation');
/** Documents were read by their ids in one query. */
export const batches = measure<{ size: number }>('batch');
/** A request was refused by a limit. */
export const refusals = measure<{ policy: string }>('rate-limited');
/** A stream has begun (1) or ended (-1). */
export const streams = measure<{ kind: 'feed' | 'export'; change: 1 | -1 }>('stream');
