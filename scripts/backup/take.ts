import { isDeepStrictEqual, promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { mongo } from 'mongoose';
import { describe, toManifest } from './layout.ts';
import { toLine } from './lines.ts';
import { type CollectionEntry, digest, MANIFEST, type Manifest, seal } from './manifest.ts';

const compress = promisify(gzip);

/** A file of a backup. */
export interface BackupFile {
  name: string;
  bytes: Buffer;
}

/** Characters of text per file before compression: this much is in memory at a time. */
const FILE_SIZE = 4_000_000;
const BATCH = 2_000;

/** Runs the work in a session whose reads all see one point in time, that of the first read. */
export async function atOneTime<T>(
  db: mongo.Db,
  work: (session: mongo.ClientSession) => Promise<T>,
): Promise<T> {
  const session = db.client.startSession({ snapshot: true });
  try {
    return await work(session);
  } finally {
    await session.endSession();
  }
}

/**
 * Reads all documents at the session's point in time while others write, and yields the files of a backup. The
 * manifest comes last: without it a backup is incomplete.
 */
export async function* takeBackup(
  db: mongo.Db,
  session: mongo.ClientSession,
  onRead: () => void,
): AsyncGenerator<BackupFile> {
  const layout = await describe(db);
  if (layout.length === 0)
    throw new Error(`The database ${db.databaseName} has no collections: nothing to back up.`);
  try {
    const collections: CollectionEntry[] = [];
    for (const [i, described] of layout.entries()) {
      const { name, isView } = described;
      const files: CollectionEntry['files'] = [];
      if (!isView)
        for await (const lines of linesOf(db.collection(name), session, onRead)) {
          const bytes = await compress(`${lines.join('\n')}\n`);
          const file = fileName(i, name, files.length);
          files.push({ name: file, documents: lines.length, sha256: digest(bytes) });
          yield { name: file, bytes };
        }
      const documents = files.reduce((sum, { documents }) => sum + documents, 0);
      collections.push({ name, layout: toManifest(described), documents, files });
    }
    if (!isDeepStrictEqual(layout, await describe(db)))
      throw new Error(
        'Collections, rules or indexes were changed meanwhile, for example by a migration: repeat the backup.',
      );
    const manifest = seal({ database: db.databaseName, clusterTime: timeOf(session), collections });
    yield { name: MANIFEST, bytes: Buffer.from(manifest) };
  } catch (error) {
    throw isTooOld(error) ? await tooOld(db, error) : error;
  }
}

function timeOf(session: mongo.ClientSession): Manifest['clusterTime'] {
  const { snapshotTime } = session as mongo.ClientSession & { snapshotTime: mongo.Timestamp };
  return { t: snapshotTime.getHighBitsUnsigned(), i: snapshotTime.getLowBitsUnsigned() };
}

/** The documents of a collection, in portions of one file each. */
async function* linesOf(
  collection: mongo.Collection,
  session: mongo.ClientSession,
  onRead: () => void,
): AsyncGenerator<string[]> {
  let lines: string[] = [];
  let size = 0;
  for await (const document of collection.find({}, { session, raw: true, batchSize: BATCH })) {
    const line = lineOf(collection, document as unknown as Buffer);
    lines.push(line);
    size += line.length;
    onRead();
    if (size < FILE_SIZE) continue;
    yield lines;
    [lines, size] = [[], 0];
  }
  if (lines.length > 0) yield lines;
}

function lineOf({ collectionName }: mongo.Collection, document: Buffer): string {
  try {
    return toLine(document);
  } catch (error) {
    throw new Error(`In ${collectionName}, ${(error as Error).message}`, { cause: error });
  }
}

/** 03-books-0001.ndjson.gz. The number makes the name unique, whatever the collection is called. */
const fileName = (collection: number, name: string, part: number): string =>
  `${String(collection + 1).padStart(2, '0')}-${name.replace(/[^\w.-]/g, '_').slice(0, 60)}-${String(part + 1).padStart(4, '0')}.ndjson.gz`;

const SNAPSHOT_TOO_OLD = 239;
const isTooOld = (error: unknown): boolean => (error as { code?: unknown }).code === SNAPSHOT_TOO_OLD;

/** MongoDB keeps snapshots for a limited time only. */
async function tooOld(db: mongo.Db, cause: unknown): Promise<Error> {
  const name = 'minSnapshotHistoryWindowInSeconds';
  const seconds = await db.client
    .db('admin')
    .command({ getParameter: 1, [name]: 1 })
    .then(
      (parameters) => `the ${parameters[name]} seconds`,
      () => 'the time (300 seconds by default)',
    );
  return new Error(
    `The backup took longer than ${seconds} for which MongoDB keeps a snapshot. Raise ${name} on every ` +
      `member, for example with db.adminCommand({ setParameter: 1, ${name}: 3600 }), and repeat the backup.`,
    { cause },
  );
}
