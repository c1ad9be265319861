import type { mongo } from 'mongoose';
import { rulesBroken } from '../failures.ts';
import type { View } from '../layout.ts';
import type { Former } from './former.ts';
import { type Entry, type History, journalOf, prepareJournal, readHistory, refuseFaults } from './journal.ts';
import { Interrupted, type LockSettings, LostLock, prepareLock, withLock } from './lock.ts';
import { type Action, beforeDeployment, checksumOf, type Migration, type Step } from './migration.ts';
import type { Progress } from './online.ts';
import { perform, puttingBack, type Run } from './perform.ts';
import { dropViewsOfNothing, renewViews } from './views.ts';

export interface Settings extends LockSettings {
  /** The last migration that is to be applied, or to stay: its name, or the beginning of it. */
  to?: string | undefined;
  /** Servers of the version before may run: what takes away what they use is not applied yet. */
  duringDeployment?: boolean;
  onProgress?: (progress: Progress) => void;
  /** What the definitions want to be shown; made when all migrations are applied. */
  views?: Record<string, View>;
}

/** Applies what is pending, in order, and answers what that was. Of several that run at once one does it. */
export async function up(db: mongo.Db, migrations: Migration[], settings: Settings = {}): Promise<string[]> {
  const applicable = settings.duringDeployment ? beforeDeployment(migrations) : migrations;
  const wanted = settings.to === undefined ? applicable : upTo(migrations, settings.to);
  const open = ({ pending }: History) => wanted.filter((migration) => pending.includes(migration));
  const history = await readHistory(db, migrations);
  await refuseFaults(migrations, history);
  const applied =
    open(history).length === 0
      ? []
      : await locked(db, migrations, settings, async (run, history) => {
          for (const migration of open(history))
            await apply(run, migration, history.entries.get(migration.id));
          return open(history).map(({ id }) => id);
        });
  await showViews(db, settings, wanted.length >= applicable.length);
  return applied;
}

/** What the definitions want to be shown needs all that they have. */
const showViews = async (db: mongo.Db, { views }: Settings, isComplete: boolean): Promise<void> => {
  if (views && isComplete) await renewViews(db, views);
};

/** Undoes the last migration; with `to`, all that came after that one. Answers what that was. */
export async function down(
  db: mongo.Db,
  migrations: Migration[],
  settings: Settings = {},
): Promise<string[]> {
  return locked(db, migrations, settings, async (run, history) => {
    const undone = await undoFrom(run, history, migrations, settings.to);
    return undone.map(({ id }) => id);
  });
}

async function undoFrom(
  run: Run,
  { entries }: History,
  migrations: Migration[],
  to?: string,
): Promise<Migration[]> {
  const applied = migrations.filter(({ id }) => entries.has(id));
  const kept = to === undefined ? applied.length - 1 : indexOf(migrations, to) + 1;
  const undone = applied.slice(Math.max(kept, 0)).toReversed();
  const positions = undone.map((migration) => beginUndoing(migration, entries.get(migration.id) as Entry));
  for (const migration of undone) await refuseUndoing(run.db, migration, entries.get(migration.id) as Entry);
  for (const [i, migration] of undone.entries()) await undo(run, migration, positions[i] as Entry);
  await dropViewsOfNothing(run.db);
  return undone;
}

/** Undoes the last migration and applies it again; no other runner gets in between. */
export async function redo(
  db: mongo.Db,
  migrations: Migration[],
  settings: Settings = {},
): Promise<string[]> {
  const redone = await locked(db, migrations, settings, async (run, history) => {
    const undone = await undoFrom(run, history, migrations);
    for (const migration of undone) await apply(run, migration, undefined);
    return undone.map(({ id }) => id);
  });
  await showViews(db, settings, redone.includes(migrations.at(-1)?.id as string));
  return redone;
}

export const upTo = (migrations: Migration[], to: string | undefined): Migration[] =>
  migrations.slice(0, indexOf(migrations, to) + 1);

/** -1 for '0', which stands before the first. */
function indexOf(migrations: Migration[], to: string | undefined): number {
  if (to === undefined) return migrations.length - 1;
  if (/^0+$/.test(to)) return -1;
  const found = migrations.filter(({ id }) => id === to || id.startsWith(`${to}-`));
  if (found.length === 1) return migrations.indexOf(found[0] as Migration);
  throw new Error(`There is no migration "${to}"; there are ${migrations.map(({ id }) => id).join(', ')}.`);
}

async function locked(
  db: mongo.Db,
  migrations: Migration[],
  settings: Settings,
  work: (run: Run, history: History) => Promise<string[]>,
): Promise<string[]> {
  await prepareJournal(db);
  await prepareLock(db);
  return withLock(db, settings, async (lock) => {
    const history = await readHistory(db, migrations);
    await refuseFaults(migrations, history);
    const { say = () => {}, onProgress = () => {}, signal } = settings;
    return work({ db, lock, say, onProgress, signal }, history);
  });
}

async function apply(run: Run, migration: Migration, found: Entry | undefined): Promise<void> {
  const { id, steps } = migration;
  if (found?.state === 'undoing')
    throw new Error(`${id} is half undone: npm run migrate -- down finishes that.`);
  if (!found) await refuseApplying(run.db, migration);
  const entry = found ?? (await begin(run, migration));
  try {
    await perform(
      run,
      entry,
      steps.map((step) => step.up),
    );
  } catch (error) {
    if (error instanceof LostLock || error instanceof Interrupted) throw error;
    // Whoever has taken over ends our transactions, which looks like a failure.
    await run.lock.check().catch((lost) => {
      throw lost instanceof LostLock ? lost : error;
    });
    throw await undoFailed(run, migration, entry, error as Error);
  }
  const finishedAt = new Date();
  const durationMs = finishedAt.getTime() - entry.startedAt.getTime();
  await run.lock.transaction(async (session) => {
    const change = {
      $set: { state: 'applied' as const, finishedAt, durationMs },
      $unset: { found: '' as const },
    };
    await journalOf(run.db).updateOne({ _id: id }, change, { session });
  });
}

/**
 * What would be half applied, and could not be undone, is not begun: with a step that nothing undoes, every step is
 * looked at first. One whose collection an earlier step changes may be in order by then.
 */
async function refuseApplying(db: mongo.Db, { id, steps }: Migration): Promise<void> {
  if (steps.every(({ down }) => typeof down !== 'string')) return;
  const changed = new Set<string>();
  for (const { up } of steps) {
    if (up.kind === 'structure' && !changed.has(up.collection ?? '')) {
      const { refused = 0, ids = [], rules = [], conflict } = (await up.foresee?.(db)) ?? {};
      const few = [ids.map(String).join(', '), rules.join(', ')].filter(Boolean).join('; ');
      const reason = conflict ?? (refused > 0 && `${refused} documents stand in its way (${few}).`);
      if (reason) throw new Error(`${id} cannot be applied: ${up.title}: ${reason} Nothing was changed.`);
    }
    // It may change anything.
    if (up.collection === undefined) return;
    changed.add(up.collection);
  }
}

async function begin({ db, lock }: Run, migration: Migration): Promise<Entry> {
  const entry: Entry = {
    _id: migration.id,
    sha256: await checksumOf(migration),
    compatible: migration.compatible,
    state: 'applying',
    step: 0,
    changed: 0,
    startedAt: new Date(),
    finishedAt: null,
    durationMs: null,
  };
  await lock.transaction(async (session) => {
    await journalOf(db).insertOne(entry, { session });
  });
  return entry;
}

/** A small migration that has failed leaves nothing behind, if that is possible; a long one can go on. */
async function undoFailed(run: Run, migration: Migration, entry: Entry, error: Error): Promise<Error> {
  const { id, steps } = migration;
  // MongoDB says only in the details which rules a document breaks.
  const rules = rulesBroken(error)?.join(', ');
  const reason = rules ? `${error.message} (${rules})` : error.message;
  const explain = (what: string) => new Error(`${id} has failed: ${reason}\n${what}`, { cause: error });
  const goesOn =
    `Its first ${entry.step} of ${steps.length} steps are done. When the reason is mended, npm run migrate -- up ` +
    'goes on';
  let undoing: Entry;
  try {
    undoing = beginUndoing(migration, entry);
  } catch (reason) {
    return explain(
      `${goesOn}. ${(reason as Error).message} If it can go neither way, see docs/migrations.md.`,
    );
  }
  if (steps.some(({ up }) => up.kind === 'documents' && up.online))
    return explain(`${goesOn}, or npm run migrate -- down undoes them.`);
  try {
    // It is short: who wants to interrupt it waits for its end.
    await undo({ ...run, signal: undefined }, migration, undoing);
    return explain('It was undone: nothing of it remains.');
  } catch (reason) {
    if (reason instanceof LostLock) throw reason;
    return explain(
      `Undoing it has failed too: ${(reason as Error).message}\nIt is half undone. When that reason is mended, ` +
        'npm run migrate -- down goes on with it; then npm run migrate -- up applies it again.',
    );
  }
}

/** Where the undoing of a migration starts; throws if something of it cannot be undone. */
function beginUndoing({ id, steps }: Migration, entry: Entry): Entry {
  if (entry.state === 'undoing') return entry;
  const { checkpoint, ...rest } = entry;
  const hasBegun = checkpoint !== undefined || entry.found?.applying?.[entry.step] !== undefined;
  const done = entry.state === 'applied' ? steps.length : entry.step + (hasBegun ? 1 : 0);
  for (const { up, down } of steps.slice(0, done))
    if (typeof down === 'string') throw new Error(`${id} cannot be undone: ${up.title}: ${down}`);
  return { ...rest, state: 'undoing', step: steps.length - done };
}

/** Nothing is begun that could not go on: what would be half undone serves no version of the program. */
export async function refuseUndoing(
  db: mongo.Db,
  { id, steps }: Migration,
  { state }: Pick<Entry, 'state'>,
): Promise<void> {
  if (state !== 'applied') return;
  const changed = new Set<string>();
  for (const { down } of steps.toReversed()) {
    if (typeof down === 'string') continue;
    // What its own steps change may be in order by then.
    if (down.kind === 'documents') changed.add(down.collection);
    else if (!changed.has(down.collection ?? ''))
      await down.refuse?.(db).catch((error: Error) => {
        throw new Error(`${id} cannot be undone: ${error.message} Nothing was changed.`, { cause: error });
      });
  }
}

async function undo(run: Run, { id, steps }: Migration, entry: Entry): Promise<void> {
  const { db, lock } = run;
  await lock.transaction(async (session) => {
    await journalOf(db).replaceOne({ _id: id }, entry, { session });
  });
  await perform(run, entry, steps.map((step, i) => undoing(step, entry.found?.applying?.[i])).toReversed());
  await lock.transaction(async (session) => {
    await journalOf(db).deleteOne({ _id: id }, { session });
  });
}

/** What was not applied to its end is put back as it was: it may have found what its `down` would take away. */
const undoing = ({ down }: Step, found: Former | undefined): Action =>
  found?.collection === undefined ? (down as Action) : puttingBack(found);
