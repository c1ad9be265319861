import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import mongoose, { Types } from 'mongoose';
import { database } from '../../src/mongo/connect.ts';
import { startEmbedded } from '../../src/mongo/embedded/start.ts';
import { Book } from '../../src/resources/books/book.ts';
import { Tag } from '../../src/resources/tags/tag.ts';
import { User } from '../../src/resources/users/user.ts';
import { letIn } from '../../test/support/callers.ts';
import { freshDatabase } from '../../test/support/database.ts';
import { startServer } from '../../test/support/process.ts';
import { runProgram, say, UsageError } from '../program.ts';
import { type Load, measure, merge, quantile, type Sample } from './load.ts';
import { modelOf } from '../../src/schema/model.ts';

const USAGE = `Usage: npm run bench:references -- [--writers 32] [--rounds 5] [--seconds 3]

Measures writes that refer to popular documents: clients create posts over HTTP that all have one author, or
one of a thousand authors; then posts with 10 tags and 3 books, a few of which are very popular, or
all equally. The rounds alternate, so that other load on the machine affects both; on a shared machine only
the ratios are meaningful.

It uses the database shelfmark_bench, which it drops: on the server of MONGODB_URI, or else in an
embedded one in a temporary folder.

  --writers   concurrent clients
  --rounds    rounds per variant, after one warm-up round
  --seconds   how long a round takes`;

const DATABASE = 'shelfmark_bench';
const DOCUMENTS = 1_000;
const POPULAR = 200;

async function main(stop: AbortSignal): Promise<number> {
  const { writers, rounds, seconds } = readArguments();
  const place = await openDatabase();
  try {
    await mongoose.connect(place.uri);
    await freshDatabase(place.uri);
    await letIn(database());
    const server = await startServer(place.uri);
    try {
      for (const pair of await pairs(`${server.url}/posts`)) {
        const samples = new Map<Load, Sample>();
        for (let round = 0; round <= rounds && !stop.aborted; round++)
          for (const load of pair) {
            const sample = await measure(load, writers, seconds * 1000);
            if (round > 0) samples.set(load, merge(samples.get(load), sample));
          }
        report(samples);
      }
    } finally {
      await server.stop();
      await mongoose.connection.dropDatabase();
    }
  } finally {
    await mongoose.disconnect();
    await place.close();
  }
  return stop.aborted ? (stop.reason as number) : 0;
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      writers: { type: 'string', default: '32' },
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '3' },
    },
  });
  const positive = (option: keyof typeof values): number => {
    if (/^[1-9]\d{0,3}$/.test(values[option])) return Number(values[option]);
    throw new UsageError(`--${option} takes a number from 1 to 9999, not "${values[option]}".`);
  };
  return { writers: positive('writers'), rounds: positive('rounds'), seconds: positive('seconds') };
}

async function openDatabase(): Promise<{ uri: string; close: () => Promise<void> }> {
  const given = process.env['MONGODB_URI'];
  if (given) return { uri: inDatabase(given), close: async () => {} };
  const dataDir = await mkdtemp(join(tmpdir(), 'shelfmark-bench-'));
  const mongod = await startEmbedded({ dataDir, say });
  return {
    uri: inDatabase(mongod.uri),
    close: async () => {
      await mongod.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

const inDatabase = (uri: string): string =>
  uri.replace(/^(\w+(?:\+srv)?:\/\/[^/?]+)(?:\/[^?]*)?/, `$1/${DATABASE}`);

/** The variants: each time one with a few popular targets, and one without. */
async function pairs(url: string): Promise<[Load, Load][]> {
  const ids = () => Array.from({ length: DOCUMENTS }, () => new Types.ObjectId());
  const [users, tags, books] = [ids(), ids(), ids()];
  await modelOf(User).insertMany(
    users.map((_id) => ({ ...User.defaults, _id, name: 'Ann', email: `${_id.toHexString()}@example.org` })),
  );
  await modelOf(Tag).insertMany(tags.map((_id) => ({ ...Tag.defaults, _id, name: _id.toHexString() })));
  await modelOf(Book).insertMany(
    books.map((_id) => ({ ...Book.defaults, _id, title: 'Solaris', authors: ['Stanisław Lem'] })),
  );
  const post = { title: 'Winter', body: 'Two people cross the ice.' };
  const anyAuthor = () => ({ ...post, author: one(users) });
  return [
    [
      { name: 'one author', url, body: () => ({ ...post, author: users[0] }) },
      { name: 'a thousand authors', url, body: anyAuthor },
    ],
    [
      {
        name: `10 of ${POPULAR} tags and 3 of ${POPULAR} books, by Zipf`,
        url,
        body: () => ({ ...anyAuthor(), tags: several(10, tags, zipf), books: several(3, books, zipf) }),
      },
      {
        name: '10 of a thousand tags and 3 of a thousand books, evenly',
        url,
        body: () => ({ ...anyAuthor(), tags: several(10, tags, one), books: several(3, books, one) }),
      },
    ],
  ];
}

const one = <T>(all: T[]): T => all[Math.floor(Math.random() * all.length)] as T;

/** Zipf: the second is named half as often as the first, the third a third as often. */
function zipf<T>(all: T[]): T {
  let rest = Math.random() * HARMONIC;
  let rank = 0;
  while (rank < POPULAR - 1 && (rest -= 1 / (rank + 1)) > 0) rank++;
  return all[rank] as T;
}
const HARMONIC = Array.from({ length: POPULAR }, (_, rank) => 1 / (rank + 1)).reduce((a, b) => a + b);

function several<T>(count: number, all: T[], choose: (all: T[]) => T): T[] {
  const chosen = new Set<T>();
  while (chosen.size < count) chosen.add(choose(all));
  return [...chosen];
}

function report(samples: Map<Load, Sample>): void {
  const [hot, spread] = [...samples.values()].map(({ rates }) => quantile(rates, 0.5));
  for (const [{ name }, { rates, times, statuses }] of samples)
    console.log(
      `${name.padEnd(58)} ${quantile(rates, 0.5).toFixed(0).padStart(5)} requests/s   ` +
        `p50 ${quantile(times, 0.5).toFixed(0)} ms, p99 ${quantile(times, 0.99).toFixed(0)} ms   ` +
        [...statuses].map(([status, count]) => `${count} × ${status}`).join(', '),
    );
  if (hot && spread) console.log(`  ratio ${(hot / spread).toFixed(2)}\n`);
}

await runProgram(USAGE, main);
