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

/** What is measured, by the names that Prometheus knows it by. */

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export type Metrics = ReturnType<typeof createMetrics>;

/** To be called once in a process: it listens to all that the program tells of its work. */
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  // The event loop's delay, the heap, garbage collection, CPU and open files.
  collectDefaultMetrics({ register: registry });

  const requests = new Histogram({
    name: 'shelfmark_http_request_duration_seconds',
    help: 'Requests by operation and status; of those that no route has, the operation is "none"',
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
    help: '1 where the database is as this version needs it and can be reached',
    aggregator: 'min',
    registers,
  });
  const migrations = new Gauge({
    name: 'shelfmark_migrations',
    help: 'Migrations that are pending, and those that this version does not know',
    labelNames: ['state'],
    aggregator: 'max',
    registers,
  });
  const differences = new Gauge({
    name: 'shelfmark_layout_differences',
    help: 'Validators, indexes and collections that are not as the definitions say',
    aggregator: 'max',
    registers,
  });
  return { registry, requests, underWay, ready, migrations, differences };
}

function listen(registers: Registry[]): void {
  const trips = new Histogram({
    name: 'shelfmark_database_round_trip_seconds',
    help: 'How long a command has a connection to MongoDB for itself',
    buckets: SECONDS,
    registers,
  });
  roundTrips.subscribe(({ seconds }) => trips.observe(seconds));
  new Gauge({
    name: 'shelfmark_database_connections',
    help: 'Connections to MongoDB: open, in use, and requests that wait for one',
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
    help: 'Transactions that have ended, with all their attempts, by outcome',
    labelNames: ['outcome'],
    registers,
  });
  transactions.subscribe(({ outcome }) => outcomes.inc({ outcome }));
  const again = new Counter({
    name: 'shelfmark_transaction_retries_total',
    help: 'Attempts at a transaction that are tried again, by reason',
    labelNames: ['reason'],
    registers,
  });
  retries.subscribe(({ reason }) => again.inc({ reason }));
  const sizes = new Histogram({
    name: 'shelfmark_loader_batch_size',
    help: 'Documents that were asked for in one query by id',
    buckets: [1, 2, 5, 10, 20, 50, 100],
    registers,
  });
  batches.subscribe(({ size }) => sizes.observe(size));
  const confirmed = new Counter({
    name: 'shelfmark_caller_confirmations_total',
    help: 'Writes that have confirmed the rights of their caller: by what was read a moment before, or by the database',
    labelNames: ['source'],
    registers,
  });
  confirmations.subscribe(({ source }) => confirmed.inc({ source }));
  const limited = new Counter({
    name: 'shelfmark_rate_limited_total',
    help: 'Requests that a limit has refused, by limit',
    labelNames: ['policy'],
    registers,
  });
  refusals.subscribe(({ policy }) => limited.inc({ policy }));
  const open = new Gauge({
    name: 'shelfmark_streams',
    help: 'Feeds of changes and exports that are open',
    labelNames: ['kind'],
    registers,
  });
  streams.subscribe(({ kind, change }) => open.inc({ kind }, change));
}
