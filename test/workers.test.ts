import { execFile } from 'node:child_process';
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import mongoose from 'mongoose';
import parseMetrics from 'parse-prometheus-text-format';
import { CREDENTIALS, letIn } from './support/callers.ts';
import { freshDatabase } from './support/database.ts';
import { dbName, mongoUri } from './support/harness.ts';
import { type ServerProcess, start, startServer } from './support/process.ts';

/** Several processes that share one port. */

const uri = Object.assign(new URL(mongoUri), { pathname: `/${dbName}_workers` }).href;
const client = new mongoose.mongo.MongoClient(uri);
/** Each test starts processes, which takes long on a machine that is busy with something else. */
const PATIENCE = 240_000;
let server: ServerProcess;
let admin: string;

beforeAll(async () => {
  await freshDatabase(uri);
  await client.connect();
  await letIn(client.db());
  server = await startServer(uri, { WORKERS: '2', ADMIN_PORT: '0', DRAIN_DELAY: '1', LOG_LEVEL: 'info' });
  admin = /Metrics are at +(\S+)\/metrics/.exec(server.output())?.[1] as string;
  await workers(2);
}, PATIENCE);
afterAll(async () => {
  await server.stop();
  await client.db().dropDatabase();
  await client.close();
});

const health = async (): Promise<any> => (await fetch(`${admin}/health`)).json();

/** Waits until so many workers take connections. */
async function workers(count: number): Promise<void> {
  while ((await health()).workers.running !== count) await sleep(50);
}

const lines = () =>
  server
    .output()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line));

/** A client that keeps its connection and tells the outcome of each request: its status, or what went wrong. */
function keepAlive() {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const send = (method: string, path: string, body?: object): Promise<unknown> =>
    new Promise((resolve) => {
      const headers = { authorization: CREDENTIALS, ...(body && { 'content-type': 'application/json' }) };
      const sent = request(server.url + path, { method, agent, headers }, (answer) => {
        answer.resume().on('end', () => resolve(answer.statusCode));
      });
      sent.on('error', (error: NodeJS.ErrnoException) => resolve(error.code));
      sent.end(body && JSON.stringify(body));
    });
  return { send, close: () => agent.destroy() };
}

test('requests go to each worker; the start is told once, and metrics are those of all', async () => {
  expect(server.output().match(/answers at/g)).toHaveLength(1);
  const clients = Array.from({ length: 8 }, keepAlive);
  for (const { send } of clients) expect(await send('GET', '/books')).toBe(200);
  for (const { close } of clients) close();
  expect(new Set(lines().flatMap(({ operation, worker }) => (operation ? [worker] : []))).size).toBe(2);
  const text = await (await fetch(`${admin}/metrics`)).text();
  expect(text).toMatch(
    /^shelfmark_http_request_duration_seconds_count{operation="listBooks",status="200"} 8$/m,
  );
  const ready = (parseMetrics(text) as any[]).find(({ name }) => name === 'shelfmark_ready');
  expect(ready.metrics).toEqual([{ value: '1' }]);
  expect(await health()).toMatchObject({ status: 'ok', workers: { wanted: 2, running: 2 } });
});

test(
  'SIGUSR2 replaces the workers, and no request fails',
  async () => {
    const outcomes: unknown[] = [];
    let isOver = false;
    const loops = Array.from({ length: 8 }, async (_, n) => {
      const { send, close } = keepAlive();
      for (let i = 0; !isOver; i++) {
        const outcome = n % 2 ? send('GET', '/books') : send('POST', '/tags', { name: `tag ${n} ${i}` });
        outcomes.push(await outcome);
        await sleep(10);
      }
      close();
    });
    await sleep(200);
    process.kill(server.pid, 'SIGUSR2');
    while (!/All workers have been replaced/.test(server.output())) await sleep(50);
    isOver = true;
    await Promise.all(loops);
    expect(outcomes.filter((outcome) => outcome !== 200 && outcome !== 201)).toEqual([]);
    expect(outcomes.length).toBeGreaterThan(100);
    expect(await health()).toMatchObject({ workers: { running: 2 } });
    expect(new Set(lines().flatMap(({ worker }) => worker ?? [])).size).toBe(4);
  },
  PATIENCE,
);

test(
  'a worker that is killed is replaced, and the other one serves meanwhile',
  async () => {
    const { stdout } = await promisify(execFile)('pgrep', ['-P', String(server.pid)]);
    process.kill(Number(stdout.split('\n')[0]), 'SIGKILL');
    await workers(1);
    const { send, close } = keepAlive();
    expect(await send('GET', '/books')).toBe(200);
    close();
    await workers(2);
    expect(lines().find(({ signal }) => signal)).toMatchObject({ level: 50, signal: 'SIGKILL', wait: 500 });
  },
  PATIENCE,
);

test(
  'a start that fails ends all, with the reason',
  async () => {
    const child = start('src/main.ts', [], {
      MONGODB_URI: uri,
      PORT: new URL(server.url).port,
      WORKERS: '2',
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect([code, output.match(/is in use/g)]).toEqual([1, ['is in use']]);
  },
  PATIENCE,
);
