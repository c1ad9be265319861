import cluster from 'node:cluster';
import type { Logger } from 'pino';
import { type Config, isLoopback } from './config.ts';
import type { Sources } from './edges/metrics/admin.ts';
import type { Health } from './edges/metrics/health.ts';
import type { Metrics } from './edges/metrics/registry.ts';
import { migrations } from './migrations/index.ts';
import { database } from './mongo/connect.ts';
import { describe, differences } from './mongo/differences.ts';
import { readLayout } from './mongo/layout.ts';
import { readHistory } from './mongo/migrate/journal.ts';
import { pool } from './mongo/traffic.ts';
import { collections } from './resources/api.ts';
import { databaseOf } from './schema/layout.ts';
import { answerPrimary, askWorkers } from './workers.ts';

/** Metrics and health for operators, if ADMIN_PORT is set. */
export interface Admin {
  metrics: Metrics | undefined;
  /** To be called when the database is connected. */
  open: (requireReady: () => void, logger: Logger, say: Say) => Promise<void>;
  close: () => void;
}

/** Loads the instrumentation only if it is used. A worker reports to its primary, which has the port. */
export async function adminOf(config: Config): Promise<Admin> {
  if (config.ADMIN_PORT === undefined) return { metrics: undefined, open: async () => {}, close: () => {} };
  const [{ createMetrics }, { watchHealth }] = await Promise.all([
    import('./edges/metrics/registry.ts'),
    import('./edges/metrics/health.ts'),
  ]);
  const metrics = createMetrics();
  const { registry } = metrics;
  const closing: (() => void)[] = [];
  return {
    metrics,
    open: async (requireReady, logger, say) => {
      const watch = watchHealth(metrics, inspector(requireReady), logger);
      closing.push(watch.stop);
      const telling =
        <T>(tell: () => Promise<T>) =>
        async (): Promise<T> => {
          await watch.look();
          return tell();
        };
      if (cluster.isWorker)
        answerPrimary({ metrics: telling(() => registry.getMetricsAsJSON()), health: watch.look });
      else {
        const sources = { metrics: telling(() => registry.metrics()), health: watch.look };
        closing.push(await openPort(config, sources, logger, say));
      }
    },
    close: () => closing.forEach((close) => close()),
  };
}

type Say = (line: string) => void;

/** The port of a process with workers: their merged metrics, and the health of the worst of them. */
export async function openAdminOfWorkers(config: Config, logger: Logger, say: Say): Promise<() => void> {
  if (config.ADMIN_PORT === undefined) return () => {};
  const { AggregatorRegistry } = await import('prom-client');
  const metrics = async () => AggregatorRegistry.aggregate(await askWorkers<object[]>('metrics')).metrics();
  const health = async (): Promise<Health> => {
    const all = await askWorkers<Health>('health');
    const [any = NO_WORKER] = all;
    const worst = all.find(({ status }) => status === 'failing') ?? any;
    return { ...worst, workers: { wanted: config.WORKERS, running: all.length } };
  };
  return openPort(config, { metrics, health }, logger, say);
}

async function openPort(
  { ADMIN_PORT: port = 0, ADMIN_HOST: host }: Config,
  sources: Sources,
  logger: Logger,
  say: Say,
): Promise<() => void> {
  const { openAdmin } = await import('./edges/metrics/admin.ts');
  // Even if only this machine can connect, pages of other sites in its browsers could (DNS rebinding).
  const isOwnHost = isLoopback(host) ? isLoopback : () => true;
  const { url, close } = await openAdmin({ host, port, isOwnHost }, sources, logger);
  say(`Metrics are at      ${url}/metrics`);
  return close;
}

const NO_WORKER: Health = {
  status: 'failing',
  notReady: 'No worker answers.',
  migrations: { pending: [], unknown: [] },
  database: { reachable: false, connections: pool },
  differences: { checkedAt: new Date(0).toISOString(), found: [] },
};

/** How long a result of the layout check is valid, in milliseconds: it takes a while. */
const LAYOUT_HOLDS = 5 * 60 * 1_000;

function inspector(requireReady: () => void): () => Promise<Health> {
  let found: Health['differences'] | undefined;
  let at = 0;
  const layout = async (): Promise<Health['differences']> => {
    if (found && performance.now() - at < LAYOUT_HOLDS) return found;
    const all = differences(databaseOf(collections), await readLayout(database()));
    at = performance.now();
    found = { checkedAt: new Date().toISOString(), found: all.map(describe) };
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

function reasonOf(requireReady: () => void): string | undefined {
  try {
    requireReady();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
