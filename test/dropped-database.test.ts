import mongoose from 'mongoose';
import { pino } from 'pino';
import { readCommits } from '../src/edges/changes/commits.ts';
import { createTail, readClock } from '../src/edges/changes/tail.ts';
import { database } from '../src/mongo/connect.ts';
import { JOURNAL } from '../src/mongo/migrate/journal.ts';
import { dbName, mongoUri } from './support/harness.ts';

/** The feed of changes when its database is dropped: MongoDB ends the change stream. */

const followed = { shown: ['books'], noticed: [] };

beforeAll(() => mongoose.connect(mongoUri, { dbName: `${dbName}_dropped`, bufferCommands: false }));
afterAll(() => mongoose.disconnect());
const insert = (n: number) => database().collection('books').insertOne({ n });

test('the history ends with it, instead of giving empty batches for ever', async () => {
  await insert(1);
  const from = { time: (await readClock()).settled };
  await database().dropDatabase();
  let lost = 0;
  let empty = 0;
  for await (const { commits } of readCommits(followed, from, new AbortController().signal, 10)) {
    lost += commits.filter((commit) => commit.lost !== undefined).length;
    if (commits.length > 0) continue;
    if (++empty > 1_000) break;
  }
  expect(lost).toBeGreaterThan(0);
  expect(empty).toBeLessThan(1_000);
});

test('its followers are reset, and hear of what the next one of that name contains', async () => {
  await insert(1);
  const heard: string[] = [];
  let hear = () => {};
  const tail = createTail(
    followed,
    {
      commits: async (commits) => {
        heard.push(
          ...commits.flatMap(({ entries }) => entries.map(({ after }) => `n ${String(after?.['n'])}`)),
        );
        hear();
      },
      lost: async () => void heard.push('lost'),
      moved: () => {},
    },
    pino({ level: 'silent' }),
  );
  await database().createCollection(JOURNAL.collection);
  await tail.start();
  const former = tail.mark();
  await database().dropDatabase();
  await database().createCollection(JOURNAL.collection);
  const done = new Promise<void>((resolve) => (hear = resolve));
  await insert(2);
  await done;
  // Positions of the former database are refused, whichever process has given them.
  expect(tail.mark()).not.toBe(former);
  tail.stop();
  await database().dropDatabase();
  expect([heard[0], heard.at(-1)]).toEqual(['lost', 'n 2']);
});
