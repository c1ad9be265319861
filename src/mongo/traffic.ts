import type { mongo } from 'mongoose';
import { roundTrips } from '../measures.ts';

/**
 * How a process uses its connections to MongoDB. The driver's command events would make it decode every reply twice;
 * its pool events are almost free, and each command checks a connection out and in.
 */

/** Connections of this process. */
export const pool = { open: 0, inUse: 0, waiting: 0 };

export function watchTraffic(client: mongo.MongoClient): void {
  const since = new Map<string, number>();
  // The first connections are older than these listeners.
  const known = new Set<string>();
  const note = (key: string) => (pool.open = known.add(key).size);
  const keyOf = ({ address, connectionId }: { address: string; connectionId: unknown }) =>
    `${address} ${String(connectionId)}`;
  client.on('connectionCreated', (event) => void note(keyOf(event)));
  client.on('connectionClosed', (event) => {
    known.delete(keyOf(event));
    pool.open = known.size;
    if (since.delete(keyOf(event))) pool.inUse--;
  });
  client.on('connectionCheckOutStarted', () => void pool.waiting++);
  client.on('connectionCheckOutFailed', () => void pool.waiting--);
  client.on('connectionCheckedOut', (event) => {
    pool.waiting--;
    pool.inUse++;
    note(keyOf(event));
    since.set(keyOf(event), performance.now());
  });
  client.on('connectionCheckedIn', (event) => {
    const start = since.get(keyOf(event));
    if (start === undefined) return;
    since.delete(keyOf(event));
    pool.inUse--;
    if (roundTrips.hasSubscribers) roundTrips.publish({ seconds: (performance.now() - start) / 1_000 });
  });
}
