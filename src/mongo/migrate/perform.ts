import type { mongo } from 'mongoose';
import { changeMatching } from './documents.ts';
import { type Former, putBack, readFormer } from './former.ts';
import { type Entry, journalOf } from './journal.ts';
import { Interrupted, type Lock, LostLock, patiently } from './lock.ts';
import type { Action, Documents, Structure } from './migration.ts';
import { type Progress, runOnline } from './online.ts';

/** The context of a migration's steps. */
export interface Run {
  db: mongo.Db;
  lock: Lock;
  say: (line: string) => void;
  onProgress: (progress: Progress) => void;
  signal: AbortSignal | undefined;
}

/** The most documents that `change` takes in one transaction, which MongoDB's time limit bounds. */
const MOST = 10_000;

/** Runs the remaining steps of a migration, and records each. */
export async function perform(run: Run, entry: Entry, actions: Action[]): Promise<void> {
  const { db, lock, say, signal } = run;
  while (entry.step < actions.length) {
    if (signal?.aborted) throw new Interrupted();
    const start = performance.now();
    const first = entry.step;
    const action = actions[first] as Action;
    if (action.kind === 'structure') {
      await applyStructure(run, entry, action);
      entry.step++;
    } else if (action.online) {
      await runOnline(action, { ...run, entry });
      await lock.transaction((session) => note(db, entry, first + 1, 0, session));
      entry.step++;
    } else {
      const together = smallOnes(actions.slice(first));
      for (const { collection, where } of together) await refuseMany(db, collection, where);
      await lock.transaction(async (session) => {
        let changed = 0;
        for (const one of together) changed += await changeMatching(db, one, one.where, { session });
        await note(db, entry, first + together.length, changed, session);
      });
      entry.step += together.length;
    }
    delete entry.checkpoint;
    const titles = actions.slice(first, entry.step).map(({ title }) => title);
    say(`${entry._id}: ${titles.join(', ')} (${Math.round(performance.now() - start)} ms)`);
  }
}

/** Runs outside transactions, so the state that it finds is recorded first, and restored if it fails. */
async function applyStructure({ db, lock }: Run, entry: Entry, action: Structure): Promise<void> {
  const { step } = entry;
  const state = entry.state as 'applying' | 'undoing';
  const noteFound = (change: mongo.UpdateFilter<Entry>) =>
    lock.transaction(async (session) => {
      await journalOf(db).updateOne({ _id: entry._id }, change, { session });
    });
  const place = `found.${state}.${step}`;
  const all = ((entry.found ??= {})[state] ??= {});
  // A recorded state is from a runner that was killed: the database is halfway through the step.
  if (!all[step]) {
    const former = await readFormer(db, action.collection);
    await noteFound({ $set: { [place]: former } });
    all[step] = former;
  }
  await lock.check();
  try {
    await patiently(() => action.apply(db, lock.check)).catch(async (error) => {
      if (error instanceof LostLock || action.collection === undefined) throw error;
      await putBack(db, all[step] as Former, lock.check);
      await noteFound({ $unset: { [place]: '' } });
      delete all[step];
      throw error;
    });
    await lock.transaction((session) => note(db, entry, step + 1, 0, session));
  } catch (error) {
    throw error instanceof LostLock ? new LostLock(action.title) : error;
  }
}

/** Restores a collection to the state that a step has found. */
export const puttingBack = (former: Former): Structure => ({
  kind: 'structure',
  title: `put ${former.collection} back`,
  ...(former.collection !== undefined && { collection: former.collection }),
  apply: (db, check) => putBack(db, former, check),
});

/** The document changes at the start of a list that fit in one transaction. */
function smallOnes(actions: Action[]): Documents[] {
  const end = actions.findIndex((action) => action.kind !== 'documents' || action.online);
  return actions.slice(0, end < 0 ? undefined : end) as Documents[];
}

async function refuseMany(db: mongo.Db, collection: string, where: object): Promise<void> {
  const many = await db.collection(collection).countDocuments(where, { limit: MOST + 1 });
  if (many > MOST)
    throw new Error(`More than ${MOST} documents of ${collection} would change at once: use backfill().`);
}

/** Only from the expected step, so that none is counted twice. */
async function note(
  db: mongo.Db,
  { _id, step }: Entry,
  done: number,
  changed: number,
  session: mongo.ClientSession,
): Promise<void> {
  const { matchedCount } = await journalOf(db).updateOne(
    { _id, step },
    { $set: { step: done }, $unset: { checkpoint: '' }, $inc: { changed } },
    { session },
  );
  if (matchedCount === 0) throw new LostLock();
}
