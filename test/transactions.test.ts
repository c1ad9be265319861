import mongoose from 'mongoose';
import { GUARDS } from '../src/mongo/guards.ts';
import { currentSession } from '../src/mongo/session.ts';
import { transaction } from '../src/mongo/transaction.ts';
import { Book } from './sample/books/book.ts';
import { Post } from './sample/posts/post.ts';
import { Tag } from './sample/tags/tag.ts';
import { User } from '../src/resources/users/user.ts';
import { resources } from '../src/resources/api.ts';
import { users } from './support/callers.ts';
import { anyhow } from './support/database.ts';
import { aBook, aTag, aPost } from './sample/factories.ts';
import { useApi } from './support/harness.ts';
import { modelOf } from '../src/schema/model.ts';
import type { AnyResource } from '../src/schema/resource.ts';

const api = useApi();

const everything = () =>
  Promise.all(resources.map((resource) => modelOf(resource).find().sort({ _id: 1 }).lean()));
const dune = { title: 'Dune', authors: ['Frank Herbert'], year: 1965, isbn: null, language: null, tags: [] };
/** The driver's own collection: what is called on it joins no transaction by itself. */
const driver = () => modelOf(Tag).collection;

describe('a transaction whose work fails takes back', () => {
  test.each<[string, (id: mongoose.Types.ObjectId) => Promise<unknown>]>([
    ['create', () => modelOf(Book).create(dune)],
    ['create of several', () => modelOf(Book).create([dune, dune], { ordered: true })],
    ['save', async (id) => (await modelOf(Book).findById(id).orFail()).set({ title: 'Saved' }).save()],
    ['insertMany', () => modelOf(Book).insertMany([dune, dune, dune])],
    ['updateOne', (id) => modelOf(Book).updateOne({ _id: id }, { year: 1 })],
    ['updateMany', () => modelOf(Book).updateMany({}, { $set: { year: 1 } })],
    ['findByIdAndUpdate', (id) => modelOf(Book).findByIdAndUpdate(id, { year: 1 })],
    ['replaceOne', (id) => modelOf(Book).replaceOne({ _id: id }, dune)],
    ['upsert', () => modelOf(Book).updateOne({ title: 'None' }, { $set: dune }, { upsert: true })],
    ['deleteOne', (id) => modelOf(Book).deleteOne({ _id: id })],
    ['deleteMany', () => modelOf(Book).deleteMany({})],
    ['findByIdAndDelete', (id) => modelOf(Book).findByIdAndDelete(id)],
    [
      'bulkWrite',
      (id) =>
        modelOf(Book).bulkWrite([
          { insertOne: { document: dune as any } },
          { updateOne: { filter: { _id: id }, update: { year: 1 } } },
          { deleteMany: { filter: { year: 2001 } } },
        ]),
    ],
    [
      'bulkSave',
      async (id) => modelOf(Book).bulkSave([(await modelOf(Book).findById(id).orFail()).set({ year: 1 })]),
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
    await modelOf(Book).create(dune);
    expect(await modelOf(Book).countDocuments()).toBe(1);
    expect(await modelOf(Book).collection.countDocuments()).toBe(0);
    await driver().updateOne({ _id: tag._id }, { $set: { name: 'new' } });
    expect((await modelOf(Tag).findById(tag._id))?.name).toBe('old');
  });
  expect([await modelOf(Book).countDocuments(), await modelOf(Tag).countDocuments({ name: 'new' })]).toEqual([
    1, 1,
  ]);
});

test('it returns what its work returns', async () => {
  expect(await transaction(async () => (await modelOf(Book).create(dune)).title)).toBe('Dune');
});

test('transactions do not nest: the inner one throws, and the outer one writes nothing', async () => {
  const nested = transaction(async () => {
    await modelOf(Book).create(dune);
    await transaction(() => modelOf(Book).create(dune));
  });
  await expect(nested).rejects.toThrow('Transactions do not nest.');
  expect(await modelOf(Book).countDocuments()).toBe(0);
});

test('there is no session outside of a transaction, nor after it', async () => {
  expect(() => currentSession()).toThrow('inside transaction()');
  await transaction(async () => void currentSession());
  expect(() => currentSession()).toThrow('inside transaction()');
});

describe('work that is run again', () => {
  test('because another one wrote what it writes leaves one effect', async () => {
    const tag = await aTag({ name: 'old' });
    let runs = 0;
    const seen: string[] = [];
    await transaction(async () => {
      runs++;
      await modelOf(Book).create(dune);
      seen.push((await modelOf(Tag).findById(tag._id).orFail()).name);
      if (runs === 1) await driver().updateOne({ _id: tag._id }, { $set: { name: 'other' } });
      await modelOf(Tag).updateOne({ _id: tag._id }, { description: `run ${runs}` });
    });
    expect([runs, seen, await modelOf(Book).countDocuments()]).toEqual([2, ['old', 'other'], 1]);
    expect(await modelOf(Tag).findById(tag._id)).toMatchObject({ name: 'other', description: 'run 2' });
  });

  test('loses no update: ten that each read and add one make ten', async () => {
    const { _id } = await aBook({ year: 0 });
    const addOne = () =>
      transaction(async () => {
        const { year } = await modelOf(Book).findById(_id).orFail();
        await modelOf(Book).updateOne({ _id }, { year: (year ?? 0) + 1 });
      });
    await Promise.all(Array.from({ length: 10 }, addOne));
    expect((await modelOf(Book).findById(_id))?.year).toBe(10);
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
      await modelOf(Book).create(dune);
      if (++runs < 3) throw error;
    });
    expect([runs, await modelOf(Book).countDocuments()]).toEqual([3, 1]);
  });
});

test.each<[string, () => Promise<unknown>, RegExp]>([
  ['a failure of the work', () => Promise.reject(new Error('bug')), /^bug$/],
  ['a value that another document has', () => aTag({ name: 'TAKEN' }), /E11000/],
  ['a command that MongoDB refuses', () => modelOf(Tag).aggregate([{ $project: {} }]), /specification/],
])('%s is not tried again, and the error comes through', async (_, fail, message) => {
  await aTag({ name: 'taken' });
  let runs = 0;
  const failing = transaction(async () => {
    runs++;
    await modelOf(Book).create(dune);
    await fail();
  });
  await expect(failing).rejects.toThrow(message);
  expect([runs, await modelOf(Book).countDocuments()]).toEqual([1, 0]);
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
        await modelOf(Tag).findById(tag._id);
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
    const { year } = await modelOf(Book).findById(_id).orFail();
    await modelOf(Book).updateOne({ _id }, { year: (year ?? 0) + 1 });
    if (fails) throw new Error('no');
  };
  const changes = `books:${_id}`;
  const all = Array.from({ length: 20 }, (_, i) => transaction(() => addOne(i % 4 === 0), { changes }));
  expect((await Promise.allSettled(all)).filter(({ status }) => status === 'rejected')).toHaveLength(5);
  expect([runs, (await modelOf(Book).findById(_id))?.year]).toEqual([20, 15]);
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

describe('a batch', () => {
  const nobody = '0123456789abcdef01234567';
  const batch = (...operations: object[]) => api.post('/batch', { operations });
  const create = (resource: string, body: object, as?: string) => ({
    method: 'create',
    resource,
    body,
    ...(as && { as }),
  });
  const update = (resource: string, id: unknown, body: object) => ({
    method: 'update',
    resource,
    id: String(id),
    body,
  });
  const replace = (resource: string, id: unknown, body: object) => ({
    method: 'replace',
    resource,
    id: String(id),
    body,
  });
  const remove = (resource: string, id: unknown) => ({ method: 'remove', resource, id: String(id) });
  const book = (fields: object = {}) => ({ title: 'Dune', authors: ['Frank Herbert'], ...fields });
  const user = (fields: object = {}) => ({ name: 'Ann', email: 'ann@example.org', ...fields });

  /** All that is stored. */
  const everything = async () =>
    Promise.all(resources.map((resource) => modelOf(resource).find().sort({ _id: 1 }).lean()));

  test('operations across resources are done in order, and each answers as it would by itself', async () => {
    const [old, tag] = [await aBook({ year: 1 }), await aTag({ description: 'x' })];
    const { status, body } = await batch(
      create('tags', { name: 'utopia' }),
      update('books', old._id, { year: 2 }),
      replace('tags', tag._id, { name: 'other' }),
      update('books', old._id, { title: 'New' }),
      remove('books', old._id),
      create('users', user()),
    );
    expect(status).toBe(200);
    expect(body.results.map(({ resource, status }: any) => [resource, status])).toEqual([
      ['tags', 201],
      ['books', 200],
      ['tags', 200],
      ['books', 200],
      ['books', 204],
      ['users', 201],
    ]);
    const [first, second, third, fourth, fifth, sixth] = body.results;
    expect(first.document).toEqual((await api.get(`/tags/${first.id}`)).body);
    expect(second).toMatchObject({ id: String(old._id), document: { year: 2, title: old.title } });
    expect(third.document).toEqual((await api.get(`/tags/${tag._id}`)).body);
    expect(third.document).toMatchObject({ name: 'other', description: null });
    expect(fourth.document).toMatchObject({ year: 2, title: 'New' });
    expect(fifth).toEqual({ resource: 'books', status: 204, id: String(old._id), document: null });
    expect((await api.get(`/books/${old._id}`)).status).toBe(404);
    expect(sixth.document).toEqual((await api.get(`/users/${sixth.id}`)).body);
  });

  test('a local name stands for an id: in a reference, in a list of them, as the id of an operation', async () => {
    const tag = await aTag();
    const { status, body } = await batch(
      create('users', user(), 'ann'),
      create('tags', { name: 'a' }, 'tagA'),
      create('tags', { name: 'b' }, 'tag_B2'),
      create('books', book({ tags: ['$tag_B2', String(tag._id), '$tagA'] }), 'dune'),
      create('posts', { title: 'T', body: 'B', author: '$ann', books: ['$dune'], tags: ['$tagA'] }, 'post'),
      update('posts', '$post', { tags: ['$tag_B2'] }),
      replace('tags', '$tagA', { name: 'c' }),
    );
    expect(status).toBe(200);
    const [ann, a, b, dune, , patched] = body.results.map(({ id, document }: any) => ({ id, ...document }));
    expect(dune.tags).toEqual([b.id, String(tag._id), a.id]);
    expect(patched).toMatchObject({ author: ann.id, books: [dune.id], tags: [b.id] });
    expect((await api.get(`/posts/${patched.id}`)).body).toEqual(patched);
    expect((await api.get(`/tags/${a.id}`)).body.name).toBe('c');
  });

  test('what is made and removed in one batch is as if it had never been', async () => {
    const tag = await aTag();
    const before = await everything();
    const { status } = await batch(
      create('books', book({ isbn: '9780441013593' }), 'first'),
      remove('books', '$first'),
      create('books', book({ isbn: '9780441013593', tags: [String(tag._id)] }), 'second'),
      remove('books', '$second'),
    );
    expect([status, await everything()]).toEqual([200, before]);
  });

  test('a unique value that one operation gives up is free for the next', async () => {
    const [tag, other] = [await aTag({ name: 'a' }), await aTag({ name: 'b' })];
    const { status } = await batch(
      update('tags', tag._id, { name: 'c' }),
      update('tags', other._id, { name: 'a' }),
      remove('tags', tag._id),
      create('tags', { name: 'c' }),
    );
    expect([status, (await modelOf(Tag).distinct('name')).sort()]).toEqual([200, ['a', 'c']]);
  });

  test('text that looks like a local name stays text', async () => {
    const { status, body } = await batch(
      create('tags', { name: '$tag', description: '$tag' }, 'tag'),
      create('books', book({ title: '$tag', authors: ['$tag'], tags: ['$tag'] })),
    );
    expect(status).toBe(200);
    const [tag, { document }] = body.results;
    expect(tag.document).toMatchObject({ name: '$tag', description: '$tag' });
    expect(document).toMatchObject({ title: '$tag', authors: ['$tag'], tags: [tag.id] });
  });

  test.each<[string, object[], [string, string][]]>([
    [
      'an unknown name',
      [create('books', book({ tags: ['$nobody'] }))],
      [['/operations/0/body/tags/0', 'invalid_format']],
    ],
    ['an unknown name as an id', [remove('books', '$nobody')], [['/operations/0/id', 'invalid_id']]],
    [
      '$ alone',
      [remove('books', '$'), create('books', book({ tags: ['$'] }))],
      [
        ['/operations/0/id', 'invalid_id'],
        ['/operations/1/body/tags/0', 'invalid_format'],
      ],
    ],
    [
      'the name of a later create',
      [create('books', book({ tags: ['$t'] })), create('tags', { name: 't' }, 't')],
      [['/operations/0/body/tags/0', 'invalid_format']],
    ],
    [
      'its own name',
      [create('posts', { title: 'T', body: 'B', author: '$me' }, 'me')],
      [['/operations/0/body/author', 'invalid_format']],
    ],
    [
      'a name of another case',
      [create('tags', { name: 't' }, 'Tag'), remove('tags', '$tag')],
      [['/operations/1/id', 'invalid_id']],
    ],
    [
      'a name twice',
      [create('tags', { name: 'a' }, 't'), create('tags', { name: 'b' }, 't')],
      [['/operations/1/as', 'repeated']],
    ],
    [
      'a name that is none',
      [create('tags', { name: 'a' }, '1st'), create('tags', { name: 'b' }, 'a-b')],
      [
        ['/operations/0/as', 'invalid_format'],
        ['/operations/1/as', 'invalid_format'],
      ],
    ],
    [
      'a property of every object',
      [remove('tags', '$constructor'), remove('tags', '$__proto__')],
      [
        ['/operations/0/id', 'invalid_id'],
        ['/operations/1/id', 'invalid_id'],
      ],
    ],
    [
      'wrong bodies',
      [create('tags', { name: '' }), update('books', nobody, { year: 'x', titel: 1 })],
      [
        ['/operations/0/body/name', 'too_short'],
        ['/operations/1/body/year', 'invalid_type'],
        ['/operations/1/body/titel', 'unknown_field'],
      ],
    ],
    [
      'an unknown method',
      [{ method: 'drop', resource: 'tags' }],
      [['/operations/0/method', 'invalid_union']],
    ],
    ['an unknown resource', [create('refguards', {})], [['/operations/0/resource', 'invalid_value']]],
    [
      'an id in a create',
      [{ ...create('tags', { name: 'a' }), id: nobody }],
      [['/operations/0/id', 'unknown_field']],
    ],
  ])(
    '%s: all that is wrong is said with its place before anything is done',
    async (_, operations, faults) => {
      const { status, body } = await batch(create('tags', { name: 'good' }), ...operations);
      expect([status, body.code]).toEqual([422, 'validation_failed']);
      const moved = faults.map(([pointer, code]) => [
        pointer.replace(/\d+/, (n) => String(Number(n) + 1)),
        code,
      ]);
      expect(body.errors.map(({ pointer, code }: any) => [pointer, code])).toEqual(moved);
      expect(await modelOf(Tag).countDocuments()).toBe(0);
    },
  );

  test('no operations are refused, as is what does not belong beside them', async () => {
    for (const [sent, pointer, code] of [
      [{ operations: [] }, '/operations', 'too_small'],
      [{}, '/operations', 'required'],
      [{ operations: [create('tags', { name: 'a' })], dryRun: true }, '/dryRun', 'unknown_field'],
    ] as const) {
      const { status, body } = await api.post('/batch', sent);
      expect([status, body.errors]).toMatchObject([422, [{ pointer, code }]]);
    }
    expect(await modelOf(Tag).countDocuments()).toBe(0);
  });

  test('100 operations are done, 101 refused', async () => {
    const creates = Array.from({ length: 101 }, (_, i) => create('tags', { name: `tag ${i}` }));
    const refused = await batch(...creates);
    expect([refused.status, refused.body.errors]).toMatchObject([
      422,
      [{ pointer: '/operations', code: 'too_big' }],
    ]);
    expect(await modelOf(Tag).countDocuments()).toBe(0);
    const done = await batch(...creates.slice(1));
    expect([done.status, done.body.results.length]).toEqual([200, 100]);
    expect(await modelOf(Tag).countDocuments()).toBe(100);
  });

  describe('of ten operations the last of which is refused', () => {
    test.each<[string, (there: Record<string, unknown>) => object, string, number]>([
      ['a reference to nothing', () => create('books', book({ tags: [nobody] })), 'reference_not_found', 422],
      [
        'a reference to what was removed before',
        ({ removed }) => create('books', book({ tags: [String(removed)] })),
        'reference_not_found',
        422,
      ],
      ['a value that another has', () => create('tags', { name: 'TAKEN' }), 'duplicate_key', 409],
      ['a value that an earlier one took', () => create('tags', { name: 'New 3' }), 'duplicate_key', 409],
      ['an id that nothing has', () => update('books', nobody, { year: 1 }), 'not_found', 404],
      ['an id that was removed before', ({ removed }) => remove('tags', removed), 'not_found', 404],
      ['an id of another resource', ({ author }) => update('books', author, { year: 1 }), 'not_found', 404],
      [
        'the removal of what others refer to',
        ({ author }) => remove('users', author),
        'still_referenced',
        409,
      ],
      [
        'the removal of what an earlier one came to refer to',
        () => remove('users', '$ann'),
        'still_referenced',
        409,
      ],
    ])('%s: none is done, and the answer names it', async (_, last, code, status) => {
      await aTag({ name: 'taken' });
      const [removed, { author }, changed] = [(await aTag())._id, await aPost(), (await aBook())._id];
      const before = await everything();
      const answer = await batch(
        create('users', user(), 'ann'),
        create('posts', { title: 'T', body: 'B', author: '$ann' }),
        remove('tags', removed),
        update('books', changed, { year: 1999 }),
        replace('users', author, { name: 'Other' }),
        ...[1, 2, 3, 4].map((i) => create('tags', { name: `new ${i}` })),
        last({ removed, author }),
      );
      expect([answer.status, answer.body.code, answer.body.operation]).toEqual([
        422,
        'batch_operation_failed',
        9,
      ]);
      expect(answer.body.problem).toMatchObject({ code, status, detail: expect.any(String) });
      expect(await everything()).toEqual(before);
    });

    test('a body that breaks a rule: none is done, and the pointer names it', async () => {
      const tags = Array.from({ length: 9 }, (_, i) => create('tags', { name: `tag ${i}` }));
      const { status, body } = await batch(...tags, create('books', book({ year: 3000 })));
      expect([status, body.errors]).toMatchObject([
        422,
        [{ pointer: '/operations/9/body/year', code: 'too_big' }],
      ]);
      expect(await modelOf(Tag).countDocuments()).toBe(0);
    });
  });

  test('the problem of a refused operation tells as much as by itself: pointers, blockers', async () => {
    const { author } = await aPost();
    const referring = await batch(create('books', book({ tags: [nobody] })));
    expect(referring.body.problem.errors).toMatchObject([
      { in: 'body', pointer: '/tags/0', code: 'reference_not_found' },
    ]);
    const removing = await batch(remove('users', author));
    expect(removing.body.problem.blockers).toEqual((await api.delete(`/users/${author}`)).body.blockers);
  });

  test('a body of 1 MiB is read, one byte more is refused', async () => {
    const posts = Array.from({ length: 51 }, () =>
      create('posts', { title: 'T', body: 'é'.repeat(10_000), author: '$u' }),
    );
    const json = JSON.stringify({ operations: [create('users', user(), 'u'), ...posts] });
    const ofSize = (bytes: number) => json + ' '.repeat(bytes - Buffer.byteLength(json));
    const send = (raw: string) =>
      api.call('POST', '/batch', { raw, headers: { 'content-type': 'application/json' } });
    const { status, body } = await send(ofSize(1024 * 1024 + 1));
    expect([status, body.code]).toEqual([413, 'body_too_large']);
    expect((await send(ofSize(1024 * 1024))).status).toBe(200);
    expect(await modelOf(Post).countDocuments()).toBe(51);
  });

  test('20 batches at once that share a tag are all done, and leave nothing that refers to nothing', async () => {
    const tag = await aTag();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        batch(
          create('users', user({ email: `u${i}@example.org` }), 'author'),
          create('books', book({ tags: [String(tag._id)] }), 'book'),
          create('posts', {
            title: `${i}`,
            body: 'B',
            author: '$author',
            books: ['$book'],
            tags: [String(tag._id)],
          }),
        ),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
    for (const resource of [Book, Post, User] as AnyResource[])
      expect(await modelOf(resource).countDocuments(users)).toBe(20);
    expect(await modelOf(Post).countDocuments({ tags: tag._id })).toBe(20);
    expect(new Set((await modelOf(Post).find().lean()).map(({ author }) => String(author))).size).toBe(20);
  });
});
