import type { mongo } from 'mongoose';
import { changeMatching } from './documents.ts';
import { type Checkpoint, type Entry, journalOf } from './journal.ts';
import { Interrupted, type Lock, LostLock } from './lock.ts';
import type { Filter } from '../layout.ts';
import type { Documents } from './migration.ts';
import { startThrottle } from './throttle.ts';

/**
 * The documents of one transaction. Concurrent writes to them wait for its end, so a batch has as many as take about
 * BATCH_TIME.
 */
const BATCH = { first: 500, least: 20, most: 2_000 };
/** Milliseconds. */
const BATCH_TIME = 300;
/** How often a collection is traversed, to reach documents that come to match meanwhile. */
const PASSES = 3;

export interface Progress {
  title: string;
  /** Documents processed, and about how many there are. */
  walked: number;
  total: number;
}

interface Walk {
  db: mongo.Db;
  lock: Lock;
  entry: Entry;
  signal: AbortSignal | undefined;
  onProgress: (progress: Progress) => void;
}

const NOWHERE: Checkpoint = { last: null, walked: 0, pass: 1 };

/** Goes through a collection in batches, resuming from the journal's checkpoint; see `backfill`. */
export async function runOnline(action: Documents, walk: Walk): Promise<void> {
  const { db, onProgress } = walk;
  const { title, collection } = action;
  const total = await db.collection(collection).estimatedDocumentCount();
  const throttle = await startThrottle(db, collection);
  let checkpoint = walk.entry.checkpoint ?? NOWHERE;
  let size = BATCH.first;
  try {
    for (;;) {
      const start = performance.now();
      const next = await nextBatch(action, walk, checkpoint, size);
      size = fitting(size, performance.now() - start);
      if (!next) {
        const left = await unfinished(action, walk.db);
        if (left === 0) return;
        if (!action.online?.repeatable) throw notVerified(action, left);
        const again = checkpoint.pass < PASSES;
        checkpoint = await noted(walk, checkpoint, { ...NOWHERE, pass: again ? checkpoint.pass + 1 : 1 });
        if (!again) throw notVerified(action, left);
        continue;
      }
      checkpoint = next;
      onProgress({ title, walked: Math.min(checkpoint.walked, total), total });
      if (walk.signal?.aborted) throw new Interrupted();
      await throttle.pause();
    }
  } finally {
    throttle.stop();
  }
}

/** The size of the next batch, after one of `size` took so long. */
const fitting = (size: number, elapsed: number): number => {
  const factor = Math.min(Math.max(BATCH_TIME / elapsed, 0.25), 2);
  return Math.min(Math.max(Math.round(size * factor), BATCH.least), BATCH.most);
};

/** Changes the documents after the checkpoint, and moves it; undefined if there are none. */
async function nextBatch(
  action: Documents,
  { db, lock, entry }: Walk,
  checkpoint: Checkpoint,
  size: number,
): Promise<Checkpoint | undefined> {
  // In the first pass most documents match, so only the index of the ids is read; later only few match.
  const some = checkpoint.pass > 1 ? action.where : {};
  const bound = await endOfBatch(db.collection(action.collection), checkpoint.last, some, size);
  if (!bound) return undefined;
  const next = { ...checkpoint, last: bound.last, walked: checkpoint.walked + bound.size };
  const range = { $lte: bound.last, ...(checkpoint.last !== null && { $gt: checkpoint.last }) };
  await lock.transaction(async (session) => {
    const where = { $and: [{ _id: range }, action.where] };
    const changed = await changeMatching(db, action, where, { session, hint: { _id: 1 } });
    await moveCheckpoint(db, entry, checkpoint, next, changed, session);
  });
  return next;
}

async function noted({ db, lock, entry }: Walk, from: Checkpoint, to: Checkpoint): Promise<Checkpoint> {
  await lock.transaction((session) => moveCheckpoint(db, entry, from, to, 0, session));
  return to;
}

/** Only from the expected checkpoint: a committed batch is not repeated. */
async function moveCheckpoint(
  db: mongo.Db,
  { _id }: Entry,
  from: Checkpoint,
  to: Checkpoint,
  changed: number,
  session: mongo.ClientSession,
): Promise<void> {
  const { matchedCount } = await journalOf(db).updateOne(
    from === NOWHERE ? { _id, checkpoint: { $exists: false } } : { _id, checkpoint: from },
    { $set: { checkpoint: to }, $inc: { changed } },
    { session },
  );
  if (matchedCount === 0) throw new LostLock();
}

type Bound = { last: unknown; size: number };

async function endOfBatch(
  collection: mongo.Collection,
  after: unknown,
  where: Filter,
  size: number,
): Promise<Bound | undefined> {
  const rest = {
    $and: [after === null ? {} : { _id: { $gt: after } }, where],
  } as mongo.Filter<mongo.Document>;
  const ids = collection
    .find(rest, { projection: { _id: 1 } })
    .sort({ _id: 1 })
    .hint({ _id: 1 });
  const [full] = await ids
    .clone()
    .skip(size - 1)
    .limit(1)
    .toArray();
  if (full) return { last: full._id, size };
  const tail = await ids.limit(size).toArray();
  const last = tail.at(-1);
  return last && { last: last._id, size: tail.length };
}

/** How many documents are still not as they should be. */
const unfinished = async ({ collection, online }: Documents, db: mongo.Db): Promise<number> =>
  online?.verify ? db.collection(collection).countDocuments(online.verify) : 0;

const notVerified = ({ title, online }: Documents, left: number): Error =>
  new Error(
    `${title}: ${left} documents still match ${JSON.stringify(online?.verify)}. ` +
      'Either something keeps storing such documents (an older version of the program?), or the change does not make them stop matching.',
  );
