import { type Channel, channel } from 'node:diagnostics_channel';

/**
 * Diagnostics channels on which the program reports its work; they cost nothing without subscribers. Nothing here
 * depends on the subscribers: see src/edges/metrics.
 */
interface Measure<T extends object> extends Omit<Channel, 'publish' | 'subscribe' | 'unsubscribe'> {
  publish: (message: T) => void;
  subscribe: (listener: (message: T) => void) => void;
  unsubscribe: (listener: (message: T) => void) => void;
}

const measure = <T extends object>(name: string): Measure<T> => channel(`shelfmark:${name}`) as never;

/** The round trip of a database command, in seconds. */
export const roundTrips = measure<{ seconds: number }>('round-trip');
/** A transaction has ended, after all its attempts. */
export const transactions = measure<{ outcome: 'committed' | 'failed' | 'unknown' }>('transaction');
/** A transaction attempt is retried. */
export const retries = measure<{ reason: 'write_conflict' | 'guard' | 'connection' | 'other' }>('retry');
/** A write confirms its caller's rights: by a recent read, or by reading again. */
export const confirmations = measure<{ source: 'recent' | 'database' }>('confirmation');
/** Documents were read by their ids with one query. */
export const batches = measure<{ size: number }>('batch');
/** A limit refused a request. */
export const refusals = measure<{ policy: string }>('rate-limited');
/** A stream has started (1) or ended (-1). */
export const streams = measure<{ kind: 'feed' | 'export'; change: 1 | -1 }>('stream');
