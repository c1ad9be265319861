import { expect, test } from '@jest/globals';
import { Book, Post, Tag, User } from '../src/resources/index.ts';
import { aCaller } from './support/callers.ts';
import { aBook, aPost, aTag, aUser } from './support/factories.ts';
import { useApi } from './support/harness.ts';

const api = useApi();

const etagOf = async (path: string): Promise<string> => (await api.get(path)).headers.get('etag') as string;
const merge = { 'content-type': 'application/merge-patch+json' };
const jsonPatch = { 'content-type': 'application/json-patch+json' };

test('an item has a strong entity tag, the same until its content changes by whatever tool', async () => {
  const path = `/books/${(await aBook())._id}`;
  const etag = await etagOf(path);
  expect(etag).toMatch(/^"[\w-]{22}"$/);
  expect(await etagOf(path)).toBe(etag);
  await Book.model.collection.updateOne({}, { $set: { year: 1 } });
  expect(await etagOf(path)).not.toBe(etag);
});

test('a created, replaced or patched item answers the tag that a read gives', async () => {
  const body = { title: 'Dune', authors: ['Frank Herbert'] };
  const created = await api.post('/books', body);
  const path = created.headers.get('location') as string;
  expect(await etagOf(path)).toBe(created.headers.get('etag'));
  for (const written of [await api.put(path, { ...body, year: 1965 }), await api.patch(path, { year: null })])
    expect(written.headers.get('etag')).not.toBe(created.headers.get('etag'));
  expect(await etagOf(path)).toBe((await api.patch(path, {})).headers.get('etag'));
});

test('who has the version already is answered 304 without a body, also on HEAD and lists', async () => {
  const path = `/books/${(await aBook())._id}`;
  for (const url of [path, '/books', `${path}?fields=title`]) {
    const etag = await etagOf(url);
    if (url !== path) expect(etag).toMatch(/^W\//);
    for (const [method, known, status] of [
      ['GET', etag, 304],
      ['HEAD', etag, 304],
      ['GET', `"other", ${etag}`, 304],
      ['GET', '*', 304],
      ['GET', '"other"', 200],
    ] as const) {
      const answer = await api.call(method, url, { headers: { 'if-none-match': known } });
      expect([url, method, known, answer.status]).toEqual([url, method, known, status]);
      expect(answer.headers.get('etag')).toBe(etag);
      if (status === 304) expect(answer.body).toBeUndefined();
    }
  }
});

test.each(['PUT', 'PATCH', 'DELETE'])(
  '%s of another version than If-Match names is refused with the current tag',
  async (method) => {
    const book = await aBook({ title: 'Mine' });
    const path = `/books/${book._id}`;
    const body = method === 'DELETE' ? undefined : { title: 'Yours', authors: ['A'] };
    const etag = await etagOf(path);
    for (const wrong of ['"other"', `W/${etag}`, 'garbage']) {
      const refused = await api.call(method, path, { body, headers: { 'if-match': wrong } });
      expect([wrong, refused.status, refused.body.code]).toEqual([wrong, 412, 'precondition_failed']);
      expect(refused.headers.get('etag')).toBe(etag);
    }
    expect((await api.get(path)).body.title).toBe('Mine');
    const done = await api.call(method, path, { body, headers: { 'if-match': `"other", ${etag}` } });
    expect(done.status).toBe(method === 'DELETE' ? 204 : 200);
    expect(
      (await api.call(method, `/books/65f000000000000000000b0f`, { body, headers: { 'if-match': '*' } }))
        .status,
    ).toBe(404);
  },
);

test('16 clients that read, add one and write by If-Match lose no increment', async () => {
  const path = `/books/${(await aBook({ year: 0 }))._id}`;
  const increment = async (): Promise<void> => {
    for (;;) {
      const { headers, body } = await api.get(path);
      const { status } = await api.patch(
        path,
        { year: body.year + 1 },
        { headers: { 'if-match': headers.get('etag') as string } },
      );
      if (status === 200) return;
      expect(status).toBe(412);
    }
  };
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      await increment();
    }),
  );
  expect((await api.get(path)).body.year).toBe(16);
});

test('an operation of a batch may name the version that it is about', async () => {
  const tag = await aTag();
  const etag = await etagOf(`/tags/${tag._id}`);
  const operations = (ifMatch: string) => ({
    operations: [
      { method: 'update', resource: 'tags', id: String(tag._id), ifMatch, body: { description: 'new' } },
    ],
  });
  const refused = await api.post('/batch', operations('"other"'));
  expect([refused.status, refused.body.problem.code]).toEqual([422, 'precondition_failed']);
  expect((await api.post('/batch', operations(etag))).status).toBe(200);
});

test('a link is added only to the version that If-Match names', async () => {
  const [post, tag] = [await aPost(), await aTag()];
  const path = `/posts/${post._id}/tags/${tag._id}`;
  expect((await api.put(path, undefined, { headers: { 'if-match': '"other"' } })).status).toBe(412);
  expect(
    (await api.put(path, undefined, { headers: { 'if-match': await etagOf(`/posts/${post._id}`) } })).status,
  ).toBe(204);
  expect((await api.delete(path, { headers: { 'if-match': '"other"' } })).status).toBe(412);
  expect((await Post.model.findById(post._id).lean())?.tags).toHaveLength(1);
});

test('a JSON Patch changes what it names, in order, all or nothing', async () => {
  const book = await aBook({ title: 'Old', authors: ['A', 'B'], year: 1900 });
  const path = `/books/${book._id}`;
  const patch = [
    { op: 'test', path: '/year', value: 1900 },
    { op: 'replace', path: '/title', value: 'New' },
    { op: 'add', path: '/authors/0', value: 'C' },
    { op: 'remove', path: '/authors/1' },
    { op: 'move', from: '/authors/0', path: '/authors/-' },
    { op: 'remove', path: '/year' },
  ];
  const { status, body } = await api.patch(path, patch, { headers: jsonPatch });
  expect([status, body.title, body.authors, body.year]).toEqual([200, 'New', ['B', 'C'], null]);

  const failed = await api.patch(
    path,
    [
      { op: 'replace', path: '/title', value: 'X' },
      { op: 'test', path: '/year', value: 1 },
    ],
    { headers: jsonPatch },
  );
  expect([failed.status, failed.body.code, failed.body.errors[0].pointer]).toEqual([
    409,
    'patch_test_failed',
    '/1',
  ]);
  expect((await api.get(path)).body.title).toBe('New');
});

test.each([
  [
    [
      { op: 'remove', path: '/title' },
      { op: 'replace', path: '/year', value: 'x' },
      { op: 'add', path: '/role', value: 1 },
    ],
    ['/0/path', '/1/value', '/2/value'],
  ],
  [[{ op: 'replace', path: '/authors/7', value: 'x' }], ['/0/path']],
  [[{ op: 'add', path: '/authors/-', value: '' }], ['/0/value']],
  [[{ op: 'add', path: '/__proto__/polluted', value: 1 }], ['/0/path']],
  [
    [
      { op: 'add', path: 'title', value: 'x' },
      { op: 'jump', path: '/title' },
      { op: 'add', path: '/title' },
    ],
    ['/0/path', '/1/op', '/2/value'],
  ],
  [
    Array.from({ length: 40 }, () => ({ op: 'copy', from: '/authors', path: '/authors/0' })),
    [expect.stringMatching(/^\/\d+\/path$/)],
  ],
  [[], ['']],
])('a JSON Patch with faults is refused, and the faults point into it: %j', async (patch, pointers) => {
  const book = await aBook();
  const { status, body } = await api.patch(`/books/${book._id}`, patch, { headers: jsonPatch });
  expect([status, body.errors.map(({ pointer }: { pointer: string }) => pointer).sort()]).toEqual([
    422,
    pointers,
  ]);
});

test('a JSON Patch cannot find out what no answer shows', async () => {
  const user = await aUser({ email: 'secret@example.org', passwordHash: 'secret' });
  const outcome = async (path: string, value: string, as?: string) => {
    const { status, body } = await api.patch(`/users/${user._id}`, [{ op: 'test', path, value }], {
      headers: jsonPatch,
      ...(as && { as }),
    });
    return [status, body.code];
  };
  const { token } = await aCaller('editor');
  for (const value of ['secret@example.org', 'wrong@example.org'])
    expect([value, await outcome('/email', value, token)]).toEqual([value, [403, 'forbidden']]);
  for (const value of ['secret', 'wrong'])
    expect(await outcome('/passwordHash', value)).toEqual(await outcome('/nothing', value));
  // Who may read it may test it.
  expect(await outcome('/email', 'secret@example.org')).toEqual([200, undefined]);
  expect(await outcome('/email', 'wrong@example.org')).toEqual([409, 'patch_test_failed']);
});

test('an entity tag depends on nothing that the caller may not see', async () => {
  const user = await aUser();
  const tags = async (as?: string) => {
    const { headers } = await api.get(`/users/${user._id}`, as === undefined ? {} : { as });
    return headers.get('etag');
  };
  const [open, whole] = [await tags(''), await tags()];
  expect(open).not.toBe(whole);
  const change = (fields: object) => User.model.collection.updateOne({ _id: user._id }, { $set: fields });
  await change({ passwordHash: 'other' });
  expect([await tags(''), await tags()]).toEqual([open, whole]);
  await change({ email: 'other@example.org' });
  expect(await tags('')).toBe(open);
  expect(await tags()).not.toBe(whole);
});

test('Prefer: return=minimal answers without the document, and says so', async () => {
  const prefer = { prefer: 'return=minimal' };
  const created = await api.post('/tags', { name: 'a' }, { headers: prefer });
  expect([created.status, created.body, created.headers.get('preference-applied')]).toEqual([
    201,
    undefined,
    'return=minimal',
  ]);
  const path = created.headers.get('location') as string;
  const changed = await api.patch(path, { name: 'b' }, { headers: { ...merge, ...prefer } });
  expect([changed.status, changed.body, changed.headers.get('etag')]).toEqual([
    204,
    undefined,
    await etagOf(path),
  ]);
  const full = await api.patch(
    path,
    { name: 'c' },
    { headers: { prefer: 'respond-async, return=representation' } },
  );
  expect([full.status, full.body.name, full.headers.get('preference-applied')]).toEqual([
    200,
    'c',
    'return=representation',
  ]);
});

test('dryRun answers as if and writes nothing, also where it would be refused', async () => {
  const [tag, post] = [await aTag(), await aPost()];
  expect((await api.post('/tags?dryRun=true', { name: 'new' })).status).toBe(201);
  expect((await api.post('/tags?dryRun=true', { name: tag.name })).status).toBe(409);
  expect((await api.delete(`/tags/${tag._id}?dryRun=true`)).status).toBe(204);
  expect((await api.delete(`/users/${String(post.author)}?dryRun=true`)).body.code).toBe('still_referenced');
  expect(
    (await api.patch(`/posts/${post._id}?dryRun=true`, { tags: ['65f000000000000000000a0f'] })).body.code,
  ).toBe('reference_not_found');
  expect((await api.post(`/posts/${post._id}/publish?dryRun=true`)).body.status).toBe('published');
  const twice = { headers: { 'idempotency-key': 'dry' } };
  await api.post('/tags?dryRun=true', { name: 'later' }, twice);
  expect((await api.post('/tags', { name: 'later' }, twice)).headers.get('idempotency-replayed')).toBeNull();
  expect((await Post.model.findById(post._id).lean())?.status).toBe('draft');
  expect((await Tag.model.find().lean()).map(({ name }) => name).sort()).toEqual(['later', tag.name].sort());
});

test('OPTIONS says which methods and patches there are', async () => {
  const { headers } = await api.call('OPTIONS', '/books/65f000000000000000000b01');
  expect(headers.get('allow')).toBe('HEAD, GET, PUT, PATCH, DELETE');
  expect(headers.get('accept-patch')).toContain('application/json-patch+json');
  const refused = await api.patch('/books/65f000000000000000000b01', '<a/>', {
    headers: { 'content-type': 'text/xml' },
  });
  expect([refused.status, refused.headers.get('accept-patch')]).toEqual([
    415,
    expect.stringContaining('merge-patch'),
  ]);
});
