import type { Logger } from 'pino';
import type { Config } from './config.ts';
import type { Health } from './edges/metrics/health.ts';
import type { Metrics } from './edges/metrics/registry.ts';
import { migrations } from './migrations/index.ts';
import { database } from './mongo/connect.ts';
import { type Difference, differences } from './mongo/differences.ts';
import { readLayout } from './mongo/layout.ts';
import { readHistory } from './mongo/migrate/journal.ts';
import { collections } from './resources/api.ts';
import { databaseOf } from './schema/layout.ts';

/** The admin port of this process, if one is set. */
export interface Admin {
  metrics: Metrics | undefined;
  /** To be called when the database is connected. */
  open: (requireReady: () => void, logger: Logger, say: (line: string) => void) => Promise<void>;
  close: () => void;
}

/** Loads what measures only where somebody will ask for it. */
export async function adminOf({ ADMIN_PORT: port, ADMIN_HOST: host }: Config): Promise<Admin> {
  let close = () => {};
  if (port === undefined) return { metrics: undefined, open: async () => {}, close };
  const [{ createMetrics }, { openAdmin }] = await Promise.all([
    import('./edges/metrics/registry.ts'),
    import('./edges/metrics/admin.ts'),
  ]);
  const metrics = createMetrics();
  return {
    metrics,
    open: async (requireReady, logger, say) => {
      const admin = await openAdmin({ host, port }, metrics, inspector(requireReady), logger);
      close = admin.close;
      say(`Metrics are at      ${admin.url}/metrics`);
    },
    close: () => close(),
  };
}

/** How long what was found of the layout holds, in milliseconds: to read it takes a while. */
const LAYOUT_HOLDS = 5 * 60 * 1_000;

function inspector(requireReady: () => void): () => Promise<Health> {
  let found: Health['differences'] | undefined;
  let at = 0;
  const layout = async (): Promise<Health['differences']> => {
    if (found && performance.now() - at < LAYOUT_HOLDS) return found;
    const all = differences(databaseOf(collections), await readLayout(database()));
    at = performance.now();
    found = { checkedAt: new Date().toISOString(), found: all.map(inShort) };
    return found;
  };
  return async () => {
    const { databaseHealth } = await import('./edges/metrics/health.ts');
    const state = await databaseHealth();
    if (!state.reachable)
      return {
        status: 'failing',
        notReady: 'The database cannot be reached.',
        migrations: { pending: [], unknown: [] },
        database: state,
        differences: found ?? { checkedAt: new Date(0).toISOString(), found: [] },
      };
    const { pending, ahead, missing } = await readHistory(database(), migrations);
    const notReady = reasonOf(requireReady);
    return {
      status: notReady === undefined ? 'ok' : 'failing',
      ...(notReady !== undefined && { notReady }),
      migrations: { pending: pending.map(({ id }) => id), unknown: [...missing, ...ahead] },
      database: state,
      differences: await layout(),
    };
  };
}

const inShort = ({ what, collection, ...rest }: Difference): string =>
  [what, collection, ...('name' in rest ? [rest.name] : [])].join(' ');

function reasonOf(requireReady: () => void): string | undefined {
  try {
    requireReady();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
