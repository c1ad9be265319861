import type { Logger } from 'pino';
import { database } from '../../mongo/connect.ts';
import { pool } from '../../mongo/traffic.ts';
import type { Metrics } from './registry.ts';

/** The detailed health of a process and of its dependencies. */
export interface Health {
  status: 'ok' | 'failing';
  /** Why it is not ready; undefined if it is. */
  notReady?: string | undefined;
  /** If WORKERS is set: how many workers accept connections. Everything else is about one of them. */
  workers?: { wanted: number; running: number };
  migrations: { pending: string[]; unknown: string[] };
  database: {
    reachable: boolean;
    /** host:port; in a sharded cluster the mongos. */
    primary?: string | undefined;
    /** Milliseconds of a ping. */
    ping?: number | undefined;
    /** Seconds that the slowest secondary lags behind; missing if the user may not see that. */
    lag?: number | undefined;
    connections: typeof pool;
  };
  /** How the layout differs from the definitions; checked every five minutes. */
  differences: { checkedAt: string; found: string[] };
}

export interface Watch {
  look: () => Promise<Health>;
  stop: () => void;
}

/** How often health is checked, and how old a result may be, in milliseconds. */
const EVERY = 15_000;
const FRESH = 1_000;

/** Checks the health regularly for the metrics; requests share a result of the last second. */
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
    void look().catch((error: unknown) => logger.warn({ err: error }, 'The health check failed.'));
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

/** The state of MongoDB, as far as the API's user may see it. */
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
