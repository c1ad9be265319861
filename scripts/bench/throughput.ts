import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import mongoose, { Types } from 'mongoose';
import { Pool } from 'undici';
import { migrations } from '../../src/migrations/index.ts';
import { startEmbedded } from '../../src/mongo/embedded/start.ts';
import { up } from '../../src/mongo/migrate/run.ts';
import { CREDENTIALS, letIn, TOKEN_KEYS } from '../../test/support/callers.ts';
import { compiled } from '../../test/support/process.ts';
import { runProgram, say } from '../program.ts';
import { quantile } from './load.ts';

const USAGE = `Usage: npm run bench [-- --rounds 5] [--seconds 3] [--clients 32]

Compares Shelfmark with a bare server on node:http and the driver (scripts/bench/plain.ts), on the same database: an
embedded one in a temporary folder, with 10,000 books, 20,000 posts, 1,000 users and 200 tags. The rounds alternate, so
that other load on the machine affects both; on a shared machine only the ratios are meaningful. The bare server
checks no logins and references, writes no audit trail, and supports only the filters of this benchmark.`;

const SERVERS = { plain: 'scripts/bench/plain.ts', shelfmark: 'src/main.ts' };
type Name = keyof typeof SERVERS;

const SIZES = { tags: 200, users: 1_000, books: 10_000, posts: 20_000 };
/** The nth document of a collection. */
const idOf = (collection: keyof typeof SIZES, n: number): string =>
  `61${collection.charCodeAt(0).toString(16)}${n.toString(16).padStart(20, '0')}`;
const below = (most: number): number => Math.floor(Math.random() * most);
const some = (collection: keyof typeof SIZES): string => idOf(collection, below(SIZES[collection]));
const between = (first: number, last: number): number => first + below(last - first + 1);

const TEXT = 'Ember river thread shadow night stone winter method lantern. '.repeat(8);
const WORKLOADS: [name: string, request: () => { path: string; body?: object }][] = [
  ['a book by its id', () => ({ path: `/books/${some('books')}` })],
  ['20 posts with author and tags', () => ({ path: `/posts?include=author,tags&offset=${below(10) * 20}` })],
  ['20 books from a year on', () => ({ path: `/books?year[gte]=${between(1990, 2020)}&sort=-year` })],
  [
    'the same with the exact count',
    () => ({ path: `/books?year[gte]=${between(1990, 2020)}&sort=-year&count=exact` }),
  ],
  [
    'create a book with two tags',
    () => ({
      path: '/books',
      body: {
        title: 'Stone river',
        authors: ['Ada'],
        year: 1999,
        tags: [idOf('tags', below(100)), idOf('tags', 100 + below(100))],
      },
    }),
  ],
  [
    'create a post with three references',
    () => ({
      path: '/posts',
      body: {
        title: 'Meadow',
        body: TEXT,
        author: some('users'),
        tags: [some('tags')],
        books: [some('books')],
      },
    }),
  ],
];

interface Sample {
  rate: number;
  p50: number;
  p99: number;
  /** CPU time per request, in µs. */
  cpu: number;
}

await runProgram(USAGE, async (stop) => {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '3' },
      clients: { type: 'string', default: '32' },
    },
  });
  const [rounds, seconds, clients] = [Number(values.rounds), Number(values.seconds), Number(values.clients)];
  const dataDir = await mkdtemp(join(tmpdir(), 'shelfmark-bench-'));
  const mongod = await startEmbedded({ dataDir, say });
  const servers: Awaited<ReturnType<typeof start>>[] = [];
  try {
    await fill(mongod.uri);
    for (const name of Object.keys(SERVERS) as Name[]) servers.push(await start(name, mongod.uri));
    say(`Node ${process.version}; each of ${rounds} rounds takes ${seconds} s. × is shelfmark / plain.\n`);
    console.log(
      '|  | req/s plain | shelfmark | × | CPU µs plain | shelfmark | × | p99 ms plain | shelfmark |',
    );
    console.log('|---|---|---|---|---|---|---|---|---|');
    for (const [name, request] of WORKLOADS) {
      const samples: Sample[][] = servers.map(() => []);
      for (let round = -1; round < rounds && !stop.aborted; round++)
        for (const [i, server] of servers.entries()) {
          const sample = await measure(server, request, clients, seconds * 1_000);
          // Warm-up, so that the code is compiled and optimised.
          if (round >= 0) samples[i]?.push(sample);
        }
      const [plain, product] = samples as [Sample[], Sample[]];
      console.log(`| ${name} | ${row(plain, product)} |`);
    }
  } finally {
    for (const { stop } of servers) await stop();
    await mongod.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
  return stop.aborted ? (stop.reason as number) : 0;
});

function row(plain: Sample[], product: Sample[]): string {
  const of = (samples: Sample[], part: keyof Sample) =>
    quantile(
      samples.map((sample) => sample[part]),
      0.5,
    );
  const pair = (part: keyof Sample) => [of(plain, part), of(product, part)] as const;
  const compared = (part: keyof Sample) => {
    const [a, b] = pair(part);
    return [a.toFixed(0), b.toFixed(0), `**${(b / a).toFixed(2)}**`];
  };
  return [...compared('rate'), ...compared('cpu'), ...pair('p99').map((time) => time.toFixed(1))].join(' | ');
}

/** Starts a server in a separate process. */
async function start(name: Name, uri: string) {
  const child = fork(compiled(SERVERS[name]), [], {
    execArgv: ['--import', compiled('scripts/bench/cpu.ts').href],
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    env: {
      ...process.env,
      NODE_ENV: 'production',
      MONGODB_URI: uri,
      PORT: '0',
      LOG_LEVEL: 'warn',
      PUBLIC_URL: 'http://127.0.0.1:3000',
      RATE_LIMIT: '1000000000',
      TOKEN_KEYS,
    },
  });
  let said = '';
  while (!/answers at/.test(said))
    said += String((await once(child.stdout as NodeJS.ReadableStream, 'data'))[0]);
  const url = /answers at (\S+)/.exec(said)?.[1] as string;
  const stop = async () => {
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  return { url, cpu: () => cpuOf(child), stop };
}

async function cpuOf(child: ChildProcess): Promise<number> {
  child.send('cpu');
  return (await once(child, 'message'))[0] as number;
}

/** Runs so many concurrent clients; each sends its next request as soon as it has its answer. */
async function measure(
  { url, cpu }: { url: string; cpu: () => Promise<number> },
  request: (typeof WORKLOADS)[number][1],
  clients: number,
  milliseconds: number,
): Promise<Sample> {
  const pool = new Pool(url, { connections: clients });
  const times: number[] = [];
  const before = await cpu();
  const begin = performance.now();
  const client = async () => {
    while (performance.now() - begin < milliseconds) {
      const { path, body } = request();
      const sent = performance.now();
      const { statusCode, body: answer } = await pool.request({
        method: body ? 'POST' : 'GET',
        path,
        headers: body ? { authorization: CREDENTIALS, 'content-type': 'application/json' } : {},
        body: body ? JSON.stringify(body) : null,
      });
      const text = await answer.text();
      // On a busy machine: refused requests have no comparable time.
      if (statusCode === 503) continue;
      if (statusCode >= 300) throw new Error(`${path}: ${statusCode} ${text}`);
      times.push(performance.now() - sent);
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  const lasted = (performance.now() - begin) / 1_000;
  const used = (await cpu()) - before;
  await pool.close();
  return {
    rate: times.length / lasted,
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    cpu: used / times.length,
  };
}

/** Fills a new database. */
async function fill(uri: string): Promise<void> {
  const client = await new mongoose.mongo.MongoClient(uri).connect();
  const db = client.db();
  await up(db, migrations);
  await letIn(db);
  const stamps = { createdAt: new Date('2024-01-01'), updatedAt: new Date('2024-01-01') };
  const made: { [name in keyof typeof SIZES]: (n: number) => object } = {
    tags: (n) => ({ name: `tag ${n}`, description: null }),
    users: (n) => ({
      name: `User ${n}`,
      email: `user${n}@example.org`,
      role: 'member',
      bio: null,
      passwordHash: null,
      verifiedAt: null,
      lockedAt: null,
    }),
    books: (n) => ({
      title: `The book of stone and river ${n}`,
      authors: [`Author ${n % 997}`],
      year: between(1950, 2025),
      isbn: null,
      language: null,
      tags: [new Types.ObjectId(some('tags'))],
    }),
    posts: (n) => ({
      title: `Meadow paper copper ${n}`,
      body: TEXT,
      status: 'published',
      publishedAt: new Date('2024-01-01'),
      author: new Types.ObjectId(some('users')),
      tags: [idOf('tags', n % 100), idOf('tags', 100 + (n % 100))].map((id) => new Types.ObjectId(id)),
      books: [new Types.ObjectId(some('books'))],
    }),
  };
  for (const [name, size] of Object.entries(SIZES) as [keyof typeof SIZES, number][])
    await db.collection(name).insertMany(
      Array.from({ length: size }, (_, n) => ({
        _id: new Types.ObjectId(idOf(name, n)),
        ...made[name](n),
        ...stamps,
      })),
    );
  await client.close();
}
