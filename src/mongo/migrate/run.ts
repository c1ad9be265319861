import type { mongo } from 'mongoose';
import { rulesBroken } from '../failures.ts';
import type { View } from '../layout.ts';
import type { Former } from './former.ts';
import {
  type Entry,
  forDeployment,
  type History,
  journalOf,
  prepareJournal,
  readHistory,
  refuseFaults,
} from './journal.ts';
import { Interrupted, type LockSettings, LostLock, prepareLock, withLock } from './lock.ts';
import { type Action, checksumOf, type Migration, type Step } from './migration.ts';
import type { Progress } from './online.ts';
import { perform, puttingBack, type Run } from './perform.ts';
import { dropViewsOfNothing, renewViews } from './views.ts';

export interface Settings extends LockSettings {
  /** The last migration to be applied or kept: its name, or the beginning of it. */
  to?: string | undefined;
  /** Servers of the previous version may be running: migrations that remove what they use wait. */
  duringDeployment?: boolean;
  onProgress?: (progress: Progress) => void;
  /** The views and role to create once all migrations are applied. */
  views?: Record<string, View>;
}

/** Applies pending migrations in order, and returns them. Of several concurrent runners one does the work. */
export async function up(db: mongo.Db, migrations: Migration[], settings: Settings = {}): Promise<string[]> {
  const history = await readHistory(db, migrations);
  const applicable = settings.duringDeployment ? forDeployment(migrations, history) : migrations;
  const wanted = settings.to === undefined ? applicable : upTo(migrations, settings.to);
  const open = ({ pending }: History) => wanted.filter((migration) => pending.includes(migration));
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

/** Views need every collection that they show. */
const showViews = async (db: mongo.Db, { views }: Settings, isComplete: boolean): Promise<void> => {
  if (views && isComplete) await renewViews(db, views);
};

/** Undoes the last migration; with `to`, all that came after it. Returns them. */
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

/** -1 for '0', which is before the first. */
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
    throw new Error(`${id} is half undone: finish that with npm run migrate -- down.`);
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
    // A runner that takes over ends our transactions, which looks like a failure.
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
 * Refuses to begin a migration that would fail halfway and could not be undone: if any step is irreversible, all steps
 * are checked first. A step whose collection an earlier step changes may be fine by then.
 */
async function refuseApplying(db: mongo.Db, { id, steps }: Migration): Promise<void> {
  if (steps.every(({ down }) => typeof down !== 'string')) return;
  const changed = new Set<string>();
  for (const { up } of steps) {
    if (up.kind === 'structure' && !changed.has(up.collection ?? '')) {
      const { refused = 0, ids = [], rules = [], conflict } = (await up.foresee?.(db)) ?? {};
      const few = [ids.map(String).join(', '), rules.join(', ')].filter(Boolean).join('; ');
      const reason = conflict ?? (refused > 0 && `${refused} documents block it (${few}).`);
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

/** A failed small migration is undone if possible; a long one can be continued. */
async function undoFailed(run: Run, migration: Migration, entry: Entry, error: Error): Promise<Error> {
  const { id, steps } = migration;
  // Only the details of MongoDB's error say which rules a document breaks.
  const rules = rulesBroken(error)?.join(', ');
  const reason = rules ? `${error.message} (${rules})` : error.message;
  const explain = (what: string) => new Error(`${id} has failed: ${reason}\n${what}`, { cause: error });
  const goesOn =
    `Its first ${entry.step} of ${steps.length} steps are done. Once the cause is fixed, npm run migrate -- up ` +
    'continues';
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
    // Undoing is short, and is not interrupted.
    await undo({ ...run, signal: undefined }, migration, undoing);
    return explain('It was undone: nothing of it remains.');
  } catch (reason) {
    if (reason instanceof LostLock) throw reason;
    return explain(
      `Undoing it has failed too: ${(reason as Error).message}\nIt is half undone. Once that cause is fixed, ` +
        'continue with npm run migrate -- down, then apply it again with npm run migrate -- up.',
    );
  }
}

/** The step at which undoing starts; throws if something cannot be undone. */
function beginUndoing({ id, steps }: Migration, entry: Entry): Entry {
  if (entry.state === 'undoing') return entry;
  const { checkpoint, ...rest } = entry;
  const hasBegun = checkpoint !== undefined || entry.found?.applying?.[entry.step] !== undefined;
  const done = entry.state === 'applied' ? steps.length : entry.step + (hasBegun ? 1 : 0);
  for (const { up, down } of steps.slice(0, done))
    if (typeof down === 'string') throw new Error(`${id} cannot be undone: ${up.title}: ${down}`);
  return { ...rest, state: 'undoing', step: steps.length - done };
}

/** Refuses to begin what would fail halfway: a half undone migration serves no version of the program. */
export async function refuseUndoing(
  db: mongo.Db,
  { id, steps }: Migration,
  { state }: Pick<Entry, 'state'>,
): Promise<void> {
  if (state !== 'applied') return;
  const changed = new Set<string>();
  for (const { down } of steps.toReversed()) {
    if (typeof down === 'string') continue;
    // Its own steps may change this by then.
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

/** A step that was not finished is restored to what it found: its `down` might remove what was there before. */
const undoing = ({ down }: Step, found: Former | undefined): Action =>
  found?.collection === undefined ? (down as Action) : puttingBack(found);
