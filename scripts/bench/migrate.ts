import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import mongoose from 'mongoose';
import { migrations } from '../../src/migrations/index.ts';
import { startEmbedded } from '../../src/mongo/embedded/start.ts';
import { backfill } from '../../src/mongo/migrate/documents.ts';
import { migration } from '../../src/mongo/migrate/migration.ts';
import { up } from '../../src/mongo/migrate/run.ts';
import { changeField, optional } from '../../src/mongo/migrate/structure.ts';
import { CREDENTIALS, letIn } from '../../test/support/callers.ts';
import { startServer } from '../../test/support/process.ts';
import { count, runProgram, say, UsageError } from '../program.ts';
import { quantile } from './load.ts';

const USAGE = `Usage: npm run bench:migrate [-- --books 1000000] [--clients 4]

Measures a backfill of the books, and its effect on clients of the API, which read, change and create
books, 10 times a second each, first alone and then beside the migration, which a separate process applies. Uses an
embedded database in a temporary folder. On a shared machine only the ratios are meaningful.`;

/** Reads one field and writes another, in every book. */
const marked = migration(import.meta.url, [
  changeField('books', 'century', { to: optional({ bsonType: ['int', 'long', 'double', 'null'] }) }),
  backfill('books', {
    where: { century: { $exists: false } },
    update: [{ $set: { century: { $ceil: { $divide: ['$year', 100] } } } }],
    // Books that clients add meanwhile lack the field.
    verify: { century: { $exists: false }, title: { $ne: 'New' } },
    down: { where: { century: { $exists: true } }, update: [{ $unset: 'century' }] },
  }),
]);

const PACE = 100;
const ALONE = 20_000;
const BATCH = 5_000;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      books: { type: 'string', default: '1000000' },
      clients: { type: 'string', default: '4' },
      apply: { type: 'string' },
    },
  });
  if (values.apply) return apply(values.apply);
  const [books, clients] = [Number(values.books), Number(values.clients)];
  if (!(books >= BATCH && clients > 0)) throw new UsageError(`--books takes a number of at least ${BATCH}.`);

  const dataDir = await mkdtemp(join(tmpdir(), 'shelfmark-bench-'));
  const mongod = await startEmbedded({ dataDir, say });
  const client = await new mongoose.mongo.MongoClient(mongod.uri).connect();
  try {
    const ids = await store(client.db(), books);
    const server = await startServer(mongod.uri);
    let going = true;
    const during = async (work: () => Promise<unknown>): Promise<number[]> => {
      going = true;
      const times: number[] = [];
      const all = Array.from({ length: clients }, () => use(`${server.url}/books`, ids, times, () => going));
      await work();
      going = false;
      await Promise.all(all);
      return times;
    };
    await during(() => sleep(3_000));
    report('alone', await during(() => sleep(ALONE)));
    const start = performance.now();
    const beside = await during(async () => {
      const child = fork(import.meta.filename, ['--apply', mongod.uri], { stdio: 'inherit' });
      const [code] = await once(child, 'exit');
      if (code !== 0) throw new Error('The migration has failed.');
    });
    const seconds = (performance.now() - start) / 1_000;
    report('beside the migration', beside);
    say(`${count(books)} books in ${seconds.toFixed(1)} s: ${count(Math.round(books / seconds))} a second`);
    await server.stop();
  } finally {
    await client.close();
    await mongod.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
  return 0;
}

async function apply(uri: string): Promise<number> {
  const client = await new mongoose.mongo.MongoClient(uri).connect();
  try {
    await up(client.db(), [...migrations, marked], { say });
    return 0;
  } finally {
    await client.close();
  }
}

/** Fills a new database; returns the ids of some of the books. */
async function store(db: mongoose.mongo.Db, books: number): Promise<string[]> {
  await up(db, migrations);
  await letIn(db);
  const now = new Date();
  const ids: string[] = [];
  for (let start = 0; start < books; start += BATCH) {
    const { insertedIds } = await db.collection('books').insertMany(
      Array.from({ length: Math.min(BATCH, books - start) }, (_, i) => ({
        title: `Book ${start + i}`,
        authors: [`Author ${(start + i) % 5_000}`],
        year: 1500 + ((start + i) % 500),
        isbn: null,
        language: 'en',
        tags: [],
        createdAt: now,
        updatedAt: now,
      })),
      { ordered: false, bypassDocumentValidation: true },
    );
    ids.push(...Object.values(insertedIds).slice(0, 10).map(String));
  }
  return ids;
}

/** A client that reads, changes and creates books at a fixed rate until it is stopped. */
async function use(url: string, ids: string[], times: number[], going: () => boolean): Promise<void> {
  const send = async (method: string, path: string, body?: object) => {
    const start = performance.now();
    const response = await fetch(url + path, {
      method,
      headers: { authorization: CREDENTIALS, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    });
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status}`);
    times.push(performance.now() - start);
    await sleep(PACE * 2 * Math.random());
  };
  while (going()) {
    const id = ids[Math.floor(Math.random() * ids.length)];
    await send('GET', `/${id}`);
    await send('GET', '?sort=title&limit=20');
    await send('PATCH', `/${id}`, { language: Math.random() < 0.5 ? 'fr' : 'de' });
    await send('POST', '', { title: 'New', authors: ['A'] });
  }
}

function report(what: string, times: number[]): void {
  const [p50, p99] = [quantile(times, 0.5), quantile(times, 0.99)];
  say(`${what}: ${count(times.length)} requests, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`);
}

await runProgram(USAGE, main);
