import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import {
  batches,
  confirmations,
  refusals,
  retries,
  roundTrips,
  streams,
  transactions,
} from '../../measures.ts';
import { pool } from '../../mongo/traffic.ts';

/** The metrics, by their names in Prometheus. */

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export type Metrics = ReturnType<typeof createMetrics>;

/** To be called once per process: it subscribes to the program's diagnostics channels. */
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  // The event loop's delay, the heap, garbage collection, CPU and open files.
  collectDefaultMetrics({ register: registry });

  const requests = new Histogram({
    name: 'shelfmark_http_request_duration_seconds',
    help: 'Requests by operation and status; the operation is "none" if no route matches',
    labelNames: ['operation', 'status'],
    buckets: SECONDS,
    registers,
  });
  const underWay = new Gauge({
    name: 'shelfmark_http_requests_under_way',
    help: 'Requests that are being answered, feeds and exports among them',
    registers,
  });
  listen(registers);
  const ready = new Gauge({
    name: 'shelfmark_ready',
    help: '1 if the database is reachable and as this version needs it',
    aggregator: 'min',
    registers,
  });
  const migrations = new Gauge({
    name: 'shelfmark_migrations',
    help: 'Migrations that are pending, or unknown to this version',
    labelNames: ['state'],
    aggregator: 'max',
    registers,
  });
  const differences = new Gauge({
    name: 'shelfmark_layout_differences',
    help: 'Validators, indexes and collections that differ from the definitions',
    aggregator: 'max',
    registers,
  });
  return { registry, requests, underWay, ready, migrations, differences };
}

function listen(registers: Registry[]): void {
  const trips = new Histogram({
    name: 'shelfmark_database_round_trip_seconds',
    help: 'How long a command occupies a connection to MongoDB',
    buckets: SECONDS,
    registers,
  });
  roundTrips.subscribe(({ seconds }) => trips.observe(seconds));
  new Gauge({
    name: 'shelfmark_database_connections',
    help: 'Connections to MongoDB: open, in use, and requests waiting for one',
    labelNames: ['state'],
    registers,
    collect() {
      this.set({ state: 'open' }, pool.open);
      this.set({ state: 'in_use' }, pool.inUse);
      this.set({ state: 'waiting' }, pool.waiting);
    },
  });
  const outcomes = new Counter({
    name: 'shelfmark_transactions_total',
    help: 'Finished transactions by outcome; all attempts of one count once',
    labelNames: ['outcome'],
    registers,
  });
  transactions.subscribe(({ outcome }) => outcomes.inc({ outcome }));
  const again = new Counter({
    name: 'shelfmark_transaction_retries_total',
    help: 'Retried transaction attempts, by reason',
    labelNames: ['reason'],
    registers,
  });
  retries.subscribe(({ reason }) => again.inc({ reason }));
  const sizes = new Histogram({
    name: 'shelfmark_loader_batch_size',
    help: 'Documents requested by one query by id',
    buckets: [1, 2, 5, 10, 20, 50, 100],
    registers,
  });
  batches.subscribe(({ size }) => sizes.observe(size));
  const confirmed = new Counter({
    name: 'shelfmark_caller_confirmations_total',
    help: 'Writes that confirmed the rights of their caller, by source: a recent read, or the database',
    labelNames: ['source'],
    registers,
  });
  confirmations.subscribe(({ source }) => confirmed.inc({ source }));
  const limited = new Counter({
    name: 'shelfmark_rate_limited_total',
    help: 'Requests refused by a limit, by limit',
    labelNames: ['policy'],
    registers,
  });
  refusals.subscribe(({ policy }) => limited.inc({ policy }));
  const open = new Gauge({
    name: 'shelfmark_streams',
    help: 'Open feeds of changes and exports',
    labelNames: ['kind'],
    registers,
  });
  streams.subscribe(({ kind, change }) => open.inc({ kind }, change));
}
