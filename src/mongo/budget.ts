import mongoose from 'mongoose';
import {
  RateLimiterMemory,
  RateLimiterMongo,
  RateLimiterRes,
  RLWrapperTimeouts,
} from 'rate-limiter-flexible';

/** A budget of so many points in so many seconds, for each key. */
export interface Policy {
  name: string;
  points: number;
  seconds: number;
}

interface Standing {
  granted: boolean;
  /** Points left for all processes together, as far as this process knows. */
  left: number;
  /** Milliseconds until all points are available again. */
  reset: number;
}

/** Points of a key that this process has leased from the shared count, to spend by itself. */
interface Lease {
  left: number;
  /** What was left for others when it was leased. */
  beyond: number;
  /** When the window ends, by Date.now(). */
  end: number;
}

export const RATE_LIMITS = 'ratelimits';

/** A write per request would be too expensive: points are leased in batches of a twentieth of the budget. */
const PARTS = 20;
/** Milliseconds after which a database that does not answer counts as unavailable, before the driver notices. */
const PATIENCE = 2_000;

export type Budget = ReturnType<typeof budget>;

/**
 * A budget shared by all processes on one database, in fixed windows that start with a key's first point. It never
 * grants more points than there are. Leased points that a process does not use are lost to the others until the window
 * ends: at most a twentieth per process. Small budgets are taken point by point. While the database is unavailable,
 * each process has the whole budget to itself.
 */
export function budget(policy: Policy) {
  const size = Math.max(1, Math.floor(policy.points / PARTS));
  const leases = new Map<string, Lease>();
  const renewals = new Map<string, Promise<void>>();
  // Created on first use: there is no database before.
  let limiter: ReturnType<typeof insuredLimiter> | undefined;

  async function take(key: string): Promise<Standing> {
    for (;;) {
      const lease = leases.get(key);
      const reset = lease ? lease.end - Date.now() : 0;
      if (lease && reset > 0) {
        if (lease.left > 0) return { granted: true, left: --lease.left + lease.beyond, reset };
        if (lease.beyond === 0) return { granted: false, left: 0, reset };
      }
      // Concurrent requests wait for the same renewal.
      await (renewals.get(key) ?? renew(key));
    }
  }

  function renew(key: string): Promise<void> {
    const renewal = draw(key).finally(() => renewals.delete(key));
    renewals.set(key, renewal);
    return renewal;
  }

  async function draw(key: string): Promise<void> {
    limiter ??= insuredLimiter(policy);
    const { shared, insurance } = limiter;
    const isAway = mongoose.connection.readyState !== mongoose.ConnectionStates.connected;
    const drawn = await (isAway ? insurance : shared).consume(key, size).catch((refusal: unknown) => {
      if (refusal instanceof RateLimiterRes) return refusal;
      throw refusal;
    });
    const before = drawn.consumedPoints - size;
    forgetOld();
    leases.delete(key);
    leases.set(key, {
      left: Math.min(size, Math.max(0, policy.points - before)),
      beyond: drawn.remainingPoints,
      end: Date.now() + drawn.msBeforeNext,
    });
  }

  /** The oldest leases come first; none outlasts a window. */
  function forgetOld(): void {
    for (const [key, { end }] of leases) {
      if (end > Date.now()) break;
      leases.delete(key);
    }
  }

  return { policy, take };
}

function insuredLimiter({ name, points, seconds }: Policy) {
  const { connection } = mongoose;
  // Processes with different configurations, as during a rollout, do not share.
  const limit = { keyPrefix: `${name}:${points}:${seconds}`, points, duration: seconds };
  const insurance = new RateLimiterMemory(limit);
  const shared = new RLWrapperTimeouts({
    limiter: new RateLimiterMongo({
      ...limit,
      // Losing a count in a failover is harmless, so writes do not wait for the majority.
      storeClient: connection.getClient().db(connection.name, { writeConcern: { w: 1 } }),
      tableName: RATE_LIMITS,
      disableIndexesCreation: true,
    }),
    timeoutMs: PATIENCE,
    insuranceLimiter: insurance,
  });
  return { shared, insurance };
}
