import type { mongo } from 'mongoose';
import { database } from './connect.ts';

/**
 * How long a wrong guess makes the next one wait. A key has a few guesses that cost nothing; each one after those
 * doubles the wait, and one is forgiven every `forgiven` seconds. So a wait is never much longer than that, and nothing
 * is ever locked. All processes on a database count together.
 */
export interface Patience {
  name: string;
  /** Wrong guesses that cost no wait. */
  free: number;
  /** Seconds after which one wrong guess is forgiven. */
  forgiven: number;
}

interface Count {
  _id: string;
  /** Wrong guesses that are not forgiven yet, when they were last counted. */
  level: number;
  at: Date;
  /** Before then no guess is let in. */
  next: Date;
  /** Whether the last guess was let in. */
  granted: boolean;
  expireAt: Date;
}

export const GUESSES = 'guesses';

/** The longest wait, in seconds. */
const LONGEST = 300;

const NOW = '$$NOW';
const later = (seconds: object | number) => ({ $add: [NOW, { $multiply: [1_000, seconds] }] });
const isDue = { $lte: [{ $ifNull: ['$next', NOW] }, NOW] };
/** Seconds to wait after a guess at this level. */
const wait = (level: object | string, free: number) => ({
  $cond: [{ $gt: [level, free] }, { $min: [LONGEST, { $pow: [2, { $subtract: [level, free] }] }] }, 0],
});
const remaining = ({ next }: Count): number => Math.max(1, Math.ceil((next.getTime() - Date.now()) / 1_000));

/** What is left of the guesses that were counted, by now. */
const levelNow = (forgiven: number) => ({
  $max: [
    0,
    {
      $subtract: [
        { $ifNull: ['$level', 0] },
        { $divide: [{ $subtract: [NOW, { $ifNull: ['$at', NOW] }] }, forgiven * 1_000] },
      ],
    },
  ],
});

/**
 * Counts a guess as wrong before it is looked at, so that of those that come at once no more get in; `forgive` takes
 * it back. Answers the seconds to wait where it is not let in: then nothing has been counted.
 */
export async function count({ name, free, forgiven }: Patience, key: string): Promise<number> {
  const level = { $cond: ['$granted', { $add: ['$level', 1] }, '$level'] };
  const counted = await change(`${name}:${key}`, [
    { $set: { level: levelNow(forgiven), at: NOW, granted: isDue } },
    { $set: { level } },
    { $set: { next: { $cond: ['$granted', later(wait('$level', free)), '$next'] } } },
    { $set: { expireAt: later({ $add: [LONGEST, { $multiply: ['$level', forgiven] }] }) } },
  ]);
  return counted.granted ? 0 : remaining(counted);
}

/**
 * The same for a key that many may guess at from many places, where nobody must be able to keep the others out: the
 * guesses count together, and make each place wait by itself, from its first try on.
 */
export async function countApart(patience: Patience, key: string, place: string): Promise<number> {
  const { name, free, forgiven } = patience;
  const { level } = await change(`${name}:${key}`, [
    { $set: { level: { $add: [levelNow(forgiven), 1] }, at: NOW, next: NOW, granted: true } },
    { $set: { expireAt: later({ $add: [LONGEST, { $multiply: ['$level', forgiven] }] }) } },
  ]);
  if (level <= free) return 0;
  const turn = await change(`${name}:${key}:${place}`, [
    { $set: { granted: { $and: [{ $ne: [{ $type: '$next' }, 'missing'] }, isDue] } } },
    {
      $set: {
        level: 0,
        at: NOW,
        next: {
          $cond: [
            { $or: ['$granted', { $eq: [{ $type: '$next' }, 'missing'] }] },
            later(wait({ $literal: level }, free)),
            '$next',
          ],
        },
      },
    },
    { $set: { expireAt: { $add: ['$next', LONGEST * 1_000] } } },
  ]);
  if (turn.granted) return 0;
  await forgive(patience, key);
  return remaining(turn);
}

/** What is known of these keys: those that are, each with the seconds that it has to wait. Costs one read. */
export async function look(ids: string[]): Promise<Map<string, number>> {
  const found = await counts()
    .find({ _id: { $in: ids }, expireAt: { $gt: new Date() } })
    .toArray();
  return new Map(found.map(({ _id, next }) => [_id, Math.ceil((next.getTime() - Date.now()) / 1_000)]));
}

/** Takes a guess back: it was right, or was not looked at. */
export async function forgive({ name }: Patience, key: string): Promise<void> {
  await counts().updateOne({ _id: `${name}:${key}` }, [
    { $set: { level: { $max: [0, { $subtract: ['$level', 1] }] }, next: NOW } },
  ]);
}

/** Notes a key, for so many seconds. */
export async function remember(id: string, seconds: number): Promise<void> {
  await change(id, [{ $set: { level: 0, at: NOW, next: NOW, granted: true, expireAt: later(seconds) } }]);
}

async function change(_id: string, update: object[]): Promise<Count> {
  const options = { upsert: true, returnDocument: 'after' } as const;
  return (await counts().findOneAndUpdate({ _id }, update, options)) as Count;
}

// A count that a failover loses does no harm, so no write waits for the majority.
const counts = (): mongo.Collection<Count> =>
  database().collection<Count>(GUESSES, { writeConcern: { w: 1 } });
