import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import mongoose from 'mongoose';
import parseMetrics from 'parse-prometheus-text-format';
import { CREDENTIALS, letIn } from './support/callers.ts';
import { freshDatabase } from './support/database.ts';
import { dbName, mongoUri, useApi } from './support/harness.ts';
import { type ServerProcess, startServer } from './support/process.ts';

/** What operators see: the admin port, and the lines of the log. */

const api = useApi();
const uri = new URL(mongoUri);
uri.pathname = `/${dbName}_metrics`;
let server: ServerProcess;
let admin: string;

beforeAll(async () => {
  await freshDatabase(uri.href);
  const client = await new mongoose.mongo.MongoClient(uri.href).connect();
  await letIn(client.db());
  await client.close();
  server = await startServer(uri.href, { ADMIN_PORT: '0', LOG_LEVEL: 'info' });
  while (!/Metrics are at/.test(server.output())) await new Promise((resolve) => setTimeout(resolve, 20));
  admin = /Metrics are at +(\S+)\/metrics/.exec(server.output())?.[1] as string;
});
afterAll(() => server.stop());

const ask = (path: string, init: { method?: string; body?: string; headers?: Record<string, string> } = {}) =>
  fetch(server.url + path, { ...init, headers: { authorization: CREDENTIALS, ...init.headers } });
const write = (body: object) =>
  ask('/books', {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` },
  });

async function exposition(): Promise<string> {
  const answer = await fetch(`${admin}/metrics`);
  expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  return answer.text();
}

/** The samples of a gauge or counter; a parser that is not ours reads all of it. */
function samples(text: string, name: string): unknown[] {
  const all = parseMetrics(text) as { name: string; metrics: unknown[] }[];
  const found = all.find((metric) => metric.name === name);
  if (!found) throw new Error(`${name} is none of ${all.map((metric) => metric.name).join(', ')}`);
  return found.metrics;
}

test('a port of this machine alone answers to its names only, against DNS rebinding', async () => {
  const statusFor = (host: string): Promise<number | undefined> =>
    new Promise((resolve, reject) =>
      request(`${admin}/health`, { headers: { host } }, (answer) => resolve(answer.resume().statusCode))
        .on('error', reject)
        .end(),
    );
  expect(await statusFor('localhost:9100')).toBe(200);
  expect(await statusFor('evil.example')).toBe(421);
});

test('requests, transactions and the database are counted', async () => {
  expect((await ask('/books')).status).toBe(200);
  expect((await ask('/nothing')).status).toBe(404);
  expect((await write({ title: 'One', authors: ['A'] })).status).toBe(201);
  expect((await write({ title: '' })).status).toBe(422);
  const text = await exposition();
  for (const labels of [
    'operation="listBooks",status="200"',
    'operation="none",status="404"',
    'operation="createBook",status="201"',
    'operation="createBook",status="422"',
  ])
    expect(text).toContain(`shelfmark_http_request_duration_seconds_count{${labels}} 1\n`);
  expect(Number(/shelfmark_database_round_trip_seconds_count (\d+)/.exec(text)?.[1])).toBeGreaterThan(5);
  expect(samples(text, 'shelfmark_transactions_total')).toEqual([
    { labels: { outcome: 'committed' }, value: '1' },
  ]);
  expect(samples(text, 'shelfmark_ready')).toEqual([{ value: '1' }]);
  expect(samples(text, 'shelfmark_migrations')).toContainEqual({ labels: { state: 'pending' }, value: '0' });
  expect(samples(text, 'nodejs_eventloop_lag_p99_seconds')).toHaveLength(1);
});

test('each metric is documented and has a panel; panels and alerts use no others', async () => {
  const registered = Array.from((await exposition()).matchAll(/^# TYPE (\w+)/gm), ([, name]) => name);
  const namesIn = async (file: string) =>
    Array.from((await readFile(file, 'utf8')).matchAll(/\b(?:shelfmark|nodejs|process)_\w+/g), ([name]) =>
      name.replace(/_(count|sum|bucket)$/, ''),
    );
  const [docs, dashboard, alerts] = await Promise.all(
    ['docs/operations.md', 'deploy/grafana/shelfmark.json', 'deploy/prometheus/alerts.yml'].map(namesIn),
  );
  const own = registered.filter((name) => name?.startsWith('shelfmark_'));
  expect(docs).toEqual(expect.arrayContaining(own));
  expect(dashboard).toEqual(expect.arrayContaining(own));
  expect(registered).toEqual(expect.arrayContaining([...(dashboard ?? []), ...(alerts ?? [])]));
});

test('health in detail names the primary, and what of the layout is not as it should be', async () => {
  const answer = await fetch(`${admin}/health`);
  expect(answer.status).toBe(200);
  expect(await answer.json()).toMatchObject({
    status: 'ok',
    migrations: { pending: [], unknown: [] },
    database: { reachable: true, primary: expect.stringMatching(/:\d+$/), ping: expect.any(Number) },
    differences: { found: [] },
  });
  expect((await fetch(`${server.url}/metrics`)).status).toBe(404);
});

test('a line of the log says which operation it was, for whom, and what it cost', async () => {
  const requests = server
    .output()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));
  const created = requests.find(({ res }) => res?.status === 201);
  expect(created).toMatchObject({
    operation: 'createBook',
    route: '/books',
    caller: { id: expect.stringMatching(/^[0-9a-f]{24}$/), role: 'admin' },
    address: '127.0.0.1',
    trace: 'a'.repeat(32),
    database: { count: expect.any(Number), time: expect.any(Number) },
  });
  expect(created.database.count).toBeGreaterThan(0);
  expect(requests.find(({ res }) => res?.status === 422)).toMatchObject({ problem: 'validation_failed' });
});

test('a problem document has the id of the trace', async () => {
  expect(await (await write({ title: '' })).json()).toMatchObject({ traceId: 'a'.repeat(32) });
});

test('Server-Timing is for admins', async () => {
  const timing = async (as?: string) =>
    (await api.get('/books', as === undefined ? {} : { as })).headers.get('server-timing');
  expect(await timing()).toMatch(
    /^total;dur=[\d.]+, caller;dur=[\d.]+, parse;dur=[\d.]+, plan;dur=[\d.]+, database;dur=[\d.]+;desc="\d+ commands"$/,
  );
  expect((await api.post('/tags', { name: 'Timed' })).headers.get('server-timing')).toMatch(
    /plan;dur=[\d.]+, write;dur=[\d.]+, database/,
  );
  expect(await timing('')).toBeNull();
});
