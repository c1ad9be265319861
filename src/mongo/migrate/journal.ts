import type { mongo } from 'mongoose';
import type { Former } from './former.ts';
import { beforeDeployment, checksumOf, type Migration } from './migration.ts';
import { prepareCollection } from './structure.ts';

/** The journal: what a database records of its migrations. */
export const JOURNAL = {
  collection: 'migrations',
  indexes: [],
  schema: {
    title: 'Migration',
    description: 'A migration that was applied to this database, or is under way',
    bsonType: 'object',
    properties: {
      _id: { bsonType: 'string', description: 'The name of its file' },
      sha256: { bsonType: 'string', description: 'The checksum of its source' },
      compatible: { bsonType: 'bool', description: 'The previous version can work with it' },
      state: { enum: ['applying', 'applied', 'undoing'] },
      step: { bsonType: 'int', description: 'The number of completed steps' },
      checkpoint: {
        bsonType: 'object',
        description: 'The progress of a step that goes through a collection',
      },
      found: { bsonType: 'object', description: 'The state that its steps found, to restore it' },
      changed: { bsonType: ['int', 'long', 'double'], description: 'The number of changed documents' },
      startedAt: { bsonType: 'date' },
      finishedAt: { bsonType: ['date', 'null'] },
      durationMs: {
        bsonType: ['int', 'long', 'double', 'null'],
        description: 'The duration, in milliseconds',
      },
    },
    required: ['_id', 'sha256', 'state', 'step', 'changed', 'startedAt', 'finishedAt', 'durationMs'],
    additionalProperties: false,
  },
};

export interface Entry {
  _id: string;
  sha256: string;
  /** Missing for entries of older versions. */
  compatible?: boolean;
  state: 'applying' | 'applied' | 'undoing';
  step: number;
  checkpoint?: Checkpoint;
  /** What its structure steps found, by their number, while they were done and while they were undone. */
  found?: { applying?: Record<number, Former>; undoing?: Record<number, Former> };
  changed: number;
  startedAt: Date;
  finishedAt: Date | null;
  durationMs: number | null;
}

/** The progress of a walk through a collection. */
export interface Checkpoint {
  /** The id of the last document of the last batch. */
  last: unknown;
  /** How many documents have been processed. */
  walked: number;
  /** How many passes were made. */
  pass: number;
}

export const journalOf = (db: mongo.Db): mongo.Collection<Entry> => db.collection(JOURNAL.collection);

export const prepareJournal = (db: mongo.Db): Promise<void> => prepareCollection(db, JOURNAL);

/** The state that a database's journal and a list of migrations have together. */
export interface History {
  entries: Map<string, Entry>;
  /** Not applied, or not completely. */
  pending: Migration[];
  /** Applied by a newer version of the program. */
  ahead: string[];
  /** Applied and missing from the list, although later ones are known. */
  missing: string[];
}

export async function readHistory(db: mongo.Db, migrations: Migration[]): Promise<History> {
  const found = await journalOf(db).find().sort({ _id: 1 }).toArray();
  const entries = new Map(found.map((entry) => [entry._id, entry]));
  const known = new Set(migrations.map(({ id }) => id));
  const unknown = [...entries.keys()].filter((id) => !known.has(id));
  const last = migrations.at(-1)?.id ?? '';
  return {
    entries,
    pending: migrations.filter(({ id }) => entries.get(id)?.state !== 'applied'),
    ahead: unknown.filter((id) => id > last),
    missing: unknown.filter((id) => id < last),
  };
}

/**
 * The migrations that a deployment applies while servers of the previous version run. On a database without migrations
 * there are none such, so all are applied.
 */
export const forDeployment = (migrations: Migration[], { entries }: History): Migration[] =>
  entries.size === 0 ? migrations : beforeDeployment(migrations);

/** Everything that keeps migrations from being applied, and what to do about it. */
export async function faultsOf(migrations: Migration[], history: History): Promise<string[]> {
  const { entries, pending, ahead, missing } = history;
  const faults = [
    ...ahead.map((id) => `${id} was applied by a newer version of the program: deploy that version.`),
    ...missing.map((id) => `${id} was applied, but its file is gone: put the file back.`),
  ];
  const lastApplied = migrations.findLast(({ id }) => entries.has(id))?.id ?? '';
  for (const { id } of pending)
    if (id < lastApplied && !entries.has(id))
      faults.push(`${id} comes before ${lastApplied}, which is applied: give it a later number.`);
  for (const migration of migrations) {
    const entry = entries.get(migration.id);
    if (entry && entry.sha256 !== (await checksumOf(migration)))
      faults.push(
        entry.state === 'applied'
          ? `${entry._id} was edited after it had been applied: put the file back as it was, and make the change in a new migration.`
          : `${entry._id} was edited while half applied: put the file back as it was, then finish it (up) or undo it (down).`,
      );
  }
  return faults;
}

/** Throws an Error that names all faults. */
export async function refuseFaults(migrations: Migration[], history: History): Promise<void> {
  const faults = await faultsOf(migrations, history);
  if (faults.length > 0) throw new Error(`The migrations are not in order:\n  ${faults.join('\n  ')}`);
}
