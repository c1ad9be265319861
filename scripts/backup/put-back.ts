import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import type { mongo } from 'mongoose';
import { JOURNAL } from '../../src/mongo/migrate/journal.ts';
import { create, createIndexes, type Described, describe, fromManifest } from './layout.ts';
import { fromLine } from './lines.ts';
import { type CollectionEntry, MANIFEST, type Manifest, unseal } from './manifest.ts';

const decompress = promisify(gunzip);

const BATCH = 1_000;

/** Reads the manifest of a backup and verifies every file. Throws an Error that names all faults. */
export async function checkBackup(folder: string): Promise<Manifest> {
  const text = await readFile(join(folder, MANIFEST), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    throw new Error(`${folder} has no ${MANIFEST}: it is not a backup, or an incomplete one.`);
  });
  const manifest = unseal(text);
  const faults: string[] = [];
  for (const { name, sha256 } of manifest.collections.flatMap(({ files }) => files))
    try {
      if ((await digestOf(join(folder, name))) !== sha256)
        faults.push(`${name} is damaged: its checksum does not match the manifest`);
    } catch (error) {
      faults.push(
        (error as NodeJS.ErrnoException).code === 'ENOENT' ? `${name} is missing` : (error as Error).message,
      );
    }
  if (faults.length > 0)
    throw new Error(`The backup is incomplete or damaged:\n  ${faults.join('\n  ')}\nNothing was restored.`);
  return manifest;
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/** Otherwise old and restored documents would be mixed. */
export async function refuseFull(db: mongo.Db): Promise<void> {
  const [found] = await describe(db);
  if (found)
    throw new Error(
      `The database ${db.databaseName} is not empty (it has ${found.name}): backups are restored into an empty one. ` +
        'Name another database in MONGODB_URI, or another folder in DATA_DIR.',
    );
}

export interface Course {
  folder: string;
  signal: AbortSignal;
  onRows: (rows: number) => void;
  say: (line: string) => void;
}

/**
 * Restores a backup into an empty database; if that fails, the database is empty again. The journal of migrations
 * comes last: without it no server considers the database ready.
 */
export async function putBack(db: mongo.Db, { collections }: Manifest, course: Course): Promise<void> {
  const entries = collections.map((entry) => ({ ...entry, described: fromManifest(entry.layout) }));
  const isJournal = ({ name }: { name: string }) => name === JOURNAL.collection;
  const made: string[] = [];
  const fill = async (entry: CollectionEntry & { described: Described }): Promise<void> => {
    await create(db, entry.described);
    made.push(entry.name);
    if (!entry.described.isView) await load(db.collection(entry.name), entry, course);
  };
  try {
    for (const entry of entries) if (!isJournal(entry)) await fill(entry);
    course.say('All documents are restored; building the indexes.');
    for (const { described } of entries) {
      if (!isJournal(described)) await createIndexes(db, described);
      course.signal.throwIfAborted();
    }
    for (const entry of entries) if (isJournal(entry)) await fill(entry);
  } catch (error) {
    for (const name of made) await db.dropCollection(name).catch(() => {});
    throw error;
  }
}

/** Stores the documents of a collection. Validation is bypassed: a document may be older than a rule. */
async function load(
  collection: mongo.Collection,
  { documents, files }: CollectionEntry,
  { folder, signal, onRows }: Course,
): Promise<void> {
  // The next documents are read while MongoDB stores the previous ones.
  let storing: Promise<unknown> = Promise.resolve();
  for (const { name } of files) {
    const text = (await decompress(await readFile(join(folder, name)))).toString();
    const lines = text.split('\n').slice(0, -1);
    for (let i = 0; i < lines.length; i += BATCH) {
      const some = lines.slice(i, i + BATCH).map(fromLine);
      await storing;
      signal.throwIfAborted();
      storing = collection.insertMany(some, { ordered: false, bypassDocumentValidation: true });
      // Awaited later.
      storing.catch(() => {});
      onRows(some.length);
    }
  }
  await storing;
  const stored = await collection.countDocuments();
  if (stored !== documents)
    throw new Error(`${collection.collectionName} has ${stored} documents, but ${documents} in the backup.`);
}
