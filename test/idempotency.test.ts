import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import mongoose from 'mongoose';
import { IDEMPOTENCY, recall, remember } from '../src/http/idempotency.ts';
import { transaction } from '../src/mongo/transaction.ts';
import { Book, Post, Tag, User } from '../src/resources/index.ts';
import { users } from './support/callers.ts';
import { aBook, aPost, aTag, aUser } from './support/factories.ts';
import { type Answer, useApi } from './support/harness.ts';

const api = useApi();

const records = () => mongoose.connection.collection(IDEMPOTENCY);
const dune = { title: 'Dune', authors: ['Frank Herbert'] };
const post = (path: string, body: unknown, key: string) =>
  api.post(path, body, { headers: { 'idempotency-key': key } });
const replayed = ({ headers }: Answer) => headers.get('idempotency-replayed');
const outcome = ({ status, headers, body }: Answer) => ({ status, location: headers.get('location'), body });

test('a retry gets the first answer: status, Location and body; only the first one wrote', async () => {
  const key = randomUUID();
  const first = await post('/books', dune, key);
  const second = await post('/books', dune, key);
  expect([first.status, replayed(first), replayed(second)]).toEqual([201, null, 'true']);
  expect(first.headers.get('location')).toBe(`/books/${first.body.id}`);
  expect(outcome(second)).toEqual(outcome(first));
  // What has become of the book meanwhile does not matter.
  await api.delete(`/books/${first.body.id}`);
  expect(outcome(await post('/books', dune, key))).toEqual(outcome(first));
  expect(await Book.model.countDocuments()).toBe(0);
});

test('without a key, or with another one, every POST is done', async () => {
  for (const headers of [
    {},
    {},
    { 'idempotency-key': randomUUID() },
    { 'idempotency-key': randomUUID() },
  ] as Record<string, string>[]) {
    const answer = await api.post('/books', dune, { headers });
    expect([answer.status, replayed(answer)]).toEqual([201, null]);
  }
  expect(await Book.model.countDocuments()).toBe(4);
});

test('the same key with another body is refused; the order of members does not make it another', async () => {
  const key = randomUUID();
  const deep = (body: object) => ({ operations: [{ method: 'create', resource: 'books', body }] });
  const first = await post('/batch', deep({ title: 'Dune', authors: ['A', 'B'], year: 1965 }), key);
  const reordered = {
    operations: [
      { body: { year: 1965, authors: ['A', 'B'], title: 'Dune' }, resource: 'books', method: 'create' },
    ],
  };
  expect(outcome(await post('/batch', reordered, key))).toEqual(outcome(first));
  for (const other of [
    { title: 'Dune', authors: ['B', 'A'], year: 1965 },
    { title: 'Dune', authors: ['A', 'B'] },
    { title: 'Dune', authors: ['A', 'B'], year: null },
    { title: 'dune', authors: ['A', 'B'], year: 1965 },
  ]) {
    const { status, body } = await post('/batch', deep(other), key);
    expect([status, body.code]).toEqual([422, 'idempotency_key_reused']);
  }
  expect(await Book.model.countDocuments()).toBe(1);
});

test.each<[string, object]>([
  ['/books', dune],
  ['/tags', { name: 'unique' }],
])('of 30 POST %s at once with one key one writes, and all get its answer', async (path, body) => {
  const key = randomUUID();
  const answers = await Promise.all(Array.from({ length: 30 }, () => post(path, body, key)));
  expect(answers.map(({ status }) => status)).toEqual(Array(30).fill(201));
  expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
  expect(answers.filter((answer) => replayed(answer) === 'true')).toHaveLength(29);
  expect((await Book.model.countDocuments()) + (await Tag.model.countDocuments())).toBe(1);
});

test('of 15 at once with one key and a body each, one writes and the others are refused', async () => {
  const key = randomUUID();
  const answers = await Promise.all(
    Array.from({ length: 15 }, (_, i) => post('/books', { ...dune, title: `${i}` }, key)),
  );
  expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
    201,
    ...Array(14).fill(422),
  ]);
  expect(await Book.model.countDocuments()).toBe(1);
});

describe('a refusal is not kept, so that the same key works when its cause is gone', () => {
  test.each<[string, () => Promise<[string, object, () => Promise<unknown>]>]>([
    [
      'a reference to nothing',
      async () => {
        const author = new mongoose.Types.ObjectId();
        return ['/posts', { title: 'T', body: 'B', author: String(author) }, () => aUser({ _id: author })];
      },
    ],
    [
      'a value that another has',
      async () => {
        const tag = await aTag({ name: 'taken' });
        return ['/tags', { name: 'Taken' }, () => api.delete(`/tags/${tag._id}`)];
      },
    ],
    [
      'an operation of a batch that is refused',
      async () => {
        const { author, _id } = await aPost();
        const operations = [{ method: 'remove', resource: 'users', id: String(author) }];
        return ['/batch', { operations }, () => api.delete(`/posts/${_id}`)];
      },
    ],
    [
      'a document that is not there',
      async () => {
        const _id = new mongoose.Types.ObjectId();
        return [`/users/${_id}/transfer`, { to: String((await aUser())._id) }, () => aUser({ _id })];
      },
    ],
  ])('%s', async (_, arrange) => {
    const key = randomUUID();
    const [path, body, mend] = await arrange();
    const before = await records().countDocuments();
    const refused = await post(path, body, key);
    expect(refused.status).toBeGreaterThanOrEqual(400);
    expect(await records().countDocuments()).toBe(before);
    await mend();
    const done = await post(path, body, key);
    expect([done.status < 300, replayed(done)]).toEqual([true, null]);
    expect(await records().countDocuments()).toBe(before + 1);
  });

  test('a body that breaks a rule: the corrected one may have the same key', async () => {
    const key = randomUUID();
    expect((await post('/tags', { name: '' }, key)).status).toBe(422);
    expect((await post('/tags', { name: 'a' }, key)).status).toBe(201);
  });
});

test('a key belongs to the method and the path with which it was sent', async () => {
  const key = randomUUID();
  const [a, b] = [await aPost(), await aPost()];
  expect((await post('/tags', { name: 'a' }, key)).status).toBe(201);
  for (const path of ['/books', `/posts/${a._id}/publish`, `/posts/${b._id}/publish`]) {
    const answer = await post(path, path === '/books' ? dune : undefined, key);
    expect([answer.status < 300, replayed(answer)]).toEqual([true, null]);
  }
  expect(await Post.model.countDocuments({ status: 'published' })).toBe(2);
  const headers = { 'idempotency-key': key };
  for (const name of ['b', 'c']) {
    const { body } = await api.put(`/tags/${(await Tag.model.findOne())?._id}`, { name }, { headers });
    expect(body.name).toBe(name);
  }
});

describe('commands are done once', () => {
  test('publish answers as at the first time', async () => {
    const { _id } = await aPost({ title: 'Old' });
    const key = randomUUID();
    const first = await post(`/posts/${_id}/publish`, undefined, key);
    await api.patch(`/posts/${_id}`, { title: 'New' });
    const second = await post(`/posts/${_id}/publish`, undefined, key);
    expect([second.body, replayed(second)]).toEqual([first.body, 'true']);
    expect(second.body.title).toBe('Old');
  });

  test('transfer does not take what came later', async () => {
    const [from, to] = [await aUser(), await aUser()];
    await aPost({ author: from._id });
    const key = randomUUID();
    const send = () => post(`/users/${from._id}/transfer`, { to: String(to._id) }, key);
    expect((await send()).body).toEqual({ changed: 1 });
    await aPost({ author: from._id });
    expect((await send()).body).toEqual({ changed: 1 });
    expect(await Post.model.countDocuments({ author: from._id })).toBe(1);
  });

  test('merge answers 200 again though the tag is gone', async () => {
    const [from, into] = [await aTag(), await aTag()];
    const key = randomUUID();
    const send = () => post(`/tags/${from._id}/merge`, { into: String(into._id) }, key);
    expect(outcome(await send())).toMatchObject({ status: 200 });
    expect(outcome(await send())).toMatchObject({ status: 200, body: { id: String(into._id) } });
  });

  test('a batch gives the same ids', async () => {
    const key = randomUUID();
    const create = {
      method: 'create',
      resource: 'users',
      as: 'u',
      body: { name: 'U', email: 'u@example.org' },
    };
    const write = { method: 'create', resource: 'posts', body: { title: 'T', body: 'B', author: '$u' } };
    const answers = [];
    for (let i = 0; i < 3; i++)
      answers.push(outcome(await post('/batch', { operations: [create, write] }, key)));
    expect(answers[0]?.status).toBe(200);
    expect(answers.slice(1)).toEqual([answers[0], answers[0]]);
    expect([await User.model.countDocuments(users), await Post.model.countDocuments()]).toEqual([1, 1]);
  });
});

describe('the header', () => {
  test.each([
    ['empty', ''],
    ['of 256 characters', 'a'.repeat(256)],
    ['with a letter that is not ASCII', 'schlüssel'],
    ['with a tab', 'a\tb'],
  ])('is refused if it is %s', async (_, key) => {
    const { status, body } = await post('/books', dune, key);
    expect([status, body.code]).toEqual([422, 'validation_failed']);
    expect(body.errors).toMatchObject([
      { in: 'header', parameter: 'Idempotency-Key', code: 'invalid_format' },
    ]);
    expect(await Book.model.countDocuments()).toBe(0);
  });

  test.each(['a'.repeat(255 - 36), '"quoted"', ' ~!{}$where '])('may be %s', async (start) => {
    const key = `${start.trim()}${randomUUID()}`;
    const first = await post('/books', dune, key);
    expect([first.status, replayed(await post('/books', dune, key))]).toEqual([201, 'true']);
    // Keys that differ in the last character are different.
    expect(replayed(await post('/books', dune, `${key.slice(0, -1)}_`))).toBeNull();
  });
});

describe('the record', () => {
  test('is kept for 24 hours, and does not tell the key', async () => {
    const key = randomUUID();
    await records().deleteMany({});
    await post('/books', dune, key);
    await post('/books', dune, key);
    const [record, ...others] = await records().find().toArray();
    expect(others).toEqual([]);
    const hours = (Number(record?.['expireAt']) - Date.now()) / 3_600_000;
    expect(hours).toBeGreaterThan(23.9);
    expect(hours).toBeLessThanOrEqual(24);
    expect(JSON.stringify(record)).not.toContain(key);
    expect(await records().indexes()).toContainEqual(
      expect.objectContaining({ key: { expireAt: 1 }, expireAfterSeconds: 0 }),
    );
    // Once it is gone, the key is as good as new.
    await records().deleteMany({});
    expect(replayed(await post('/books', dune, key))).toBeNull();
    expect(await Book.model.countDocuments()).toBe(2);
  });

  test('and the write are one: of a transaction that fails after both, neither stays', async () => {
    const key = { id: randomUUID(), fingerprint: 'f' };
    const write = async () => {
      await aBook();
      await remember(key, { status: 201, headers: {}, body: '{}' });
      expect(await recall(key)).toMatchObject({ status: 201 });
    };
    const failing = transaction(async () => {
      await write();
      throw new Error('too late');
    });
    await expect(failing).rejects.toThrow('too late');
    expect([
      await records().countDocuments({ _id: key.id as any }),
      await Book.model.countDocuments(),
    ]).toEqual([0, 0]);
    await transaction(write);
    expect([
      await records().countDocuments({ _id: key.id as any }),
      await Book.model.countDocuments(),
    ]).toEqual([1, 1]);
  });
});
