import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import mongoose, { type mongo } from 'mongoose';
import { describe as describeDatabase } from '../scripts/backup/layout.ts';
import { MANIFEST, type Manifest, seal, unseal } from '../scripts/backup/manifest.ts';
import { checkBackup, putBack, refuseFull } from '../scripts/backup/put-back.ts';
import { atOneTime, takeBackup } from '../scripts/backup/take.ts';
import { anyhow, freshDatabase } from './support/database.ts';
import { runScript, start } from './support/process.ts';

const { BSON, Decimal128, Double, Long, MongoClient, ObjectId, Timestamp } = mongoose.mongo;

const serverUri = process.env['TEST_MONGODB_URI'] as string;
const prefix = `test_backup_${process.env['JEST_WORKER_ID']}`;
const uriOf = (name: string) => serverUri.replace(/^(\w+:\/\/[^/?]+)\/?/, `$1/${name}`);
const client = new MongoClient(serverUri);
const source = client.db(prefix);
const target = client.db(`${prefix}_restored`);
/** Read between the two collections that a transaction changes together: a backup takes its time. */
const MANY = 5_000;

let folder: string;
let backup: string;
/** How often the writers had written when the backup began, and when it had ended. */
let written: { before: number; after: number };

beforeAll(async () => {
  await client.connect();
  await target.dropDatabase();
  await freshDatabase(uriOf(prefix));
  folder = await mkdtemp(join(tmpdir(), 'backup-'));
  backup = join(folder, 'backup');
  await source.collection('a_types').insertMany(everyType());
  await source.collection('many').insertMany(Array.from({ length: MANY }, (_, n) => ({ n })));
  // Older than the rules of its collection.
  await source.collection('users').insertOne({ name: 'Ann', passwordHash: 'secret' }, anyhow);
  await source.collection('a_entries').createIndex({ n: 1 }, { unique: true, name: 'own' });
  await source.collection('z_total').insertOne({ _id: 'all' as never, n: 0 });
  written = await whileWriting(async () => {
    const { exitCode, stderr } = await runScript('scripts/backup.ts', [backup], {
      MONGODB_URI: uriOf(prefix),
    });
    expect([exitCode, stderr]).toEqual([0, expect.stringMatching(/^[\d,]+ documents backed up in /m)]);
  });
});
afterAll(async () => {
  await rm(folder, { recursive: true });
  await Promise.all([source.dropDatabase(), target.dropDatabase()]);
  await client.close();
});
afterEach(() => target.dropDatabase());

const everyType = () => [
  {
    int: 1,
    double: new Double(1),
    fraction: 0.1,
    great: new Double(1e300),
    zero: new Double(-0),
    nan: NaN,
    long: Long.fromString('9007199254740993'),
    decimal: Decimal128.fromString('1.50'),
    time: new Timestamp({ t: 5, i: 6 }),
    least: new BSON.MinKey(),
    pattern: new BSON.BSONRegExp('a/b', 'i'),
    code: new BSON.Code('x', { a: 1 }),
    bytes: new BSON.Binary(Buffer.from('abc'), 5),
    uuid: new BSON.UUID(),
    date: new Date(-1),
    text: '\u0000\u2028ü😀\n',
    list: [1, [new Double(2), {}]],
    nothing: null,
  },
  // What Extended JSON would take for something else.
  { is: { $date: '2020-01-01T00:00:00Z' } },
  { is: { $numberInt: '5' } },
  { is: { $oid: '65f000000000000000000b01' }, to: { $ref: 'books', $id: 1 } },
  { is: { $regex: 'a', $options: '' }, $date: 5 },
  // What an object of JavaScript has in another order.
  {
    is: new Map([
      ['2', 1],
      ['1', 2],
    ]),
  },
];

/** One transaction after the other adds an entry and counts it. */
async function whileWriting(work: () => Promise<void>) {
  let isOver = false;
  let n = 0;
  const writers = (async () => {
    while (!isOver)
      await client.withSession((session) =>
        session.withTransaction(async () => {
          await source.collection('a_entries').insertOne({ n: n++ }, { session });
          await source.collection('z_total').updateOne({}, { $inc: { n: 1 } }, { session });
        }),
      );
  })();
  const before = n;
  await work().finally(() => (isOver = true));
  await writers;
  return { before, after: n };
}

/** All documents of a collection as MongoDB stores them; `at` a point in time. */
const bytesOf = (db: mongo.Db, name: string, at?: Manifest['clusterTime']): Promise<string[]> =>
  atOneTime(db, async (session) => {
    if (at) Object.assign(session, { snapshotTime: new Timestamp(at) });
    const documents = await db.collection(name).find({}, { raw: true, session }).toArray();
    return documents.map((document) => (document as unknown as Buffer).toString('latin1')).toSorted();
  });

const manifestOf = async (): Promise<Manifest> => unseal(await readFile(join(backup, MANIFEST), 'utf8'));

test('what was backed up while others wrote is restored byte for byte, as it was at one point in time', async () => {
  const { clusterTime } = await manifestOf();
  const { exitCode, stderr } = await runScript('scripts/restore.ts', [backup], {
    MONGODB_URI: uriOf(target.databaseName),
  });
  expect([exitCode, stderr]).toEqual([0, expect.stringMatching(/^[\d,]+ documents restored in /m)]);
  expect(await describeDatabase(target)).toEqual(await describeDatabase(source));
  for (const { name, isView } of await describeDatabase(source))
    if (!isView)
      expect([name, await bytesOf(target, name)]).toEqual([name, await bytesOf(source, name, clusterTime)]);
  const entries = await target.collection('a_entries').countDocuments();
  expect(await target.collection('z_total').findOne()).toMatchObject({ n: entries });
  expect(written.before).toBeLessThan(entries);
  expect(entries).toBeLessThan(written.after);
  // Beside what this test has added, the database is as the migrations have made it.
  for (const name of ['a_types', 'a_entries', 'many', 'z_total']) await target.dropCollection(name);
  await target.collection('users').deleteMany({});
  const status = await runScript('scripts/migrate.ts', ['status'], {
    MONGODB_URI: uriOf(target.databaseName),
  });
  expect([status.exitCode, status.stdout]).toEqual([0, expect.stringContaining('matches the definitions')]);
});

test('a stream is the same files, which tar unpacks', async () => {
  const child = start('scripts/backup.ts', ['-'], { MONGODB_URI: uriOf(prefix) });
  child.stdin.end();
  const chunks: Buffer[] = [];
  for await (const chunk of child.stdout) chunks.push(chunk as Buffer);
  const unpacked = join(folder, 'unpacked');
  await mkdir(unpacked);
  await writeFile(join(folder, 'backup.tar'), Buffer.concat(chunks));
  await promisify(execFile)('tar', ['-xf', join(folder, 'backup.tar'), '-C', unpacked]);
  const { collections } = await checkBackup(unpacked);
  const first = await manifestOf();
  expect(collections.map(({ name, layout }) => [name, layout])).toEqual(
    first.collections.map(({ name, layout }) => [name, layout]),
  );
  expect(collections.find(({ name }) => name === 'many')).toMatchObject({ documents: MANY });
});

describe('a backup that is not whole is refused before anything is written', () => {
  const many = async () => {
    const { collections } = await manifestOf();
    return collections.find(({ name }) => name === 'many')?.files[0]?.name as string;
  };
  const change = async (name: string, to: (content: Buffer) => Buffer | string) =>
    writeFile(join(folder, 'bad', name), to(await readFile(join(folder, 'bad', name))));
  const inManifest = (from: string | RegExp, to: string) => () =>
    change(MANIFEST, (content) => content.toString().replace(from, to));

  test.each<[string, () => Promise<void>, RegExp]>([
    [
      'a file that one byte of differs in',
      async () =>
        change(await many(), (content) => {
          content[content.length >> 1] = ~(content[content.length >> 1] as number);
          return content;
        }),
      /many-0001.ndjson.gz is damaged/,
    ],
    [
      'a file that is gone',
      async () => rm(join(folder, 'bad', await many())),
      /many-0001.ndjson.gz is missing/,
    ],
    ['no manifest', () => rm(join(folder, 'bad', MANIFEST)), /has no manifest.json/],
    [
      'half a manifest',
      () => change(MANIFEST, (content) => content.subarray(0, 500)),
      /manifest.json is damaged/,
    ],
    ['a manifest with another count', inManifest(`"documents": ${MANY}`, '"documents": 1'), /checksum/],
    ['a manifest of something else', inManifest('shelfmark-backup-1', 'other'), /format is "other"/],
  ])('%s', async (_, spoil, message) => {
    await cp(backup, join(folder, 'bad'), { recursive: true });
    try {
      await spoil();
      await expect(checkBackup(join(folder, 'bad'))).rejects.toThrow(message);
    } finally {
      await rm(join(folder, 'bad'), { recursive: true });
    }
  });
});

test('a database that is not empty is refused, and a folder that is not', async () => {
  await expect(refuseFull(source)).rejects.toThrow('is not empty (it has a_entries)');
  const again = await runScript('scripts/backup.ts', [backup], { MONGODB_URI: uriOf(prefix) });
  expect([again.exitCode, again.stderr]).toEqual([2, expect.stringContaining('is not empty')]);
});

test('a restore that fails leaves the database empty', async () => {
  const { format: _, ...manifest } = await manifestOf();
  const wrong = manifest.collections.map((one) => (one.name === 'many' ? { ...one, documents: 5 } : one));
  const course = { folder: backup, signal: new AbortController().signal, onRows() {}, say() {} };
  const restored = putBack(target, unseal(seal({ ...manifest, collections: wrong })), course);
  await expect(restored).rejects.toThrow(`many has ${MANY} documents, but 5 in the backup`);
  expect(await describeDatabase(target)).toEqual([]);
});

const take = (session: mongo.ClientSession) =>
  pipeline(
    takeBackup(source, session, () => {}),
    new PassThrough({ objectMode: true }).resume(),
  );

test('one that takes longer than MongoDB keeps its history says which setting to raise', async () => {
  const taken = atOneTime(source, (session) => {
    Object.assign(session, { snapshotTime: new Timestamp({ t: 1, i: 1 }) });
    return take(session);
  });
  await expect(taken).rejects.toThrow(/than the 300 seconds .* Raise minSnapshotHistoryWindowInSeconds/);
});

test('a migration meanwhile ends it: rules and indexes have no history', async () => {
  const taken = atOneTime(source, async (session) => {
    for await (const { name } of takeBackup(source, session, () => {}))
      if (name.includes('many')) await source.collection('a_entries').createIndex({ other: 1 });
  });
  await expect(taken).rejects.toThrow('were changed meanwhile');
});

test('a value that JavaScript cannot represent ends it, rather than being changed', async () => {
  const _id = new ObjectId();
  const late = { $toDate: Long.fromString('9000000000000000') };
  await source.collection('a_types').updateOne({ _id }, [{ $set: { late } }], { upsert: true });
  await expect(atOneTime(source, take)).rejects.toThrow(
    new RegExp(`In a_types, .*${_id.toHexString()}.* cannot represent`),
  );
});
