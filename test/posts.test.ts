import { describe, expect, test } from '@jest/globals';
import { Book, Post, Tag } from '../src/resources/index.ts';
import type { AnyResource } from '../src/schema/resource.ts';
import { aBook, aPost, aTag, aUser } from './support/factories.ts';
import { useApi } from './support/harness.ts';

const api = useApi();

const stored = (id: unknown) => Post.model.findById(id).lean();
const unknownId = '0123456789abcdef01234567';
const ids = (...documents: { _id: unknown }[]) => documents.map(({ _id }) => String(_id));

/** A body that refers to documents of every kind, which are there. */
async function aBody() {
  const [author, books, tags] = [await aUser(), [await aBook(), await aBook()], [await aTag(), await aTag()]];
  return {
    title: 'Winter',
    body: 'A long walk.',
    author: String(author._id),
    books: ids(...books),
    tags: ids(...tags),
  };
}

test('a created post is a draft, stored as it was sent, and can be read where Location says', async () => {
  const body = await aBody();
  const created = await api.post('/posts', body);
  expect(created.status).toBe(201);
  expect(created.body).toMatchObject({ ...body, status: 'draft', publishedAt: null });
  expect((await api.get(created.headers.get('location') as string)).body).toEqual(created.body);
  const inDatabase = await stored(created.body.id);
  expect(ids(...(inDatabase?.books ?? []).map((_id) => ({ _id })))).toEqual(body.books);
  expect(inDatabase).toMatchObject({ status: 'draft', publishedAt: null });
});

test('books and tags may be left out, which makes them empty', async () => {
  const { title, body, author } = await aBody();
  const created = await api.post('/posts', { title, body, author });
  expect([created.status, created.body.books, created.body.tags]).toEqual([201, [], []]);
});

test('PUT replaces what a client may write: lists fall back to empty, status and publishedAt stay', async () => {
  const publishedAt = new Date('2026-01-31T12:00:00Z');
  const post = await aPost({ status: 'published', publishedAt, tags: [(await aTag())._id] });
  const { title, body, author } = await aBody();
  const replaced = await api.put(`/posts/${post._id}`, { title, body, author });
  expect(replaced.status).toBe(200);
  expect(replaced.body).toMatchObject({ title, author, books: [], tags: [], status: 'published' });
  expect(await stored(post._id)).toMatchObject({ title, status: 'published', publishedAt, tags: [] });
});

test('PATCH changes what it names and leaves the rest; DELETE removes', async () => {
  const { body: before } = await api.post('/posts', await aBody());
  const tag = await aTag();
  const { status, body } = await api.patch(`/posts/${before.id}`, { tags: ids(tag) });
  expect(status).toBe(200);
  expect(body).toEqual({ ...before, tags: ids(tag), updatedAt: body.updatedAt });
  expect((await api.delete(`/posts/${before.id}`)).status).toBe(204);
  for (const method of ['GET', 'DELETE'])
    expect((await api.call(method, `/posts/${before.id}`)).status).toBe(404);
});

test.each<[string, unknown]>([
  ['status', 'published'],
  ['publishedAt', '2026-01-31T12:00:00Z'],
])('a client cannot write %s, by whatever way', async (field, value) => {
  const post = await aPost();
  const [path, id, body] = [`/posts/${post._id}`, String(post._id), { ...(await aBody()), [field]: value }];
  const operation = (rest: object) => api.post('/batch', { operations: [{ resource: 'posts', ...rest }] });
  for (const [answer, pointer] of [
    [await api.post('/posts', body), `/${field}`],
    [await api.put(path, body), `/${field}`],
    [await api.patch(path, { [field]: value }), `/${field}`],
    [await operation({ method: 'create', body }), `/operations/0/body/${field}`],
    [await operation({ method: 'replace', id, body }), `/operations/0/body/${field}`],
    [await operation({ method: 'update', id, body: { [field]: value } }), `/operations/0/body/${field}`],
  ] as const) {
    expect([answer.status, answer.body.code]).toEqual([422, 'validation_failed']);
    expect(answer.body.errors).toMatchObject([{ in: 'body', pointer, code: 'unknown_field' }]);
  }
  expect(await Post.model.find().lean()).toEqual([post.toObject()]);
});

describe('a list of references', () => {
  test.each(['books', 'tags'] as const)('refuses a repeated id in %s and names the second', async (field) => {
    const body = await aBody();
    const [first, second] = body[field] as [string, string];
    const fault = { [field]: [first, second, first.toUpperCase()] };
    const post = await aPost();
    for (const answer of [
      await api.post('/posts', { ...body, ...fault }),
      await api.put(`/posts/${post._id}`, { ...body, ...fault }),
      await api.patch(`/posts/${post._id}`, fault),
    ]) {
      expect(answer.status).toBe(422);
      expect(answer.body.errors).toMatchObject([{ in: 'body', pointer: `/${field}/2`, code: 'repeated' }]);
    }
    expect(await Post.model.find().lean()).toEqual([post.toObject()]);
  });

  test('keeps the order of the body', async () => {
    const body = await aBody();
    const tags = body.tags.toReversed();
    const { body: created } = await api.post('/posts', { ...body, tags });
    expect(created.tags).toEqual(tags);
    expect((await api.patch(`/posts/${created.id}`, { tags: body.tags })).body.tags).toEqual(body.tags);
  });

  test.each<[string, unknown, string, string]>([
    ['21 ids', Array.from({ length: 21 }, (_, i) => i.toString(16).padStart(24, '0')), '/tags', 'too_big'],
    ['what is no id', [unknownId, 'abc'], '/tags/1', 'invalid_format'],
    ['a name of a batch', ['$name'], '/tags/0', 'invalid_format'],
    ['null', null, '/tags', 'invalid_type'],
    ['one id without a list', unknownId, '/tags', 'invalid_type'],
    ['an operator', { $each: [] }, '/tags', 'invalid_type'],
  ])('is refused for %s', async (_, tags, pointer, code) => {
    const { status, body } = await api.post('/posts', { ...(await aBody()), tags });
    expect([status, body.code]).toEqual([422, 'validation_failed']);
    expect(body.errors).toEqual([{ in: 'body', pointer, code, message: expect.any(String) }]);
  });
});

describe('publishing', () => {
  test('makes a draft a published post, once: a second call changes nothing', async () => {
    const post = await aPost();
    const first = await api.post(`/posts/${post._id}/publish`);
    expect([first.status, first.body.status]).toEqual([200, 'published']);
    const age = Date.now() - new Date(first.body.publishedAt).getTime();
    expect(age).toBeLessThan(10_000);
    expect(age).toBeGreaterThanOrEqual(0);
    const second = await api.post(`/posts/${post._id}/publish`);
    expect([second.status, second.body]).toEqual([200, first.body]);
    expect((await api.get(`/posts/${post._id}`)).body).toEqual(first.body);
  });

  test('of ten that publish at once, all get the same time', async () => {
    const post = await aPost();
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => api.post(`/posts/${post._id}/publish`)),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
    expect(new Set(answers.map(({ body }) => body.publishedAt)).size).toBe(1);
  });

  test('of nothing is a 404, and leaves other drafts alone', async () => {
    await aPost();
    expect((await api.post(`/posts/${unknownId}/publish`)).status).toBe(404);
    expect(await Post.model.distinct('status')).toEqual(['draft']);
  });
});

describe('merging tags', () => {
  const merge = (from: unknown, into: unknown) => api.post(`/tags/${String(from)}/merge`, { into });

  test('puts the other one in its place, never twice, in books and posts; the tag is gone, others stay', async () => {
    const [from, into, a, b] = [await aTag(), await aTag(), await aTag(), await aTag()];
    const lists = [
      [[from], [into]],
      [
        [a, from, b],
        [a, into, b],
      ],
      [
        [from, a, into],
        [a, into],
      ],
      [
        [into, b, from],
        [into, b],
      ],
      [[into], [into]],
      [
        [a, b],
        [a, b],
      ],
      [[], []],
    ] as const;
    const author = (await aUser())._id;
    for (const [tags] of lists) {
      await aPost({ author, tags: tags.map(({ _id }) => _id) });
      await aBook({ tags: tags.map(({ _id }) => _id) });
    }
    const { status, body } = await merge(from._id, String(into._id));
    expect([status, body.id, body.name]).toEqual([200, String(into._id), into.name]);
    for (const { model } of [Post, Book] as AnyResource[])
      expect((await model.find().sort({ _id: 1 }).lean()).map(({ tags }) => tags.map(String))).toEqual(
        lists.map(([, tags]) => ids(...tags)),
      );
    expect((await api.get(`/tags/${from._id}`)).status).toBe(404);
    expect(ids(...(await Tag.model.find().lean())).sort()).toEqual(ids(into, a, b).sort());
  });

  test('into itself, into nothing or into what is no id is refused, and nothing changes', async () => {
    const tag = await aTag();
    const book = await aBook({ tags: [tag._id] });
    for (const [into, code, fault] of [
      [String(tag._id), 'validation_failed', 'same_tag'],
      [unknownId, 'reference_not_found', 'reference_not_found'],
      ['tag', 'validation_failed', 'invalid_format'],
    ] as const) {
      const { status, body } = await merge(tag._id, into);
      expect([status, body.code]).toEqual([422, code]);
      expect(body.errors).toMatchObject([{ in: 'body', pointer: '/into', code: fault }]);
    }
    expect(await Book.model.find().lean()).toEqual([book.toObject()]);
    expect(await Tag.model.countDocuments()).toBe(1);
  });

  test('of nothing is a 404', async () => {
    expect((await merge(unknownId, String((await aTag())._id))).status).toBe(404);
  });

  test('of two that cross each other one wins, and no tag that is used is lost', async () => {
    const [a, b] = [await aTag(), await aTag()];
    const book = await aBook({ tags: [a._id, b._id] });
    const answers = await Promise.all([merge(a._id, String(b._id)), merge(b._id, String(a._id))]);
    const [won, lost] = answers.map(({ status }) => status).toSorted((a, b) => a - b);
    expect(won).toBe(200);
    expect([404, 422]).toContain(lost);
    const [left] = await Tag.model.find().lean();
    expect(await Tag.model.countDocuments()).toBe(1);
    expect((await Book.model.findById(book._id).lean())?.tags).toEqual([left?._id]);
  });
});
