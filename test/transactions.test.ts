import { describe, expect, test } from '@jest/globals';
import mongoose from 'mongoose';
import { GUARDS } from '../src/mongo/guards.ts';
import { currentSession, transaction } from '../src/mongo/transaction.ts';
import { Book, resources, Tag } from '../src/resources/index.ts';
import { anyhow } from './support/database.ts';
import { aBook, aTag } from './support/factories.ts';
import { useApi } from './support/harness.ts';

const api = useApi();

const everything = () => Promise.all(resources.map(({ model }) => model.find().sort({ _id: 1 }).lean()));
const dune = { title: 'Dune', authors: ['Frank Herbert'], year: 1965, isbn: null, language: null, tags: [] };
/** The driver's own collection: what is called on it joins no transaction by itself. */
const driver = () => Tag.model.collection;

describe('a transaction whose work fails takes back', () => {
  test.each<[string, (id: mongoose.Types.ObjectId) => Promise<unknown>]>([
    ['create', () => Book.model.create(dune)],
    ['create of several', () => Book.model.create([dune, dune], { ordered: true })],
    ['save', async (id) => (await Book.model.findById(id).orFail()).set({ title: 'Saved' }).save()],
    ['insertMany', () => Book.model.insertMany([dune, dune, dune])],
    ['updateOne', (id) => Book.model.updateOne({ _id: id }, { year: 1 })],
    ['updateMany', () => Book.model.updateMany({}, { $set: { year: 1 } })],
    ['findByIdAndUpdate', (id) => Book.model.findByIdAndUpdate(id, { year: 1 })],
    ['replaceOne', (id) => Book.model.replaceOne({ _id: id }, dune)],
    ['upsert', () => Book.model.updateOne({ title: 'None' }, { $set: dune }, { upsert: true })],
    ['deleteOne', (id) => Book.model.deleteOne({ _id: id })],
    ['deleteMany', () => Book.model.deleteMany({})],
    ['findByIdAndDelete', (id) => Book.model.findByIdAndDelete(id)],
    [
      'bulkWrite',
      (id) =>
        Book.model.bulkWrite([
          { insertOne: { document: dune as any } },
          { updateOne: { filter: { _id: id }, update: { year: 1 } } },
          { deleteMany: { filter: { year: 2001 } } },
        ]),
    ],
    [
      'bulkSave',
      async (id) => Book.model.bulkSave([(await Book.model.findById(id).orFail()).set({ year: 1 })]),
    ],
    [
      'a call of the driver with currentSession()',
      () => driver().insertOne({ name: 'native' } as any, { ...anyhow, session: currentSession() }),
    ],
  ])('%s', async (_, write) => {
    const [book] = [await aBook(), await aBook(), await aTag()];
    const before = await everything();
    const failing = transaction(async () => {
      await write(book._id);
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await everything()).toEqual(before);
    // The same work without the failure does change something.
    await transaction(() => write(book._id));
    expect(await everything()).not.toEqual(before);
  });
});

test('nobody sees what a transaction writes before it has ended; it sees its own writes and one state of all others', async () => {
  const tag = await aTag({ name: 'old' });
  await transaction(async () => {
    await Book.model.create(dune);
    expect(await Book.model.countDocuments()).toBe(1);
    expect(await Book.model.collection.countDocuments()).toBe(0);
    await driver().updateOne({ _id: tag._id }, { $set: { name: 'new' } });
    expect((await Tag.model.findById(tag._id))?.name).toBe('old');
  });
  expect([await Book.model.countDocuments(), await Tag.model.countDocuments({ name: 'new' })]).toEqual([
    1, 1,
  ]);
});

test('it returns what its work returns', async () => {
  expect(await transaction(async () => (await Book.model.create(dune)).title)).toBe('Dune');
});

test('transactions do not nest: the inner one throws, and the outer one writes nothing', async () => {
  const nested = transaction(async () => {
    await Book.model.create(dune);
    await transaction(() => Book.model.create(dune));
  });
  await expect(nested).rejects.toThrow('Transactions do not nest.');
  expect(await Book.model.countDocuments()).toBe(0);
});

test('there is no session outside of a transaction, nor after it', async () => {
  expect(() => currentSession()).toThrow('inside transaction() only');
  await transaction(async () => void currentSession());
  expect(() => currentSession()).toThrow('inside transaction() only');
});

describe('work that is run again', () => {
  test('because another one wrote what it writes leaves one effect', async () => {
    const tag = await aTag({ name: 'old' });
    let runs = 0;
    const seen: string[] = [];
    await transaction(async () => {
      runs++;
      await Book.model.create(dune);
      seen.push((await Tag.model.findById(tag._id).orFail()).name);
      if (runs === 1) await driver().updateOne({ _id: tag._id }, { $set: { name: 'other' } });
      await Tag.model.updateOne({ _id: tag._id }, { description: `run ${runs}` });
    });
    expect([runs, seen, await Book.model.countDocuments()]).toEqual([2, ['old', 'other'], 1]);
    expect(await Tag.model.findById(tag._id)).toMatchObject({ name: 'other', description: 'run 2' });
  });

  test('loses no update: ten that each read and add one make ten', async () => {
    const { _id } = await aBook({ year: 0 });
    const addOne = () =>
      transaction(async () => {
        const { year } = await Book.model.findById(_id).orFail();
        await Book.model.updateOne({ _id }, { year: (year ?? 0) + 1 });
      });
    await Promise.all(Array.from({ length: 10 }, addOne));
    expect((await Book.model.findById(_id))?.year).toBe(10);
  });

  // As the driver throws them; a server that can be told to fail is not at hand.
  const lost = Object.assign(new Error('connection 5 closed'), { name: 'MongoNetworkError' });
  const labelled = Object.assign(new Error('x'), { errorLabels: ['TransientTransactionError'] });
  const steppedDown = Object.assign(new Error('x'), { name: 'MongoServerError', code: 189 });
  test.each<[string, Error]>([
    ['a lost connection', lost],
    ['a label of the server', labelled],
    ['a primary that steps down', steppedDown],
    [
      'a lost connection that a bulk write hides',
      Object.assign(new Error('x'), { name: 'MongoBulkWriteError', errorResponse: lost }),
    ],
    ['a label that a bulk write hides', new Error('x', { cause: labelled })],
  ])('because of %s leaves one effect', async (_, error) => {
    let runs = 0;
    await transaction(async () => {
      await Book.model.create(dune);
      if (++runs < 3) throw error;
    });
    expect([runs, await Book.model.countDocuments()]).toEqual([3, 1]);
  });
});

test.each<[string, () => Promise<unknown>, RegExp]>([
  ['a failure of the work', () => Promise.reject(new Error('bug')), /^bug$/],
  ['a value that another document has', () => aTag({ name: 'TAKEN' }), /E11000/],
  ['a command that MongoDB refuses', () => Tag.model.aggregate([{ $project: {} }]), /specification/],
])('%s is not tried again, and the error comes through', async (_, fail, message) => {
  await aTag({ name: 'taken' });
  let runs = 0;
  const failing = transaction(async () => {
    runs++;
    await Book.model.create(dune);
    await fail();
  });
  await expect(failing).rejects.toThrow(message);
  expect([runs, await Book.model.countDocuments()]).toEqual([1, 0]);
});

test('more than there are stripes may hold one document, and those that fail let go of it', async () => {
  const tag = await aTag();
  const holds = [{ collection: 'tags', id: tag._id }];
  let running = 0;
  let most = 0;
  const work = (fails: boolean) =>
    transaction(
      async () => {
        most = Math.max(most, ++running);
        await Tag.model.findById(tag._id);
        running--;
        if (fails) throw new Error('no');
      },
      { holds },
    );
  const outcomes = await Promise.allSettled(Array.from({ length: 80 }, (_, i) => work(i % 2 === 0)));
  expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(40);
  expect(most).toBeGreaterThan(1);
  expect(most).toBeLessThanOrEqual(32);
  await work(false);
});

test('those who change the same take turns, so that nobody has to run again; one that fails is no obstacle', async () => {
  const { _id } = await aBook({ year: 0 });
  let runs = 0;
  const addOne = async (fails: boolean) => {
    runs++;
    const { year } = await Book.model.findById(_id).orFail();
    await Book.model.updateOne({ _id }, { year: (year ?? 0) + 1 });
    if (fails) throw new Error('no');
  };
  const changes = `books:${_id}`;
  const all = Array.from({ length: 20 }, (_, i) => transaction(() => addOne(i % 4 === 0), { changes }));
  expect((await Promise.allSettled(all)).filter(({ status }) => status === 'rejected')).toHaveLength(5);
  expect([runs, (await Book.model.findById(_id))?.year]).toEqual([20, 15]);
});

test('who waits too long for what another one holds gets a 503, writes nothing, and holds nothing any more', async () => {
  const [tag, other] = [await aTag(), await aTag()];
  const before = await everything();
  // Longer than the requests wait, or MongoDB would let go of what is held.
  await limitTransactions(60);
  const session = await mongoose.startSession();
  session.startTransaction();
  await driver().updateOne({ _id: tag._id }, { $set: { description: 'held' } }, { session });
  const guard = { _id: `tags:${other._id}:0` as any, n: 1 };
  await mongoose.connection.collection(GUARDS).insertOne(guard, { session });
  const from = performance.now();
  const change = { method: 'update', resource: 'tags', id: String(tag._id), body: { name: 'mine' } };
  const answers = await Promise.all([
    api.patch(`/tags/${tag._id}`, { name: 'mine' }),
    api.post('/batch', {
      operations: [{ method: 'create', resource: 'tags', body: { name: 'new' } }, change],
    }),
    api.delete(`/tags/${other._id}`),
  ]);
  const seconds = (performance.now() - from) / 1_000;
  await session.abortTransaction();
  await session.endSession();
  await limitTransactions(5);
  for (const { status, headers, body } of answers) {
    expect([status, body.code]).toEqual([503, 'write_conflict']);
    expect(headers.get('retry-after')).toBe('1');
  }
  expect(seconds).toBeGreaterThan(7);
  expect(await everything()).toEqual(before);
  // At once, because those who gave up have left no lock behind.
  const again = performance.now();
  expect((await api.patch(`/tags/${tag._id}`, { name: 'mine' })).status).toBe(200);
  expect((await api.delete(`/tags/${other._id}`)).status).toBe(204);
  expect(performance.now() - again).toBeLessThan(5_000);
});

const limitTransactions = (seconds: number) =>
  mongoose.connection
    .getClient()
    .db('admin')
    .command({ setParameter: 1, transactionLifetimeLimitSeconds: seconds });
