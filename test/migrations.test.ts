import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import mongoose from 'mongoose';
import { tsImport } from 'tsx/esm/api';
import { type Arguments, readArguments } from '../scripts/migrate/arguments.ts';
import { migrate } from '../scripts/migrate/command.ts';
import { DEMO_PASSWORD, hashPassword } from '../src/auth/passwords.ts';
import { migrations as product } from '../src/migrations/index.ts';
import { differences } from '../src/mongo/differences.ts';
import { type Index, type Layout, layoutOf, readLayout } from '../src/mongo/layout.ts';
import { writeConflict } from '../src/mongo/failures.ts';
import { backfill, change } from '../src/mongo/migrate/documents.ts';
import { JOURNAL, journalOf } from '../src/mongo/migrate/journal.ts';
import { LOCK, LostLock } from '../src/mongo/migrate/lock.ts';
import { type Migration, migration, type Step, type Structure } from '../src/mongo/migrate/migration.ts';
import { watchReadiness } from '../src/mongo/migrate/ready.ts';
import { down, redo, up } from '../src/mongo/migrate/run.ts';
import {
  changeField,
  changeRule,
  changeView,
  createCollection,
  createIndex,
  dropIndex,
  keepImages,
  optional,
  required,
  run,
} from '../src/mongo/migrate/structure.ts';
import { User } from '../src/resources/users/user.ts';
import { typical } from '../src/schema/example.ts';
import { TOKEN_KEYS } from './support/callers.ts';
import { dbName, mongoUri } from './support/harness.ts';
import { type ServerProcess, startServer } from './support/process.ts';

/** The runner, on a database and with migrations of the tests' own. */

const uri = Object.assign(new URL(mongoUri), { pathname: `/${dbName}_migrations` }).href;
const client = new mongoose.mongo.MongoClient(uri);
const db = client.db();
const things = db.collection<{ _id: number; [field: string]: unknown }>('things');
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'migrations-'));
  await client.connect();
});
beforeEach(() => db.dropDatabase());
afterAll(async () => {
  await db.dropDatabase();
  await client.close();
  await rm(folder, { recursive: true });
});

/** A migration whose source is what a test says. */
async function file(id: string, steps: Step[], source = id): Promise<Migration> {
  const path = join(folder, `${id}.ts`);
  await writeFile(path, source);
  return migration(pathToFileURL(path).href, steps);
}

const schema = {
  bsonType: 'object',
  properties: { _id: {}, n: { bsonType: 'int' } },
  required: ['_id', 'n'],
  additionalProperties: false,
};
const initial = () => file('0001-initial', [createCollection('things', { schema })]);
const store = (count: number, fields: object = { n: 0 }) =>
  things.insertMany(Array.from({ length: count }, (_, i) => ({ _id: i + 1, ...fields })));
const states = async () =>
  (await journalOf(db).find().sort({ _id: 1 }).toArray()).map(({ _id, state, step }) => [_id, state, step]);
const never = 'It is not meant to be undone.';
const increment = { where: {}, update: [{ $set: { n: { $add: ['$n', 1] } } }] };

describe('what is pending', () => {
  test('is applied in order and once, and noted with time, duration and checksum', async () => {
    const order: string[] = [];
    const note = (name: string) => run(name, { up: async () => void order.push(name), down: never });
    const list = [await file('0001-a', [note('a')]), await file('0002-b', [note('b'), note('c')])];
    expect(await up(db, list)).toEqual(['0001-a', '0002-b']);
    expect(await up(db, list)).toEqual([]);
    expect(order).toEqual(['a', 'b', 'c']);
    expect(await journalOf(db).find().toArray()).toEqual(
      list.map(({ id, steps }) => ({
        _id: id,
        sha256: expect.stringMatching(/^[\da-f]{64}$/),
        compatible: false,
        state: 'applied',
        step: steps.length,
        changed: 0,
        startedAt: expect.any(Date),
        finishedAt: expect.any(Date),
        durationMs: expect.any(Number),
      })),
    );
  });

  test('is applied by one of several that start at once; the others wait', async () => {
    let times = 0;
    const slow = run('wait', {
      up: async () => {
        times++;
        await sleep(300);
      },
      down: never,
    });
    const list = [await file('0001-slow', [slow])];
    const said: string[] = [];
    const say = (line: string) => said.push(line);
    const answers = await Promise.all([1, 2, 3].map(() => up(db, list, { say })));
    expect(answers.flat()).toEqual(['0001-slow']);
    expect(times).toBe(1);
    expect(said.join()).toMatch(/Waiting: process \d+ on .* is migrating this database/);
  });

  test('does not wait for the transaction that a frozen runner has left open', async () => {
    await up(db, [await file('0001-a', [])]);
    const lock = db.collection<any>(LOCK.collection);
    const frozen = client.startSession();
    await lock.updateOne({ _id: 'lock' }, { $set: { owner: 'process 1 on host', session: frozen.id } });
    frozen.startTransaction();
    await lock.updateOne({ _id: 'fence' }, { $inc: { beats: 1 } }, { session: frozen });
    const start = performance.now();
    await up(db, [await file('0001-a', []), await file('0002-b', [])]);
    // MongoDB itself would end it after 5 s.
    expect(performance.now() - start).toBeLessThan(4_000);
    await expect(frozen.commitTransaction()).rejects.toThrow();
    await frozen.endSession();
  });

  test('is not taken over while its transaction takes longer than the lock holds unrenewed', async () => {
    await up(db, [await initial()]);
    await store(1);
    const list = [await initial(), await file('0002-b', [change('things', { ...increment, down: never })])];
    const other = client.startSession();
    other.startTransaction();
    await things.updateOne({ _id: 1 }, { $set: { n: 7 } }, { session: other });
    const LEASE = 600;
    const working = up(db, list, { lease: LEASE });
    while ((await states()).length < 2) await sleep(20);
    const waiting = up(db, list, { lease: LEASE });
    await sleep(2 * LEASE);
    await other.abortTransaction();
    await other.endSession();
    expect(await Promise.all([working, waiting])).toEqual([['0002-b'], []]);
    expect(await things.distinct('n')).toEqual([1]);
  });

  test('is applied once, though the answers to its commits are lost', async () => {
    await store(3);
    const list = [await file('0001-n', [change('things', { ...increment, down: never })])];
    const careless = new mongoose.mongo.MongoClient(uri);
    const startSession = careless.startSession.bind(careless);
    let lost = 0;
    careless.startSession = () => {
      const session = startSession();
      const commit = session.commitTransaction.bind(session);
      session.commitTransaction = async () => {
        await commit();
        // Every other one: the first, and not the second time that it is tried.
        if (lost++ % 2 === 0) throw new mongoose.mongo.MongoNetworkError('closed');
      };
      return session;
    };
    try {
      expect(await up(careless.db(), list)).toEqual(['0001-n']);
    } finally {
      await careless.close();
    }
    expect(lost).toBe(6);
    expect(await things.distinct('n')).toEqual([1]);
    expect(await states()).toEqual([['0001-n', 'applied', 1]]);
  });

  test('does not depend on how the lines of its file end', async () => {
    await up(db, [await file('0001-a', [], 'one\ntwo\n')]);
    expect(await up(db, [await file('0001-a', [], 'one\r\ntwo\r\n')])).toEqual([]);
  });

  test.each([
    [
      'an edited one',
      () => file('0002-b', [], 'edited'),
      '0002-b was edited after it had been applied: put the file back',
    ],
    [
      'one out of order',
      () => file('0001-b', []),
      '0001-b comes before 0002-b, which is applied: give it a later number',
    ],
    [
      'a missing one',
      () => file('0003-c', []),
      '0002-b was applied, but its file is gone: put the file back',
    ],
    [
      'an unknown one',
      undefined,
      '0002-b was applied by a newer version of the program: deploy that version',
    ],
  ])('is refused beside %s, with what to do', async (what, other, message) => {
    const [a, b] = [await file('0001-a', []), await file('0002-b', [])];
    await up(db, [a, b]);
    const list = [a, ...(what === 'one out of order' ? [await other?.(), b] : [await other?.()])];
    const known = list.filter((one) => one !== undefined);
    await expect(up(db, known)).rejects.toThrow(message);
    await expect(down(db, known)).rejects.toThrow(message);
  });

  test('goes as far as it is told', async () => {
    const list = await Promise.all(['0001-a', '0002-b', '0003-c'].map((id) => file(id, [])));
    expect(await up(db, list, { to: '0002' })).toEqual(['0001-a', '0002-b']);
    await expect(up(db, list, { to: '0009' })).rejects.toThrow('no migration "0009"; there are 0001-a, ');
    expect(await up(db, list)).toEqual(['0003-c']);
    expect(await down(db, list)).toEqual(['0003-c']);
    expect(await down(db, list, { to: '0' })).toEqual(['0002-b', '0001-a']);
    expect(await states()).toEqual([]);
  });
});

describe('a small migration', () => {
  test('that fails leaves nothing behind, neither documents nor indexes', async () => {
    const first = await initial();
    await up(db, [first]);
    await store(3);
    const before = [await readLayout(db), await things.find().toArray()];
    const bad = await file('0002-bad', [
      createIndex('things', { key: { n: 1 } }),
      change('things', { ...increment, down: never }),
      change('things', { where: { _id: 2 }, update: [{ $set: { n: 'two' } }], down: never }),
    ]);
    await expect(up(db, [first, bad])).rejects.toThrow(
      /0002-bad has failed: .*Document failed validation \(n\.bsonType\)\nIt was undone: nothing of it remains/,
    );
    expect([await readLayout(db), await things.find().toArray()]).toEqual(before);
    expect(await states()).toEqual([['0001-initial', 'applied', 1]]);
  });

  test.each([
    ['new', []],
    ['there before', [{ _id: 1 }, { _id: 2 }]],
  ])('that fails in the middle of a step leaves a collection as it was: %s', async (_, documents) => {
    const unique = { key: { n: 1 }, unique: true };
    if (documents.length > 0) {
      await things.insertMany(documents);
      await things.createIndex({ tag: 1 });
    }
    const before = await readLayout(db);
    const wrong = { key: { m: 1 }, partialFilterExpression: { m: { $ne: 1 } } };
    const indexes = [{ key: { tag: 1 } }, documents.length > 0 ? unique : wrong];
    const rules = { bsonType: 'object', required: ['_id'], properties: { n: {}, _id: {} } };
    const list = [await file('0001-a', [createCollection('things', { schema: rules, indexes })])];
    await expect(up(db, list)).rejects.toThrow('nothing of it remains');
    const { migrations: _m, migrationlock: _l, ...after } = await readLayout(db);
    expect(after).toEqual(before);
  });

  test('tries a step again that fails in passing, and no other', async () => {
    const failures = [
      new mongoose.mongo.MongoNetworkError('closed'),
      new mongoose.mongo.MongoServerError({ message: 'LockTimeout', code: 24 }),
      new mongoose.mongo.MongoServerError({ message: 'E11000', code: 11000, keyPattern: { _id: 1 } }),
    ];
    const step = run('busy', {
      up: async () => {
        const failure = failures.shift();
        if (failure) throw failure;
      },
      down: never,
    });
    const list = [await file('0001-a', [step])];
    await expect(up(db, list)).rejects.toThrow('E11000');
    expect(await up(db, list)).toEqual(['0001-a']);
  });

  test.each([
    ['no', { collation: { locale: 'en', strength: 2 } }, {}],
    ['another', {}, { collation: { locale: 'en', strength: 2 } }],
  ])('does not take a collection that has %s collation', async (which, wanted, found) => {
    await db.createCollection('things', found);
    const list = [await file('0001-a', [createCollection('things', wanted)])];
    await expect(up(db, list)).rejects.toThrow(`The collection things exists with ${which} collation, which`);
  });

  test('that fails takes away nothing that was there before it', async () => {
    const [index, other] = [{ key: { n: 1 } }, { key: { n: -1 } }];
    await store(3);
    await things.createIndex(index.key);
    const before = await readLayout(db);
    const fail = run('fail', { up: () => Promise.reject(new Error('No.')), down: async () => {} });
    const steps = [createCollection('things', { schema }), createIndex('things', index)];
    const list = [await file('0001-a', [...steps, dropIndex('things', other), fail])];
    await expect(up(db, list)).rejects.toThrow('nothing of it remains');
    const { migrations: _m, migrationlock: _l, ...after } = await readLayout(db);
    expect(after).toEqual(before);
  });

  test('that fails after what cannot be undone goes on from there, when the reason is mended', async () => {
    const first = await initial();
    await up(db, [first]);
    await store(3);
    let mended = false;
    const second = await file('0002-second', [
      change('things', { ...increment, down: never }),
      run('fail', {
        up: async () => {
          if (!mended) throw new Error('Not yet.');
        },
        down: never,
      }),
    ]);
    await expect(up(db, [first, second])).rejects.toThrow(/Not yet\.\nIts first 1 of 2 steps are done/);
    await expect(up(db, [first, await file('0002-second', [], 'edited')])).rejects.toThrow(
      '0002-second was edited while half applied',
    );
    await file('0002-second', []);
    mended = true;
    await up(db, [first, second]);
    expect(await things.distinct('n')).toEqual([1]);
  });

  test('that can be neither applied nor undone says how to go on, and does', async () => {
    const list = [
      await file('0001-a', [
        createCollection('things', {}),
        run('fill', {
          up: async () => {
            await store(1);
            throw new Error('Full.');
          },
          down: async () => {},
        }),
      ]),
    ];
    await expect(up(db, list)).rejects.toThrow(
      /Full\.\nUndoing it has failed too: [^]* has 1 documents[^]*It is half undone[^]*continue with npm run migrate -- down/,
    );
    await expect(up(db, list)).rejects.toThrow('is half undone: finish that with npm run migrate -- down');
    await things.deleteMany();
    expect(await down(db, list)).toEqual(['0001-a']);
    expect(await states()).toEqual([]);
  });

  test('does not tighten a rule that documents break, and says which', async () => {
    const first = await initial();
    await up(db, [first]);
    await store(3);
    await things.updateOne({ _id: 2 }, { $set: { n: -1 } });
    const layout = await readLayout(db);
    const field = (minimum: number) => required({ bsonType: 'int', minimum });
    const tighter = await file('0002-tighter', [
      changeField('things', 'n', { from: field(-9), to: field(0) }),
    ]);
    await expect(up(db, [first, tighter])).rejects.toThrow(
      /0002-tighter has failed: 1 documents of things break the new rules, such as 2 \(n\.minimum\)[^]*was undone/,
    );
    expect(await readLayout(db)).toEqual(layout);
  });

  test('is for up to 10,000 documents', async () => {
    const first = await initial();
    await up(db, [first]);
    await store(10_001);
    const many = await file('0002-many', [change('things', { ...increment, down: never })]);
    await expect(up(db, [first, many])).rejects.toThrow('use backfill()');
    expect(await things.distinct('n')).toEqual([0]);
  });

  test('is undone step by step, and applied again', async () => {
    const index = { key: { tag: 1 }, unique: true, partialFilterExpression: { tag: { $gt: '' } } };
    const list = [
      await initial(),
      await file('0002-second', [
        changeField('things', 'tag', { to: optional({ bsonType: 'string' }) }),
        createIndex('things', index),
        change('things', {
          where: { tag: { $exists: false } },
          each: ({ _id }) => ({ tag: `t${_id}` }),
          down: { where: {}, each: () => ({ tag: undefined }) },
        }),
      ]),
      await file('0003-third', [dropIndex('things', index)]),
    ];
    await up(db, list, { to: '0001' });
    await store(3);
    const before = [await readLayout(db), await things.find().toArray()];
    await up(db, list, { to: '0002' });
    expect(await things.distinct('tag')).toEqual(['t1', 't2', 't3']);
    const lock = db.collection<{ _id: string; fence: number }>(LOCK.collection);
    const fence = async () => (await lock.findOne({ _id: 'lock' }))?.fence ?? 0;
    const held = await fence();
    expect(await redo(db, list.slice(0, 2))).toEqual(['0002-second']);
    // It kept the lock: another runner would have applied what it had undone.
    expect(await fence()).toBe(held + 1);
    const after = await readLayout(db);
    await up(db, list);
    await down(db, list);
    expect(Object.keys(after['things']?.indexes ?? {})).toEqual(['tag_1']);
    await down(db, list);
    expect([await readLayout(db), await things.find().toArray()]).toEqual(before);
    await expect(down(db, list)).rejects.toThrow('has 3 documents, which would be lost');
  });

  test('that cannot be undone says why, and nothing else is undone then', async () => {
    const list = [
      await file('0001-a', [run('burn', { up: async () => {}, down: 'Ashes.' })]),
      await file('0002-b', []),
    ];
    await up(db, list);
    await expect(down(db, list, { to: '0' })).rejects.toThrow('0001-a cannot be undone: burn: Ashes.');
    expect(await states()).toHaveLength(2);
  });
});

/** A step after whose work the runner is cut off, as by kill -9: another one has the lock before it notes anything. */
const cutOff = ({ up, down }: Step): Step => ({
  up: {
    ...up,
    apply: async (db, check) => {
      await (up as Structure).apply(db, check).catch(() => {});
      const lock = db.collection<any>(LOCK.collection);
      await lock.updateMany({}, { $inc: { fence: 1 } });
      await lock.updateOne({ _id: 'lock' }, { $set: { until: new Date(0) } });
    },
  } as Structure,
  down,
});

describe('a step that was done but not noted', () => {
  const label = changeField('things', 'label', { to: required({ bsonType: 'string' }) });
  const text = { key: { tag: 1 }, unique: true, partialFilterExpression: { tag: { $gt: '' } } };

  test.each([
    ['a validator', label],
    ['an index', createIndex('things', text)],
    ['an index that goes', dropIndex('things', { key: { n: 1 } })],
    ['a collection', createCollection('others', { schema, indexes: [text] })],
    ['a collection that was there', createCollection('things', { schema, indexes: [text] })],
    ['a view', changeView('seen', { to: { on: 'things', pipeline: [{ $match: { n: { $gt: 1 } } }] } })],
    ['a view that goes', changeView('shown', { from: { on: 'things', pipeline: [] } })],
  ])('is undone: %s', async (_, step) => {
    await db.createCollection('things');
    await db.createCollection('shown', { viewOn: 'things', pipeline: [{ $match: { n: { $lt: 9 } } }] });
    const list = [await initial()];
    await up(db, list);
    await things.createIndex({ n: 1 });
    await store(3);
    const before = await readLayout(db);
    await expect(up(db, [...list, await file('0002-b', [cutOff(step)])])).rejects.toThrow(LostLock);
    expect(await readLayout(db)).not.toEqual(before);
    list.push(await file('0002-b', [step]));
    expect(await down(db, list)).toEqual(['0002-b']);
    expect(await readLayout(db)).toEqual(before);
    expect(await states()).toEqual([['0001-initial', 'applied', 1]]);
  });

  test('is undone where the next runner fails: the rule of before is back', async () => {
    const list = [await initial()];
    await up(db, list);
    await store(3);
    const before = await readLayout(db);
    await expect(up(db, [...list, await file('0002-b', [cutOff(label)])])).rejects.toThrow(LostLock);
    await expect(things.insertOne({ _id: 4, n: 4 })).rejects.toThrow('Document failed validation');
    list.push(await file('0002-b', [label]));
    await expect(up(db, list)).rejects.toThrow(/3 documents of things break[^]*nothing of it remains/);
    expect(await readLayout(db)).toEqual(before);
    await things.insertOne({ _id: 4, n: 4 });
    expect(await states()).toEqual([['0001-initial', 'applied', 1]]);
  });
});

describe('a runner that another process has taken over from', () => {
  const takeOver = (owner: typeof db) =>
    owner.collection<any>(LOCK.collection).updateMany({}, { $inc: { fence: 1 }, $set: { beats: 0 } });

  test('asks before it changes a validator', async () => {
    await up(db, [await initial()]);
    const before = await readLayout(db);
    for (const rule of [optional({}), required({})]) {
      const { up } = changeField('things', 'm', { to: rule });
      const lost = () => Promise.reject(new LostLock());
      await expect((up as Structure).apply(db, lost)).rejects.toThrow(LostLock);
    }
    expect(await readLayout(db)).toEqual(before);
  });

  test('says what may have come too late', async () => {
    const late = run('make it', { up: async (db) => void (await takeOver(db)), down: never });
    await expect(up(db, [await file('0001-a', [late])])).rejects.toThrow(
      /taken over the migration. "make it" may have changed what[^]*migrate -- status shows/,
    );
  });

  test('does not say that the migration has failed', async () => {
    const ended = run('wait', {
      up: async (db) => {
        await takeOver(db);
        throw new Error('Its operation was ended.');
      },
      down: never,
    });
    await expect(up(db, [await file('0001-a', [ended])])).rejects.toThrow(LostLock);
  });
});

describe('a backfill', () => {
  const counted = backfill('things', { ...increment, verify: { n: { $ne: 1 } }, down: never });

  test('stops when it is told to, and goes on from there: each document is changed once', async () => {
    await store(5_000);
    const list = [await file('0001-count', [counted])];
    const stop = new AbortController();
    let done = 0;
    const onProgress = ({ walked }: { walked: number }) => {
      done = walked;
      if (walked >= 1_000) stop.abort(130);
    };
    await expect(up(db, list, { signal: stop.signal, onProgress })).rejects.toThrow('npm run migrate -- up');
    expect(done).toBeLessThan(5_000);
    expect(await things.countDocuments({ n: 1 })).toBe(done);
    expect(await states()).toEqual([['0001-count', 'applying', 0]]);
    await up(db, list);
    expect(await things.countDocuments({ n: 1 })).toBe(5_000);
    expect(await journalOf(db).findOne()).toMatchObject({ changed: 5_000, state: 'applied' });
  });

  test('half done, is undone as far as it came', async () => {
    await store(3_000);
    const undo = { where: { n: 1 }, update: [{ $set: { n: 0 } }] };
    const list = [
      await file('0001-count', [backfill('things', { ...increment, verify: { n: 0 }, down: undo })]),
    ];
    const stop = new AbortController();
    const signal = stop.signal;
    await expect(up(db, list, { signal, onProgress: () => stop.abort(130) })).rejects.toThrow('Interrupted');
    expect(await things.countDocuments({ n: 1 })).toBe(500);
    await down(db, list);
    expect(await things.countDocuments({ n: 0 })).toBe(3_000);
    expect(await states()).toEqual([]);
  });

  test('also changes what comes to match behind its back', async () => {
    await store(3_000);
    const list = [
      await file('0001-n', [backfill('things', { where: { n: 0 }, each: () => ({ n: 1 }), down: never })]),
    ];
    let late: Promise<unknown> | undefined;
    await up(db, list, { onProgress: () => void (late ??= things.insertOne({ _id: -1, n: 0 })) });
    await late;
    expect(await things.countDocuments({ n: 1 })).toBe(3_001);
  });

  test('says how many documents are not as they should be in the end', async () => {
    await store(10);
    const list = [
      await file('0001-n', [
        backfill('things', { where: { n: 0 }, each: ({ _id }) => (_id > 3 ? { n: 1 } : {}), down: never }),
      ]),
    ];
    await expect(up(db, list)).rejects.toThrow('3 documents still match {"n":0}');
    await things.deleteMany({ _id: { $lte: 3 } });
    expect(await up(db, list)).toEqual(['0001-n']);
  });

  test('changes each document once, though runners are frozen and killed', async () => {
    const COUNT = 40_000;
    await store(COUNT);
    const runners = new Set(['a', 'b', 'c'].map(() => startRunner()));
    const frozen: Runner[] = [];
    for (const signal of ['SIGSTOP', 'SIGSTOP', 'SIGKILL'] as const) {
      const working = await Promise.race([...runners].map((runner) => runner.works.then(() => runner)));
      working.child.kill(signal);
      runners.delete(working);
      if (signal === 'SIGSTOP') frozen.push(working);
    }
    const last = startRunner();
    await last.works;
    for (const { child } of frozen) child.kill('SIGCONT');
    expect(await last.ended).toContain('applied 1');
    for (const { ended } of frozen) expect(await ended).toMatch(/another process has taken over|applied 0/);
    expect(await things.countDocuments({ n: 1 })).toBe(COUNT);
    expect(await states()).toEqual([['runner.mjs', 'applied', 1]]);
  });
});

interface Runner {
  child: ChildProcess;
  /** It has changed some documents. */
  works: Promise<unknown>;
  /** What it has said in all. */
  ended: Promise<string>;
}

function startRunner(): Runner {
  const child = spawn(process.execPath, ['test/support/runner.mjs', uri, '1000'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  let said = '';
  const works = new Promise((resolve) =>
    child.stdout.on('data', (text) => /walked/.test((said += text)) && resolve(undefined)),
  );
  return { child, works, ended: once(child, 'close').then(() => said) };
}

describe('npm run migrate', () => {
  const wanted = layoutOf([{ collection: 'things', schema, indexes: [{ key: { n: 1 } }] }, JOURNAL, LOCK]);

  async function command(line: string, migrations: Migration[], layout = wanted, sources = folder) {
    const printed: string[] = [];
    const said: string[] = [];
    const code = await migrate(readArguments(line.split(' ')) as Arguments, {
      db,
      migrations,
      wanted: layout,
      growing: ['things'],
      folder: sources,
      signal: new AbortController().signal,
      say: (line) => said.push(line),
      print: (text) => printed.push(text),
      startProgress: () => ({ update() {}, stop() {} }),
    });
    return { code, text: printed.join('\n'), said: said.join('\n') };
  }

  test('rewording a definition is no difference', () => {
    const of = (description: string, maximum: number) => {
      const properties = { description: { bsonType: 'int', description, maximum } };
      return layoutOf([
        { collection: 'things', schema: { bsonType: 'object', description, properties }, indexes: [] },
      ]);
    };
    expect(differences(of('New', 1), of('Old', 1))).toEqual([]);
    expect(differences(of('Old', 2), of('Old', 1))).toHaveLength(1);
  });

  test('up on a database without migrations leaves none for after the deployment', async () => {
    const later = { ...(await file('0002-later', [])), afterDeployment: true };
    const list = [await initial(), later];
    expect((await command('plan', list)).text).toContain('0002-later');
    expect(await command('up', list)).toMatchObject({ text: '0001-initial, 0002-later: applied' });
    await down(db, list, {});
    expect(await command('up', list)).toMatchObject({ text: 'Nothing to do: no migration is pending.' });
  });

  test('status tells what is pending (1), what differs (3), and that all is well (0)', async () => {
    const list = [await initial()];
    expect(await command('status', list)).toMatchObject({
      code: 1,
      text: expect.stringContaining('1 pending'),
    });
    expect(await command('up', list)).toMatchObject({ code: 0, text: '0001-initial: applied' });
    const drift = await command('status', list);
    expect(drift).toMatchObject({
      code: 3,
      text: expect.stringContaining('things: the index n_1 is missing'),
    });
    await things.createIndex({ n: 1 });
    expect(await command('status', list)).toMatchObject({
      code: 0,
      text: expect.stringContaining('matches the definitions'),
    });
    await things.insertMany(
      [
        { _id: 1, n: 1 },
        { _id: 2, n: 'two' },
      ],
      { bypassDocumentValidation: true },
    );
    expect(await command('status', list)).toMatchObject({
      code: 3,
      text: expect.stringContaining('of 2 sampled documents, 1 break'),
    });
    await db.command({ collMod: 'things', validationAction: 'warn' });
    expect((await command('status', list)).text).toContain('not enforced (strict warn)');
    const json = JSON.parse((await command('status --json', list)).text);
    expect(json).toMatchObject({ migrations: [{ id: '0001-initial', state: 'applied' }], faults: [] });
    expect([json.drift, json.shapes]).toMatchObject([
      [{ what: 'validation' }],
      [{ collection: 'things', odd: 1 }],
    ]);
    await file('0001-initial', [], 'edited');
    expect(await command('status', list)).toMatchObject({
      code: 2,
      text: expect.stringContaining('✗ 0001-initial was edited'),
    });
  });

  test('plan tells what would change, and what stands in the way', async () => {
    const list = [await initial()];
    await up(db, list);
    await store(3);
    list.push(
      await file('0002-n', [
        change('things', { where: { _id: { $gt: 1 } }, update: [{ $set: { n: 7 } }], down: never }),
        createIndex('things', { key: { n: 1 }, unique: true }),
        changeField('things', 'n', { to: required({ bsonType: 'int', minimum: 1 }) }),
      ]),
    );
    for (const line of ['plan', 'up --dry-run']) {
      const { code, text } = await command(line, list);
      expect(code).toBe(1);
      expect(text).toContain('change documents of things: 2 documents change');
      expect(text).toContain('- { _id: 2, n: 0 }\n    + { _id: 2, n: 7 }');
      expect(text).toMatch(/index n_1 of things\n +3 documents block it/);
      expect(text).toMatch(
        /require n in things\n +3 documents block it unless an earlier step changes them, such as 1, 2, 3: n\.minimum/,
      );
    }
    expect(JSON.parse((await command('plan --json', list)).text).pending[0].steps).toHaveLength(3);
    expect(await things.distinct('n')).toEqual([0]);
    expect(await command('plan --to 1', list).catch(String)).toContain('no migration "1"');
    expect(await command('plan --to 0001', list)).toEqual({ code: 0, text: 'Nothing is pending.', said: '' });
  });

  test('plan foresees an index that MongoDB refuses; up does not begin what cannot end nor be undone', async () => {
    const list = [await initial()];
    await up(db, list);
    await store(2);
    await things.createIndex({ n: 1 }, { name: 'other' });
    await things.createIndex({ tag: 1 });
    await things.createIndex({ n: 'text' }, { name: 'words' });
    const burn = change('things', { where: { _id: 1 }, update: [{ $set: { n: 7 } }], down: never });
    const tag = createIndex('things', { key: { tag: 1 }, sparse: true });
    for (const [step, reason] of [
      [createIndex('things', { key: { n: 1 } }), 'The index other of things has the same key'],
      [tag, 'things has another index tag_1'],
      [changeField('things', 'n', { to: required({ bsonType: 'int', minimum: 1 }) }), 'n.minimum'],
      [createIndex('things', { key: { tag: 'text' } }), 'The index words of things is a text index'],
      [createCollection('things', { collation: { locale: 'fr' } }), 'exists with no collation'],
      [
        createCollection('things', { indexes: [{ key: { n: 1 } }] }),
        'The index other of things has the same',
      ],
      [createCollection('things', { indexes: [{ key: { n: -1 }, unique: true }] }), '2 documents block it'],
    ] as const) {
      const migrations = [...list, await file('0002-b', [step, burn])];
      expect((await command('plan', migrations)).text).toContain(reason);
      await expect(up(db, migrations)).rejects.toThrow(/0002-b cannot be applied: [^]*Nothing was changed/);
    }
    expect(await states()).toEqual([['0001-initial', 'applied', 1]]);
    expect(await things.distinct('n')).toEqual([0]);
    // MongoDB takes both.
    await things.deleteOne({ _id: 2 });
    const unique = createIndex('things', { name: 'only', key: { n: 1 }, unique: true });
    expect((await command('plan', [...list, await file('0002-b', [unique])])).text).not.toContain('✗');
    await up(db, [...list, await file('0002-b', [unique, burn])]);
  });

  test('down --dry-run tells what would be undone, and what cannot be', async () => {
    const list = [await initial()];
    expect((await command('down --dry-run', list)).text).toBe('Nothing to do: no migration is applied.');
    list.push(
      await file('0002-n', [
        change('things', { where: {}, update: [{ $set: { n: 7 } }], down: never }),
        createIndex('things', { key: { n: 1 } }),
      ]),
    );
    await up(db, list);
    const { code, text } = await command('down --dry-run', list);
    expect(code).toBe(2);
    expect(text).toMatch(/^0002-n\n {2}.*n_1 of things\n {2}✗ change documents of things cannot be undone: /);
    expect(JSON.parse((await command('down --dry-run --to 0 --json', list)).text).undone).toMatchObject([
      { id: '0002-n' },
      { id: '0001-initial' },
    ]);
    expect(await journalOf(db).countDocuments()).toBe(2);
  });

  test('down --dry-run says what stands in the way of down, as down does', async () => {
    const list = [await initial()];
    await up(db, list);
    await store(1);
    const { code, text } = await command('down --dry-run', list);
    expect(code).toBe(2);
    expect(text).toContain('1 document blocks it unless an earlier step changes it');
    const refusal = String(await down(db, list).catch((error) => error.message));
    expect(refusal).toContain('0001-initial cannot be undone: ');
    expect(text).toContain(`  ✗ ${refusal}`);
  });

  /** Writes migrations by `new` into a folder of their own, has a test fill them in, and loads them. */
  async function generate(line: string, list: Migration[], layout: Layout, fill = (text: string) => text) {
    const own = await mkdtemp(join(folder, 'sources-'));
    const index = join(own, 'index.ts');
    await writeFile(index, "import { a } from './0001-initial.ts';\n\nexport const migrations = [a];\n");
    await writeFile(join(own, '0001-initial.ts'), '');
    const { text } = await command(line, list, layout, own);
    const files = (await readdir(own)).filter((name) => name > '0001-initial.ts' && name !== 'index.ts');
    const loaded: Migration[] = [];
    for (const name of files.toSorted()) {
      const path = join(own, name);
      const source = fill(await readFile(path, 'utf8'));
      await writeFile(path, source.replaceAll("'../mongo", `'${process.cwd()}/src/mongo`));
      const exported = Object.entries(await tsImport(path, import.meta.url));
      // The module as a whole has one or two names more, depending on the version of Node.
      const named = exported.filter(([name]) => !['default', 'module.exports'].includes(name));
      loaded.push(...named.map(([, one]) => one as Migration));
    }
    return { text, loaded, index: await readFile(index, 'utf8') };
  }

  test('new writes and registers what makes the database as the definitions say, in two parts', async () => {
    const list = [await initial()];
    await expect(command('new more', list)).rejects.toThrow('Apply pending migrations first (0001-initial)');
    await up(db, list);
    const label = { bsonType: 'string', maxLength: 9 };
    const layout = layoutOf([
      {
        collection: 'things',
        schema: { ...schema, properties: { ...schema.properties, label }, required: ['_id', 'n', 'label'] },
        indexes: [{ key: { label: 1 } }],
      },
      { collection: 'others', collation: { locale: 'en', strength: 2 }, indexes: [], search: ['b', 'a'] },
      JOURNAL,
      LOCK,
    ]);
    const { text, loaded, index } = await generate('new add-label', list, layout, (text) =>
      text.replaceAll(/TODO[^}]*/g, "'x' "),
    );
    expect(text).toMatch(
      /0002-add-label\.ts: fill in what says TODO[^]*0003-add-label-after\.ts \(for after/,
    );
    expect(index).toBe(
      "import { a } from './0001-initial.ts';\nimport { addLabel } from './0002-add-label.ts';\n" +
        "import { addLabelAfter } from './0003-add-label-after.ts';\n\n" +
        'export const migrations = [a, addLabel, addLabelAfter];\n',
    );
    await store(2_500);
    const all = [...list, ...loaded];
    expect(await command('up', all)).toMatchObject({
      text: '0002-add-label: applied',
      said: expect.stringContaining(
        '0003-add-label-after: pending until no server of the previous version runs',
      ),
    });
    // The version before knows nothing of it.
    await things.insertOne({ _id: 0, n: 0 });
    expect(await things.countDocuments({ label: 'x' })).toBe(2_500);
    expect((await command('status', all)).text).toContain('up --all, once no server of the previous version');
    expect(await command('up --all', all)).toMatchObject({ text: '0003-add-label-after: applied' });
    expect(await things.countDocuments({ label: 'x' })).toBe(2_501);
    const found = await readLayout(db);
    expect(differences(layout, found).filter(({ collection }) => collection === 'others')).toEqual([]);
    expect(found['things']?.schema).toEqual(layout['things']?.schema);
    await down(db, all, { to: '0001' });
    expect(await things.countDocuments({ label: { $exists: true } })).toBe(0);
    expect((await readLayout(db))['things']?.schema).toEqual(schema);
  });

  test('new --rename keeps the values of a field, also those that the version before goes on storing', async () => {
    const list = [
      await initial(),
      await file('0001-unique', [createIndex('things', { key: { n: 1 }, unique: true })]),
    ];
    await up(db, list);
    const { n, ...others } = schema.properties;
    const renamed = { ...schema, properties: { ...others, m: n }, required: ['_id', 'm'] };
    const indexes: Index[] = [{ key: { m: 1 }, unique: true }];
    const layout = layoutOf([{ collection: 'things', schema: renamed, indexes }, JOURNAL, LOCK]);
    await expect(command('new rename --rename n:x', list, layout)).rejects.toThrow(
      'there is no collection in',
    );
    const { loaded } = await generate('new rename --rename n:m', list, layout);
    await things.insertMany([1, 2, 3].map((n) => ({ _id: n, n })));
    const all = [...list, ...loaded];
    await command('up', all);
    expect(await things.countDocuments({ $expr: { $eq: ['$n', '$m'] } })).toBe(3);
    // The version before knows only the one name, the new version makes documents with the other; both are unique.
    await things.insertMany([4, 5].map((n) => ({ _id: n, n })));
    await things.insertMany([6, 7].map((m) => ({ _id: m, m })));
    for (const taken of [{ n: 5 }, { m: 7 }])
      await expect(things.insertOne({ _id: 8, ...taken })).rejects.toMatchObject({ code: 11000 });
    await things.updateOne({ _id: 2 }, { $set: { n: 20 } });
    await things.updateOne({ _id: 3 }, { $set: { m: 30, n: 30 } });
    await command('up --all', all);
    expect(await things.find().sort({ _id: 1 }).toArray()).toEqual([
      { _id: 1, m: 1 },
      { _id: 2, m: 20 },
      { _id: 3, m: 30 },
      { _id: 4, m: 4 },
      { _id: 5, m: 5 },
      { _id: 6, m: 6 },
      { _id: 7, m: 7 },
    ]);
    expect((await readLayout(db))['things']).toMatchObject(layout['things'] as object);
    expect(Object.keys((await readLayout(db))['things']?.indexes ?? {})).toEqual(['m_1']);
    await down(db, all, { to: '0001-unique' });
    expect(await things.find().sort({ _id: 1 }).toArray()).toEqual(
      [1, 20, 30, 4, 5, 6, 7].map((n, i) => ({ _id: i + 1, n })),
    );
  });

  test('new loosens a rule before the deployment and tightens it after; a field and a collection go after it', async () => {
    await db.createCollection('old');
    const list = [await initial()];
    await up(db, list);
    const wanted = {
      ...schema,
      properties: { _id: {}, n: { bsonType: ['int', 'null'] }, m: { bsonType: 'int' } },
      required: ['_id', 'n'],
    };
    const looser = layoutOf([{ collection: 'things', schema: wanted, indexes: [] }, JOURNAL, LOCK]);
    const first = await generate('new looser', list, { ...looser, old: { indexes: {} } });
    expect(first.loaded.map(({ afterDeployment }) => afterDeployment)).toEqual([false]);
    list.push(...first.loaded);
    await up(db, list);
    await things.insertMany([
      { _id: 1, n: 1, m: 1 },
      { _id: 2, n: 2 },
    ]);
    const tighter = layoutOf([{ collection: 'things', schema, indexes: [] }, JOURNAL, LOCK]);
    const second = await generate('new tighter', list, tighter);
    expect(second.text).toMatch(/^Wrote and registered \S+-tighter\.ts \(for after the deployment\)\.$/);
    list.push(...second.loaded.map((one) => ({ ...one, id: '0003-tighter' })));
    expect(await command('up', list)).toMatchObject({ text: 'Nothing to do: no migration is pending.' });
    await command('up --all', list);
    expect(await things.find().toArray()).toEqual([
      { _id: 1, n: 1 },
      { _id: 2, n: 2 },
    ]);
    expect(Object.keys(await readLayout(db))).not.toContain('old');
    expect((await readLayout(db))['things']?.schema).toEqual(schema);
  });

  test('new makes indexes with filters, also where one has the name of what comes', async () => {
    const n = { bsonType: 'int' };
    const at = { bsonType: 'date' };
    const rules = { bsonType: 'object', properties: { _id: {}, n, at } };
    const where = { at: { $gt: new Date(0) } };
    const former = { key: { n: 1 }, unique: true, partialFilterExpression: where };
    const list = [
      await file('0001-initial', [createCollection('things', { schema: rules, indexes: [former] })]),
    ];
    await up(db, list);
    const filtered = { key: { n: 1 }, unique: true, where } as const;
    const layoutWith = (...indexes: Index[]) =>
      layoutOf([{ collection: 'things', schema: rules, indexes: [filtered, ...indexes] }, JOURNAL, LOCK]);
    expect((await command('status', list, layoutWith())).code).toBe(0);
    const wanted = layoutWith({ key: { n: 1 } }, { key: { n: 1 }, where: { n: { $gt: 5 } } });
    const { loaded } = await generate('new indexes', list, wanted);
    expect(loaded).toHaveLength(2);
    await up(db, [...list, ...loaded]);
    expect((await readLayout(db))['things']?.indexes).toEqual(wanted['things']?.indexes);
    await down(db, [...list, ...loaded], { to: '0001' });
    expect((await readLayout(db))['things']?.indexes).toEqual({ n_1: former });
  });

  test('new builds indexes of another collation beside the former ones, and plan foresees what becomes equal', async () => {
    const rules = { bsonType: 'object' };
    const layoutWith = (collation?: mongoose.mongo.CollationOptions) =>
      layoutOf([
        { collection: 'things', schema: rules, indexes: [{ key: { word: 1 }, unique: true }], collation },
        JOURNAL,
        LOCK,
      ]);
    const indexes = [{ key: { word: 1 }, unique: true }];
    const list = [await file('0001-initial', [createCollection('things', { schema: rules, indexes })])];
    await up(db, list);
    const [former, wanted] = [layoutWith(), layoutWith({ locale: 'en', strength: 2 })];
    expect((await command('status', list, former)).code).toBe(0);
    expect((await command('status', list, wanted)).text).toContain('the index word_1_en_2 is missing');
    await things.insertMany([{ word: 'SF' }, { word: 'sf' }, { word: 'x' }] as never[]);
    const { loaded } = await generate('new words', list, wanted);
    expect(
      loaded.map(({ steps, afterDeployment }) => [steps.map(({ up }) => up.title), afterDeployment]),
    ).toEqual([
      [['create the index word_1_en_2 of things'], false],
      [['drop the index word_1 of things'], true],
    ]);
    list.push(...loaded);
    expect((await command('plan', list)).text).toContain('2 documents block it');
    await expect(up(db, list)).rejects.toThrow('E11000');
    await things.deleteOne({ word: 'sf' });
    await up(db, list);
    expect((await readLayout(db))['things']).toEqual(wanted['things']);
    await expect(things.insertOne({ word: 'sF' } as never)).rejects.toMatchObject({ code: 11000 });
    await down(db, list, { to: '0001' });
    expect((await readLayout(db))['things']).toEqual(former['things']);
  });

  test('new, plan and status know rules across fields', async () => {
    const list = [await initial()];
    await up(db, list);
    await store(3, { n: 7 });
    const even = { $eq: [{ $mod: ['$n', 2] }, 0] };
    const layout = layoutOf([
      { collection: 'things', schema, rules: { n_even: even }, indexes: [] },
      JOURNAL,
      LOCK,
    ]);
    expect(await command('status', list, layout)).toMatchObject({
      code: 3,
      text: expect.stringMatching(/the rule n_even is missing[^]*of 3 sampled documents, 3 break/),
    });
    const titles = async (line: string, of = wanted) =>
      (await generate(line, list, of)).loaded.map(({ steps, afterDeployment }) => [
        steps.map(({ up }) => up.title),
        afterDeployment,
      ]);
    expect(await titles('new even', layout)).toEqual([[['check the rule n_even in things'], true]]);

    const toEven = change('things', {
      where: {},
      update: [{ $set: { n: 8 } }],
      down: { where: {}, update: [{ $set: { n: 8 } }] },
    });
    const rule = (parts: object) => changeRule('things', 'n_even', parts);
    const strict = await file('0002-even', [rule({ to: even })]);
    expect((await command('plan', [...list, strict])).text).toMatch(
      /check the rule n_even in things\n +3 documents block it/,
    );
    await expect(up(db, [...list, strict])).rejects.toThrow('3 documents of things break the new rules');
    list.push(await file('0002-even', [toEven, rule({ to: even })]));
    list.push(
      await file('0003-label', [changeField('things', 'label', { to: optional({ bsonType: 'string' }) })]),
    );
    await up(db, list);
    const rules = async () => (await readLayout(db))['things']?.rules;
    expect(await rules()).toEqual({ n_even: even });
    await expect(store(1, { n: 7 })).rejects.toMatchObject({ code: 121 });
    // What the rest of the layout has lost goes, too.
    expect(await titles('new odd')).toContainEqual([
      expect.arrayContaining(['no longer check the rule n_even in things']),
      false,
    ]);
    await down(db, list, { to: '0001' });
    expect(await rules()).toBeUndefined();

    // A new collection has its rules from the beginning.
    const odds = createCollection('odds', { schema, rules: { n_even: even } });
    await up(db, [await initial(), await file('0002-odds', [odds])]);
    expect((await readLayout(db))['odds']).toEqual({ schema, rules: { n_even: even }, indexes: {} });
  });

  test.each([
    ['', 'Give a command: status, up'],
    ['upp', 'Unknown command "upp"; commands are status, up'],
    ['up 0002', 'Unexpected argument: 0002'],
    ['new', 'Give the migration a name in lower case'],
    ['new Add_Field', 'Give the migration a name in lower case'],
    ['redo --dry-run', '--dry-run can only be used with up and down'],
    ['redo --to 1', '--to can only be used with up, down and plan'],
    ['up --rename a:b', '--rename can only be used with new'],
    ['down --all', '--all can only be used with up and plan'],
    ['up --too 1', 'Unknown option'],
  ])('%s is refused', (line, message) => {
    expect(() => readArguments(line.split(' '))).toThrow(message);
  });
});

describe('a server', () => {
  const servers: ServerProcess[] = [];
  afterAll(() => Promise.all(servers.map((server) => server.stop())));
  const serve = async (env: Record<string, string> = {}) => {
    const server = await startServer(uri, env);
    servers.push(server);
    return server;
  };
  const get = async (server: ServerProcess, path: string) => {
    const response = await fetch(server.url + path);
    const retry = response.headers.get('retry-after');
    return { ...((await response.json()) as any), retry, status: response.status };
  };

  test('ends where it cannot listen, and where it must not answer after all', async () => {
    await up(db, product, { to: '0001' });
    const now = new Date();
    await db.collection('users').insertOne({
      ...typical(User),
      _id: new mongoose.Types.ObjectId('65f000000000000000000c04'),
      email: 'admin@example.org',
      role: 'admin',
      passwordHash: await hashPassword(DEMO_PASSWORD),
      createdAt: now,
      updatedAt: now,
    });
    const server = await serve({ NODE_ENV: 'production', TOKEN_KEYS });
    const { port } = new URL(server.url);
    await expect(serve({ PORT: port })).rejects.toThrow(`Port ${port} is in use`);
    await up(db, product);
    expect(await server.exitCode).toBe(1);
    expect(server.output()).toContain('names a database with demo accounts');
  });

  test('tries again what fails in passing before the first request', async () => {
    let tries = 0;
    const prepare = async () => {
      if (tries++ === 0) throw writeConflict();
    };
    const list = [await file('0001-a', [])];
    const ready = new Promise<void>((resolve, reject) => {
      const say = (line: string) => line.startsWith('Ready') && resolve();
      void watchReadiness(db, list, { say, prepare }).then(async ({ failure }) => {
        await up(db, list);
        await failure.catch(reject);
      });
    });
    await ready;
    expect(tries).toBe(2);
  });

  const objectId = { bsonType: 'objectId' };
  const text = { bsonType: 'string' };
  test.each([
    ['a collection', createCollection('a', { schema: { properties: { _id: objectId, title: text } } }), true],
    [
      'a collection that refers to others',
      createCollection('a', { schema: { properties: { book: objectId } } }),
      false,
    ],
    ['an index', createIndex('books', { key: { a: 1 } }), true],
    ['a unique index', createIndex('books', { key: { a: 1 }, unique: true }), false],
    ['a removed index', dropIndex('books', { key: { a: 1 } }), false],
    ['a field that need not be there', changeField('books', 'a', { to: optional(text) }), true],
    ['a reference', changeField('books', 'a', { to: optional(objectId) }), false],
    ['a field that must be there', changeField('books', 'a', { to: required(text) }), false],
    ['a field that goes', changeField('books', 'a', { from: optional(text) }), false],
    ['images', keepImages('books'), true],
  ])('the version before can start after %s: %#', (_, step, compatible) => {
    expect(migration('file:///0099-x.ts', [step])).toMatchObject({ compatible });
    expect(migration('file:///0099-x.ts', [step], { compatible: !compatible }).compatible).toBe(!compatible);
  });

  test('is not ready before its migrations are applied, nor on a database that is ahead of it', async () => {
    const server = await serve();
    for (const path of ['/health/ready', '/books', '/posts/65f000000000000000000d01', '/books?nonsense'])
      expect(await get(server, path)).toMatchObject({
        status: 503,
        code: 'migrations_pending',
        retry: '5',
        detail: expect.stringContaining(`(${product.map(({ id }) => id).join(', ')}): npm run migrate -- up`),
      });
    expect((await get(server, '/health/live')).status).toBe(200);
    expect((await get(server, '/')).status).toBe(200);

    await up(db, product);
    while ((await get(server, '/health/ready')).status !== 200) await sleep(50);
    expect(await get(server, '/books')).toMatchObject({ status: 200, items: [] });
    expect(server.output()).toMatch(/Not ready: [^]*Ready: the migrations are applied/);

    const applied = await journalOf(db).findOne();
    await journalOf(db).insertOne({ ...(applied as NonNullable<typeof applied>), _id: '9999-later' });
    const other = await serve();
    for (const path of ['/health/ready', '/books'])
      expect(await get(other, path)).toMatchObject({
        status: 503,
        code: 'database_ahead',
        detail: expect.stringContaining('9999-later'),
      });
    // One that was ready when the later migration came goes on.
    expect((await get(server, '/books')).status).toBe(200);

    await journalOf(db).updateOne({ _id: '9999-later' }, { $set: { compatible: true } });
    while ((await get(other, '/health/ready')).status !== 200) await sleep(50);
    expect((await get(other, '/books')).status).toBe(200);
  });
});
