import type { Logger } from 'pino';
import { database } from '../../mongo/connect.ts';
import { pool } from '../../mongo/traffic.ts';
import type { Metrics } from './registry.ts';

/** The health of a process and of what it depends on, in detail. */
export interface Health {
  status: 'ok' | 'failing';
  /** Why it is not ready; undefined, it is. */
  notReady?: string | undefined;
  /** Where WORKERS is set: how many of the workers take connections. All else is of one of them. */
  workers?: { wanted: number; running: number };
  migrations: { pending: string[]; unknown: string[] };
  database: {
    reachable: boolean;
    /** host:port; the router's own address in a sharded cluster. */
    primary?: string | undefined;
    /** Milliseconds of a ping. */
    ping?: number | undefined;
    /** Seconds that the slowest secondary is behind; missing where the user may not see that. */
    lag?: number | undefined;
    connections: typeof pool;
  };
  /** What of the layout is not as the definitions say; looked at every five minutes. */
  differences: { checkedAt: string; found: string[] };
}

export interface Watch {
  look: () => Promise<Health>;
  stop: () => void;
}

/** How often health is looked at by itself, and how old an answer may be, in milliseconds. */
const EVERY = 15_000;
const FRESH = 1_000;

/** Looks at the health again and again, so that metrics have it; those who ask share an answer of the last second. */
export function watchHealth(metrics: Metrics, inspect: () => Promise<Health>, logger: Logger): Watch {
  let last: Promise<Health> | undefined;
  let at = 0;
  const look = (): Promise<Health> => {
    if (!last || performance.now() - at > FRESH) {
      at = performance.now();
      last = inspect().then((health) => note(metrics, health));
    }
    return last;
  };
  const again = () =>
    void look().catch((error: unknown) => logger.warn({ err: error }, 'Health is not known.'));
  const timer = setInterval(again, EVERY).unref();
  again();
  return { look, stop: () => clearInterval(timer) };
}

function note({ ready, migrations, differences }: Metrics, health: Health): Health {
  ready.set(health.status === 'ok' ? 1 : 0);
  migrations.set({ state: 'pending' }, health.migrations.pending.length);
  migrations.set({ state: 'unknown' }, health.migrations.unknown.length);
  differences.set(health.differences.found.length);
  return health;
}

/** How MongoDB is, as far as the user of the API may see. */
export async function databaseHealth(): Promise<Health['database']> {
  const admin = database().admin();
  const start = performance.now();
  try {
    const hello = await admin.command({ hello: 1, maxTimeMS: 1_000 });
    const ping = Math.round((performance.now() - start) * 10) / 10;
    return {
      reachable: true,
      primary: (hello['primary'] ?? hello['me']) as string | undefined,
      ping,
      lag: await lagOf(),
      connections: { ...pool },
    };
  } catch {
    return { reachable: false, connections: { ...pool } };
  }
}

async function lagOf(): Promise<number | undefined> {
  const status = await database()
    .admin()
    .command({ replSetGetStatus: 1, maxTimeMS: 1_000 })
    .catch(() => undefined);
  const members = (status?.['members'] ?? []) as { stateStr: string; optimeDate: Date }[];
  const primary = members.find(({ stateStr }) => stateStr === 'PRIMARY');
  if (!primary) return undefined;
  const behind = members
    .filter(({ stateStr }) => stateStr === 'SECONDARY')
    .map(({ optimeDate }) => primary.optimeDate.getTime() - optimeDate.getTime());
  return Math.max(0, ...behind) / 1_000;
}
