import type { mongo } from 'mongoose';
import { database } from './connect.ts';

/**
 * How long wrong guesses make the next one wait. A key has a few free guesses; each further one doubles the wait, and
 * one is forgiven every `forgiven` seconds. So waits are never much longer than that, and nothing is ever locked. All
 * processes on a database share the counts.
 */
export interface Patience {
  name: string;
  /** Wrong guesses without a wait. */
  free: number;
  /** Seconds after which one wrong guess is forgiven. */
  forgiven: number;
}

interface Count {
  _id: string;
  /** Wrong guesses not forgiven yet, as of the last count. */
  level: number;
  at: Date;
  /** No guess is admitted before this time. */
  next: Date;
  /** Whether the last guess was admitted. */
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

/** How many of the counted guesses are not forgiven by now. */
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
 * Counts a guess as wrong before it is checked, so that concurrent guesses cannot exceed the limit; `forgive` takes it
 * back. Returns the seconds to wait if the guess is not admitted; then nothing was counted.
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
 * The same for a key that many may guess at from many places, none of whom may lock out the others: the guesses count
 * together, and make each place wait separately, from its first try on.
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

/** The known keys among these, with the seconds that each has to wait. Costs one read. */
export async function look(ids: string[]): Promise<Map<string, number>> {
  const found = await counts()
    .find({ _id: { $in: ids }, expireAt: { $gt: new Date() } })
    .toArray();
  return new Map(found.map(({ _id, next }) => [_id, Math.ceil((next.getTime() - Date.now()) / 1_000)]));
}

/** Takes a guess back: it was right, or was not checked. */
export async function forgive({ name }: Patience, key: string): Promise<void> {
  await counts().updateOne({ _id: `${name}:${key}` }, [
    { $set: { level: { $max: [0, { $subtract: ['$level', 1] }] }, next: NOW } },
  ]);
}

/** Remembers a key for so many seconds. */
export async function remember(id: string, seconds: number): Promise<void> {
  await change(id, [{ $set: { level: 0, at: NOW, next: NOW, granted: true, expireAt: later(seconds) } }]);
}

async function change(_id: string, update: object[]): Promise<Count> {
  const options = { upsert: true, returnDocument: 'after' } as const;
  return (await counts().findOneAndUpdate({ _id }, update, options)) as Count;
}

// Losing a count in a failover is harmless, so writes do not wait for the majority.
const counts = (): mongo.Collection<Count> =>
  database().collection<Count>(GUESSES, { writeConcern: { w: 1 } });
