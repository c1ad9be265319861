import type { Types } from 'mongoose';
import { aUser, stored } from '../../../test/support/factories.ts';
import { useApi } from '../../../test/support/harness.ts';
import { modelOf } from '../../schema/model.ts';
import { Book } from '../books/book.ts';
import { Tag } from '../tags/tag.ts';
import { Post } from './post.ts';

const api = useApi();

let count = 0;
const aTag = () => stored(Tag, { name: `tag ${++count}` });
const aBook = () => stored(Book);
/** Its author, too, unless one is named. */
const aPost = async (overrides: { author?: Types.ObjectId; [field: string]: unknown } = {}) =>
  stored(Post, { ...overrides, author: overrides.author ?? (await aUser())._id });

const inDatabase = (id: unknown) => modelOf(Post).findById(id).lean();
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
  const found = await inDatabase(created.body.id);
  expect(found?.books.map(String)).toEqual(body.books);
  expect(found).toMatchObject({ status: 'draft', publishedAt: null });
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
  expect(await inDatabase(post._id)).toMatchObject({ title, status: 'published', publishedAt, tags: [] });
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
  for (const answer of [
    await api.post('/posts', body),
    await api.put(path, body),
    await api.patch(path, { [field]: value }),
    await operation({ method: 'create', body }),
    await operation({ method: 'replace', id, body }),
    await operation({ method: 'update', id, body: { [field]: value } }),
  ])
    expect(answer.body.problem ?? answer.body).toMatchObject({
      status: 403,
      errors: [{ in: 'body', pointer: `/${field}`, code: 'not_writable', message: 'is read-only' }],
    });
  expect(await modelOf(Post).find().lean()).toEqual([post.toObject()]);
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
    expect(await modelOf(Post).find().lean()).toEqual([post.toObject()]);
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
    expect(await modelOf(Post).distinct('status')).toEqual(['draft']);
  });
});

test('a tag that is merged is replaced in posts, never twice', async () => {
  const [from, into] = [await aTag(), await aTag()];
  const author = (await aUser())._id;
  for (const tags of [[from], [into, from], []]) await aPost({ author, tags: tags.map(({ _id }) => _id) });
  expect((await api.post(`/tags/${from._id}/merge`, { into: String(into._id) })).status).toBe(200);
  const tagged = await modelOf(Post).find().sort({ _id: 1 }).lean();
  expect(tagged.map(({ tags }) => tags.map(String))).toEqual([ids(into), ids(into), []]);
});

describe('transfer', () => {
  const authors = async () =>
    (await modelOf(Post).find().sort({ _id: 1 }).lean()).map(({ author }) => String(author));

  test('gives all posts of one user to another, who keeps his own; the first can be removed then', async () => {
    const [from, to, third] = [await aUser(), await aUser(), await aUser()];
    for (const { _id } of [from, to, from, third, from]) await aPost({ author: _id });
    expect((await api.delete(`/users/${from._id}`)).status).toBe(409);
    const { status, body } = await api.post(`/users/${from._id}/transfer`, { to: String(to._id) });
    expect([status, body]).toEqual([200, { changed: 3 }]);
    expect(await authors()).toEqual([to, to, to, third, to].map(({ _id }) => String(_id)));
    expect((await api.delete(`/users/${from._id}`)).status).toBe(204);
    expect((await api.post(`/users/${from._id}/transfer`, { to: String(to._id) })).status).toBe(404);
  });

  test('changes nothing where there is nothing', async () => {
    const [from, to] = [await aUser(), await aUser()];
    expect((await api.post(`/users/${from._id}/transfer`, { to: String(to._id) })).body).toEqual({
      changed: 0,
    });
  });

  test('to nobody, to oneself or to what is no id is refused, and changes nothing', async () => {
    const from = await aUser();
    await aPost({ author: from._id });
    for (const [to, code, fault] of [
      [unknownId, 'reference_not_found', 'reference_not_found'],
      [String(from._id), 'validation_failed', 'same_user'],
      [{ $ne: null }, 'validation_failed', 'invalid_type'],
    ] as const) {
      const { status, body } = await api.post(`/users/${from._id}/transfer`, { to });
      expect([status, body.code]).toEqual([422, code]);
      expect(body.errors).toMatchObject([{ in: 'body', pointer: '/to', code: fault }]);
    }
    expect(await authors()).toEqual([String(from._id)]);
  });

  test('from nobody is a 404', async () => {
    const to = await aUser();
    expect((await api.post(`/users/${unknownId}/transfer`, { to: String(to._id) })).status).toBe(404);
  });
});
