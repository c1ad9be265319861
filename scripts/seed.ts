import { parseArgs } from 'node:util';
import { Book } from '../src/resources/books/book.ts';
import { Tag } from '../src/resources/tags/tag.ts';
import { typical } from '../src/schema/example.ts';
import { count, pace, runProgram, say, UsageError, withDatabase } from './program.ts';
import { startProgress } from './progress.ts';
import { modelOf } from '../src/schema/model.ts';

const USAGE = `Usage: npm run seed -- BOOKS

Adds made-up books and 100 tags to the database, for trials at scale: npm run seed -- 1000000

Exit codes: 0 done, 2 it could not run or could not finish, 130 interrupted.`;

const BATCH = 2_000;
const TAGS = 100;

const FIRST = [
  'The Silent',
  'A Distant',
  'The Last',
  'My Brilliant',
  'An Ordinary',
  'The Hidden',
  'One Hundred',
  'No',
];
const SECOND = [
  'River',
  'House',
  'Garden',
  'Winter',
  'Country',
  'Mirror',
  'Ocean',
  'City',
  'Letter',
  'Machine',
];
const THIRD = [
  'of Glass',
  'in the North',
  'at Dawn',
  'without End',
  'and Other Stories',
  'of Saints',
  'for Beginners',
];
const NAMES = [
  'Ada',
  'Boris',
  'Chinua',
  'Doris',
  'Elena',
  'Fatima',
  'Goro',
  'Hilda',
  'Italo',
  'Jorge',
  'Kenzaburo',
];
const LANGUAGES = ['en', 'en', 'en', 'fr', 'de', 'es', 'pl', 'ja', null];

const pick = <T>(from: readonly T[]): T => from[Math.floor(Math.random() * from.length)] as T;

/** A book without an ISBN: made-up ones could collide with real ones. */
function book(number: number, tags: unknown[]) {
  const now = new Date();
  return {
    ...typical(Book),
    title: `${pick(FIRST)} ${pick(SECOND)} ${pick(THIRD)} ${number}`,
    authors: [`${pick(NAMES)} ${pick(SECOND)}`],
    year: Math.random() < 0.02 ? null : 2026 - Math.floor(Math.random() ** 3 * 500),
    language: pick(LANGUAGES),
    tags: Math.random() < 0.3 ? [pick(tags)] : [],
    createdAt: now,
    updatedAt: now,
  };
}

await runProgram(USAGE, async (stop) => {
  const { positionals } = parseArgs({ allowPositionals: true });
  const wanted = Number(positionals[0]);
  if (positionals.length !== 1 || !Number.isInteger(wanted) || wanted < 1)
    throw new UsageError('Give the number of books.');
  return withDatabase(async () => {
    const start = performance.now();
    const run = Date.now().toString(36);
    const tags = await modelOf(Tag).insertMany(
      Array.from({ length: TAGS }, (_, i) => ({ ...typical(Tag), name: `seed ${run} ${i}` })),
    );
    const ids = tags.map(({ _id }) => _id);
    const progress = startProgress(wanted);
    let done = 0;
    while (done < wanted && !stop.aborted) {
      const size = Math.min(BATCH, wanted - done);
      const books = Array.from({ length: size }, (_, i) => book(done + i, ids));
      await modelOf(Book).insertMany(books as never[], { ordered: false, lean: true });
      done += size;
      progress.update(done, done);
    }
    progress.stop();
    say(`${count(done)} books and ${TAGS} tags added ${pace(done, start)}`);
    return stop.aborted ? Number(stop.reason) : 0;
  });
});
