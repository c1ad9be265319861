import type { Server } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import mongoose, { type mongo } from 'mongoose';
import { pino } from 'pino';
import { z } from 'zod';
import { ANYONE } from '../src/schema/policy.ts';
import { route } from '../src/http/route.ts';
import { drain, TIMES } from '../src/http/server.ts';
import { Book } from './sample/books/book.ts';
import { resources, routes } from '../src/resources/api.ts';
import { text } from '../src/schema/fields.ts';
import { aCaller } from './support/callers.ts';
import { dbName, mongoUri, serve, SHORT_TIMES, useApi } from './support/harness.ts';
import { type ServerProcess, startServer } from './support/process.ts';
import { dial } from './support/socket.ts';
import { modelOf } from '../src/schema/model.ts';

const MINUTE = 60;

const limited = (path: string, seconds: number) =>
  route({
    method: 'post',
    path,
    operationId: 'ask',
    tag: 'system',
    summary: 'Ask for something expensive',
    description: 'What may be asked for a few times only.',
    policy: ANYONE,
    body: { schema: z.strictObject({ name: text(1, 50) }), example: { name: 'ann' } },
    answer: { status: 204, description: 'Done' },
    limits: [
      { name: 'name', points: 10, seconds, by: ({ address, body }) => [address, body.name] },
      { name: 'address', points: 15, seconds, by: ({ address }) => [address] },
    ],
    handler: async () => {},
  });

const api = { resources, routes: [...routes, limited('/ask', 15 * MINUTE), limited('/ask-soon', 1)] };
// Behind a proxy, so that a test can be as many clients as it needs.
const RATE_LIMIT = 20;
const { url, get, post } = useApi(
  { ...api, rateLimit: RATE_LIMIT, trustProxy: 1 },
  { monitorCommands: true },
);

/** A client who has not logged in, and whose address the proxy tells. */
const as = (address: string, headers = {}) => ({
  as: '',
  headers: { 'x-forwarded-for': address, ...headers },
});

const servers: Server[] = [];
let program: ServerProcess;
beforeAll(async () => {
  const uri = new URL(mongoUri);
  uri.pathname = `/${dbName}`;
  program = await startServer(uri.href, {
    RATE_LIMIT: String(RATE_LIMIT),
    TRUST_PROXY: '1',
    LOG_LEVEL: 'info',
  });
});
afterAll(async () => {
  await program.stop();
  for (const server of servers) await drain(server);
});

/** Another application on the same database, and where it is. */
async function another(settings: Parameters<typeof serve>[0] = {}, patience = TIMES): Promise<string> {
  const { server, url } = await serve({ ...api, rateLimit: RATE_LIMIT, ...settings }, patience);
  servers.push(server);
  return url;
}

/** What an answer says of a policy: what is left, and for how many seconds. */
function standing({ headers }: { headers: Headers }, policy = 'default') {
  const [, left, seconds] =
    new RegExp(`"${policy}";r=(\\d+);t=(\\d+)`).exec(headers.get('ratelimit') ?? '') ?? [];
  return { left: Number(left), seconds: Number(seconds) };
}

const ascending = (a: number, b: number): number => a - b;

const times = <T>(count: number, work: (i: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, i) => work(i)));

describe('the general limit', () => {
  test('is told by every answer that counts, with what is left', async () => {
    const client = as('203.0.113.1');
    for (const [i, path] of ['/books', '/nowhere', '/books/nobody', '/books?limit=x'].entries()) {
      const answer = await get(path, client);
      expect(answer.headers.get('ratelimit-policy')).toBe(`"default";q=${RATE_LIMIT};w=60`);
      expect([path, standing(answer).left]).toEqual([path, RATE_LIMIT - 1 - i]);
      expect(standing(answer).seconds).toBeGreaterThan(MINUTE - 30);
    }
    for (const path of ['/health/live', '/health/ready', '/docs/assets/none.js'])
      expect((await get(path, client)).headers.get('ratelimit')).toBeNull();
    expect(standing(await get('/', client)).left).toBe(RATE_LIMIT - 5);
  });

  test('refuses what is beyond it, says when to come again, and leaves other clients alone', async () => {
    const client = as('203.0.113.2');
    const statuses = (await times(RATE_LIMIT, () => get('/', client))).map(({ status }) => status);
    expect(statuses).toEqual(Array(RATE_LIMIT).fill(200));
    for (const path of ['/books', '/nowhere']) {
      const { status, headers, body } = await get(path, client);
      expect([status, body.code, body.instance]).toEqual([429, 'rate_limited', path]);
      const { left, seconds } = standing({ headers });
      expect([left, headers.get('retry-after')]).toEqual([0, String(seconds)]);
      expect(body.detail).toMatch(new RegExp(`${RATE_LIMIT} .* 60 seconds; try again in ${seconds} seconds`));
    }
    expect((await get('/health/live', client)).status).toBe(200);
    expect((await get('/books', as('203.0.113.3'))).status).toBe(200);
  });

  test('is one for all processes on a database, to the point', async () => {
    const client = as('203.0.113.4');
    const statuses = await times(RATE_LIMIT + 6, (i) =>
      fetch(`${i % 2 ? url() : program.url}/`, client).then(({ status }) => status),
    );
    expect(statuses.filter((status) => status === 200)).toHaveLength(RATE_LIMIT);
    for (const at of [url(), program.url]) expect((await fetch(`${at}/`, client)).status).toBe(429);
  });

  test('costs the database one write for many requests, and still is to the point', async () => {
    const client = as('203.0.113.5');
    const [one, two] = [
      await another({ rateLimit: 400, trustProxy: 1 }),
      await another({ rateLimit: 400, trustProxy: 1 }),
    ];
    let writes = 0;
    const note = ({ commandName, command }: mongo.CommandStartedEvent) => {
      if (commandName === 'findAndModify' && command['findAndModify'] === 'ratelimits') writes++;
    };
    mongoose.connection.getClient().on('commandStarted', note);
    const statuses = await times(520, (i) =>
      fetch(`${i % 2 ? one : two}/`, client).then(({ status }) => status),
    );
    mongoose.connection.getClient().off('commandStarted', note);
    expect(statuses.filter((status) => status === 200)).toHaveLength(400);
    // Twenty shares, one refusal for each, and the start of the window.
    expect(writes).toBeLessThan(26);
  });

  test('counts an account as one client, wherever it is', async () => {
    const [ann, bob] = [await aCaller('member'), await aCaller('member')];
    const left = async (address: string, token = '') =>
      standing(await get('/', { ...as(address), as: token })).left;
    expect(await left('203.0.113.6', ann.token)).toBe(RATE_LIMIT - 1);
    expect(await left('203.0.113.7', ann.token)).toBe(RATE_LIMIT - 2);
    expect(await left('203.0.113.7', bob.token)).toBe(RATE_LIMIT - 1);
    expect(await left('203.0.113.7')).toBe(RATE_LIMIT - 1);
    // Whoever only says that he is somebody counts for the address that he says it from.
    expect(await left('203.0.113.7', 'nonsense')).toBe(RATE_LIMIT - 2);
  });
});

describe('the address of a client', () => {
  const left = async (at: string, forwarded: string) => standing(await fetch(`${at}/`, as(forwarded))).left;

  test('is what the trusted proxies say; what stands before that is anybody’s', async () => {
    expect(await left(url(), '203.0.113.8')).toBe(RATE_LIMIT - 1);
    expect(await left(url(), '198.51.100.1, 203.0.113.8')).toBe(RATE_LIMIT - 2);
    expect(await left(url(), 'unknown,198.51.100.2 ,203.0.113.8')).toBe(RATE_LIMIT - 3);
    const behindTwo = await another({ trustProxy: 2 });
    expect(await left(behindTwo, '203.0.113.9, 10.0.0.1')).toBe(RATE_LIMIT - 1);
    expect(await left(behindTwo, '198.51.100.1, 203.0.113.9, 10.0.0.2')).toBe(RATE_LIMIT - 2);
  });

  test('is that of its connection where no proxy is trusted, or says nothing', async () => {
    const alone = await another();
    const first = await left(alone, '203.0.113.10');
    expect(await left(alone, '203.0.113.11')).toBe(first - 1);
    expect(await left(url(), 'unknown')).toBe(first - 2);
    expect(standing(await fetch(`${url()}/`)).left).toBe(first - 3);
  });

  test.each([
    ['2001:db8:1:2::1', '2001:db8:1:2:ffff:ffff:ffff:ffff', true],
    ['2001:db8:1:3::1', '2001:0DB8:0001:0003::2', true],
    ['2001:db8:1:4::1', '2001:db8:1:5::1', false],
    ['2001:db8::1', '2001:db8:0:0:1::', true],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0::2', true],
    ['fe80::1%eth0', 'fe80::2', true],
    ['::ffff:192.0.2.2', '192.0.2.2', true],
    ['192.0.2.3:1234', '192.0.2.3', true],
    ['192.0.2.4', '192.0.2.5', false],
  ])('%s is the same as %s: %s', async (one, other, same) => {
    const before = await left(url(), one);
    expect(await left(url(), other)).toBe(same ? before - 1 : RATE_LIMIT - 1);
  });
});

test('HSTS stands there only where the client came by TLS, as far as a trusted proxy knows', async () => {
  const hsts = async (at: string, protocol: string) =>
    (await fetch(`${at}/`, as('203.0.113.12', { 'x-forwarded-proto': protocol }))).headers.get(
      'strict-transport-security',
    );
  expect(await hsts(url(), 'https')).toMatch(/^max-age=\d{8}$/);
  expect(await hsts(url(), 'http')).toBeNull();
  expect((await get('/', as('203.0.113.12'))).headers.has('strict-transport-security')).toBe(false);
  expect(await hsts(await another(), 'https')).toBeNull();
});

describe('a route with limits of its own', () => {
  const ask = (name: string, client: object, path = '/ask') => post(path, { name }, client);

  test('refuses the eleventh request for a name, on another process too, and says when to come again', async () => {
    const client = as('203.0.113.20');
    const statuses = (await times(12, () => ask('ann', client))).map(({ status }) => status);
    expect(statuses.toSorted(ascending)).toEqual([...Array(10).fill(204), 429, 429]);
    const at = await another({ trustProxy: 1 });
    const elsewhere = await fetch(`${at}/ask`, {
      method: 'POST',
      body: JSON.stringify({ name: 'ann' }),
      headers: { ...client.headers, 'content-type': 'application/json' },
    });
    expect(elsewhere.status).toBe(429);
    expect(Number(elsewhere.headers.get('retry-after'))).toBeGreaterThan(14 * MINUTE);
    expect(elsewhere.headers.get('ratelimit-policy')).toBe(
      `"default";q=${RATE_LIMIT};w=60, "name";q=10;w=900`,
    );
    expect(standing(elsewhere, 'name').left).toBe(0);
    expect((await ask('ann', as('203.0.113.21'))).status).toBe(204);
  });

  test('has each of its limits by itself, and counts no request that is not well-formed', async () => {
    const client = as('203.0.113.22');
    for (let i = 0; i < 3; i++) expect((await ask('', client)).status).toBe(422);
    const statuses = (await times(17, (i) => ask(`name ${i}`, client))).map(({ status }) => status);
    expect(statuses.toSorted(ascending)).toEqual([...Array(15).fill(204), 429, 429]);
  });

  test('takes them again when the time is over that the refusal says', async () => {
    const client = as('203.0.113.25');
    const answers = await times(12, () => ask('ann', client, '/ask-soon'));
    const refused = answers.find(({ status }) => status === 429);
    expect(refused?.headers.get('retry-after')).toBe('1');
    await sleep(1000);
    expect((await ask('ann', client, '/ask-soon')).status).toBe(204);
  });
});

/** Cursors of MongoDB that wait for somebody to read on. */
const openCursors = async (): Promise<number> => {
  const operations = await mongoose.connection
    .getClient()
    .db('admin')
    .aggregate([
      { $currentOp: { allUsers: true, idleCursors: true } },
      { $match: { type: 'idleCursor', ns: `${dbName}.books` } },
    ])
    .toArray();
  return operations.length;
};

test('a server has the patience that fits slow networks and the proxies that there are', async () => {
  const patience = ({ headersTimeout, requestTimeout, timeout, keepAliveTimeout }: Server) => ({
    headersTimeout,
    requestTimeout,
    timeout,
    keepAliveTimeout,
  });
  await another();
  await another({ trustProxy: 1 });
  const plain = { headersTimeout: 5_000, requestTimeout: 10_000, timeout: 15_000, keepAliveTimeout: 5_000 };
  expect(servers.slice(-2).map(patience)).toEqual([plain, { ...plain, keepAliveTimeout: 65_000 }]);
});

test('clients that are slow are cut off, and meanwhile others are answered as ever', async () => {
  await modelOf(Book).collection.insertMany(
    Array.from({ length: 1500 }, (_, i) => ({
      title: `t${i}`,
      authors: Array(50).fill('a'.repeat(200)),
      year: null,
      isbn: null,
      language: null,
      tags: [],
      createdAt: new Date(),
      updatedAt: new Date(),
    })) as any,
  );
  const log: any[] = [];
  const logger = pino({ level: 'info' }, { write: (line) => void log.push(JSON.parse(line)) });
  const at = await another({ rateLimit: RATE_LIMIT, trustProxy: 1, logger }, SHORT_TIMES);
  const head = (i: number, rest: string) => `Host: localhost\r\nX-Forwarded-For: 198.51.100.${i}\r\n${rest}`;

  /** Sends the beginning of a request and then drops, and tells when the server has had enough. */
  const trickle = async (start: string, drop: string) => {
    const began = performance.now();
    const socket = await dial(at);
    socket.send(start);
    const drops = drop && setInterval(() => socket.send(drop), 400);
    const answer = await socket.answer();
    expect(await socket.ends(400)).toBe(true);
    if (drops) clearInterval(drops);
    socket.hangUp();
    return { status: answer?.status, seconds: (performance.now() - began) / 1000 };
  };

  const UNFINISHED = 'Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{';

  /** Asks for a stream of 15 MB, reads nothing, and tells when the server has let go of it. */
  const stall = async () => {
    const began = performance.now();
    const socket = connect(Number(new URL(at).port), '127.0.0.1').pause();
    const headers = 'Accept: application/x-ndjson\r\nX-Request-Id: stalled\r\n\r\n';
    socket.write(`GET /books/export HTTP/1.1\r\n${head(200, headers)}`);
    while ((await openCursors()) === 0) await sleep(50);
    // Not by the cursor: while MongoDB reads on, it does not count as one that waits.
    while (!log.some(({ req, msg }) => req?.clientId === 'stalled' && msg === 'request aborted'))
      await sleep(50);
    const seconds = (performance.now() - began) / 1000;
    while ((await openCursors()) > 0) await sleep(50);
    socket.destroy();
    return seconds;
  };

  /** A proxy keeps its connections for the next client. */
  const pause = async () => {
    const socket = await dial(at);
    for (const wait of [4_000, 0]) {
      socket.send(`GET /health/live HTTP/1.1\r\n${head(201, '\r\n')}`);
      expect((await socket.answer())?.status).toBe(200);
      await sleep(wait);
    }
    socket.hangUp();
  };

  let isOver = false;
  /** Milliseconds until each of the requests of a few normal clients was answered. */
  const latencies: number[] = [];
  const read = async () => {
    while (!isOver) {
      const start = performance.now();
      const address = `192.0.2.${100 + (latencies.length % 100)}`;
      expect((await fetch(`${at}/books?limit=1`, as(address))).status).toBe(200);
      latencies.push(performance.now() - start);
      await sleep(20);
    }
  };

  let rounds = 0;
  /** They come again until the normal clients have had enough answers to tell: on a busy machine that takes time. */
  const slow = async () => {
    const cut: Awaited<ReturnType<typeof trickle>>[] = [];
    for (; latencies.length <= 30; rounds++) {
      const headers = times(100, (i) => trickle(`GET / HTTP/1.1\r\n${head(i, '')}`, 'X-A: b\r\n'));
      const bodies = times(100, (i) => trickle(`POST /users HTTP/1.1\r\n${head(i, UNFINISHED)}`, ' '));
      const silent = times(10, () => trickle('', ''));
      cut.push(...(await Promise.all([headers, bodies, silent])).flat());
    }
    return cut;
  };
  const [cut, stalled] = await Promise.all([
    slow().finally(() => (isOver = true)),
    stall(),
    pause(),
    times(3, read),
  ]);
  latencies.sort(ascending);

  for (const { status, seconds } of cut) {
    expect(status).toBe(408);
    expect(seconds).toBeLessThan(6);
  }
  expect(latencies.length).toBeGreaterThan(30);
  const median = latencies[Math.floor(latencies.length / 2)] as number;
  // Not the worst: the machine may be busy with something else. Were they in the way of others, all would wait.
  const most = latencies[Math.floor(0.8 * latencies.length)] as number;
  const last = Math.max(...cut.map(({ seconds }) => seconds));
  console.info(
    `Normal client: median ${Math.round(median)} ms, 80 % within ${Math.round(most)} ms; last slow one cut after ${last.toFixed(1)} s, stalled reader after ${stalled.toFixed(1)} s.`,
  );
  expect(median).toBeLessThan(250);
  expect(most).toBeLessThan(1000);
  expect(stalled).toBeGreaterThan(2);
  expect(stalled).toBeLessThan(12);

  // What never became a request stands in the log, too, once each.
  expect(log.filter(({ level }) => level > 30)).toEqual([]);
  const late = log.filter(({ res }) => res.status === 408);
  expect(late.filter(({ req }) => req.method === 'POST' && req.path === '/users')).toHaveLength(rounds * 100);
  expect(late.filter(({ req, msg }) => req.id && msg === 'request refused')).toHaveLength(rounds * 110);
});

test('without the database each process counts by itself', async () => {
  const at = await another({ rateLimit: 10, trustProxy: 1 });
  await mongoose.disconnect();
  const client = as('203.0.113.30');
  const answers = await times(12, () => fetch(`${at}/`, client));
  expect(answers.map(({ status }) => status).toSorted(ascending)).toEqual([...Array(10).fill(200), 429, 429]);
  for (const answer of answers) expect(standing(answer).seconds).toBeGreaterThan(0);
});
