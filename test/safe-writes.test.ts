import { randomUUID } from 'node:crypto';
import mongoose from 'mongoose';
import { DEMO_PASSWORD } from '../src/auth/passwords.ts';
import { AuditEntry } from '../src/http/audit.ts';
import { IDEMPOTENCY, recall, remember } from '../src/http/idempotency.ts';
import { sendCollected } from '../src/mongo/collected.ts';
import { transaction } from '../src/mongo/transaction.ts';
import { Book } from './sample/books/book.ts';
import { Post } from './sample/posts/post.ts';
import { Tag } from './sample/tags/tag.ts';
import { User } from '../src/resources/users/user.ts';
import { aCaller, users } from './support/callers.ts';
import { aBook, aPost, aTag, aUser } from './sample/factories.ts';
import { useApi, type Answer } from './support/harness.ts';
import { modelOf } from '../src/schema/model.ts';

const api = useApi();

const etagOf = async (path: string): Promise<string> => (await api.get(path)).headers.get('etag') as string;
const merge = { 'content-type': 'application/merge-patch+json' };
const jsonPatch = { 'content-type': 'application/json-patch+json' };

test('an item has a strong entity tag, the same until its content changes by whatever tool', async () => {
  const path = `/books/${(await aBook())._id}`;
  const etag = await etagOf(path);
  expect(etag).toMatch(/^"[\w-]{22}"$/);
  expect(await etagOf(path)).toBe(etag);
  await modelOf(Book).collection.updateOne({}, { $set: { year: 1 } });
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
    for (const wrong of ['"other"', `W/${etag}`]) {
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
  expect((await modelOf(Post).findById(post._id).lean())?.tags).toHaveLength(1);
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
  [[{ op: 'replace', path: '/authors/-', value: 'x' }], ['/0/path']],
  [[{ op: 'replace', path: '/authors/00', value: 'x' }], ['/0/path']],
  [[{ op: 'remove', path: '/authors/-' }], ['/0/path']],
  [[{ op: 'add', path: '/authors/2', value: 'x' }], ['/0/path']],
  [[{ op: 'add', path: '/authors/01', value: 'x' }], ['/0/path']],
  [[{ op: 'test', path: '/authors/1e0', value: 'x' }], ['/0/path']],
  [[{ op: 'move', from: '/authors', path: '/authors/0' }], ['/0/path']],
  [[{ op: 'replace', path: '/authors', value: ['A', ''] }], ['/0/value/1']],
  [[{ op: 'replace', path: '', value: { title: '' } }], ['/0/value/authors', '/0/value/title']],
  [[{ op: 'replace', path: '', value: 5 }], ['/0/value']],
  [[{ op: 'remove', path: '' }], ['/0/path']],
  [
    Array.from({ length: 40 }, () => ({ op: 'copy', from: '/authors', path: '/authors/0' })),
    [expect.stringMatching(/^\/\d+\/path$/)],
  ],
])('a JSON Patch with faults is refused, and the faults point into it: %j', async (patch, pointers) => {
  const book = await aBook();
  const { status, body } = await api.patch(`/books/${book._id}`, patch, { headers: jsonPatch });
  expect([status, body.errors.map(({ pointer }: { pointer: string }) => pointer).sort()]).toEqual([
    422,
    pointers,
  ]);
});

test('a JSON Patch may be empty, may have members that it does not define, and may be about the whole document', async () => {
  const path = `/books/${(await aBook({ authors: ['A'] }))._id}`;
  const patch = async (...operations: object[]) => {
    const { status, body } = await api.patch(path, operations, { headers: jsonPatch });
    return [status, body.title];
  };
  const { body: book } = await api.get(path);
  expect(await patch()).toEqual([200, book.title]);
  expect(await patch({ op: 'replace', path: '/title', value: 'New', comment: 'why', from: 5 })).toEqual([
    200,
    'New',
  ]);
  const { body: current } = await api.get(path);
  expect(await patch({ op: 'test', path: '', value: book })).toEqual([409, expect.any(String)]);
  const whole = { ...current, title: 'Whole' };
  expect(
    await patch({ op: 'test', path: '', value: current }, { op: 'replace', path: '', value: whole }),
  ).toEqual([200, 'Whole']);
  // What the new document lacks gets its default, and what cannot be written stays.
  expect(await patch({ op: 'add', path: '', value: { title: 'Least', authors: ['B'] } })).toEqual([
    200,
    'Least',
  ]);
  expect((await api.get(path)).body).toMatchObject({ id: book.id, createdAt: book.createdAt, year: null });
  expect(
    (await patch({ op: 'replace', path: '', value: { ...whole, id: '65f000000000000000000b0f' } }))[0],
  ).toBe(422);
});

test('null for a member that there is not changes nothing in a merge patch', async () => {
  const path = `/books/${(await aBook({ year: 1 }))._id}`;
  expect((await api.patch(path, { nothing: null, year: null }, { headers: merge })).body.year).toBeNull();
  const { status, body } = await api.patch(path, { titel: 'x', nothing: null }, { headers: merge });
  expect([status, body.errors]).toMatchObject([
    422,
    [{ pointer: '/titel', message: expect.stringMatching(/mean title/) }],
  ]);
});

test('what was read can be sent back by PUT; what cannot be written must be as it is', async () => {
  const { _id } = await aPost();
  const path = `/posts/${_id}`;
  const { body: post } = await api.get(path);
  const changed = await api.put(path, { ...post, title: 'Edited' });
  expect([changed.status, changed.body.title, changed.body.status]).toEqual([200, 'Edited', 'draft']);
  const { body: current } = await api.get(path);
  // A time says the same in whatever way it is written.
  const inParis = current.createdAt.replace(/T.*/, (time: string) => time.replace('Z', '+00:00'));
  expect((await api.put(path, { ...current, createdAt: inParis })).status).toBe(200);
  for (const [field, value, refused, code] of [
    ['id', '65f000000000000000000b0f', 422, 'read_only'],
    ['status', 'published', 403, 'not_writable'],
    ['publishedAt', '2026-01-01T00:00:00Z', 403, 'not_writable'],
    ['updatedAt', post.updatedAt, 422, 'read_only'],
  ]) {
    const { status, body } = await api.put(path, { ...current, title: 'Lost', [field]: value });
    expect([field, status, body.errors]).toMatchObject([field, refused, [{ pointer: `/${field}`, code }]]);
  }
  expect((await api.get(path)).body.title).toBe('Edited');
  // Nor does a POST take them, nor a replace in a batch that is not the same.
  expect((await api.post('/posts', current)).status).toBe(422);
  const operation = {
    method: 'replace',
    resource: 'posts',
    id: String(_id),
    body: { ...current, title: 'Batch' },
  };
  expect((await api.post('/batch', { operations: [operation] })).status).toBe(200);
  expect((await api.post('/batch', { operations: [operation] })).body.problem.errors).toMatchObject([
    { code: 'read_only' },
  ]);
});

test('a change that changes nothing leaves the time, the tag and the audit trail alone, by whatever method', async () => {
  const [tag, user] = [await aTag({ name: 'Same' }), await aUser()];
  const book = await aBook({ year: 1, tags: [tag._id] });
  const [post, path] = [await aPost({ tags: [tag._id], status: 'published' }), `/books/${book._id}`];
  const { body: before, headers } = await api.get(path);
  const entries = () => modelOf(AuditEntry).countDocuments();
  const known = await entries();
  const { id, createdAt, updatedAt, ...body } = before;
  const calls = [
    await api.put(path, body),
    await api.put(path, before),
    await api.patch(path, { year: 1, tags: [String(tag._id)] }),
    await api.patch(path, [{ op: 'replace', path: '/year', value: 1 }], { headers: jsonPatch }),
    await api.put(`${path}/tags/${tag._id}`),
    await api.delete(`${path}/tags/${(await aTag())._id}`),
    await api.post(`/posts/${post._id}/publish`),
    await api.put(`/users/${user._id}/role`, { role: 'member', currentPassword: DEMO_PASSWORD }),
    await api.post('/batch', {
      operations: [{ method: 'update', resource: 'books', id, body: { year: 1 } }],
    }),
  ];
  expect(calls.map(({ status }) => Math.floor(status / 100))).toEqual(calls.map(() => 2));
  const { body: after, headers: now } = await api.get(path);
  expect([after, now.get('etag'), await entries()]).toEqual([before, headers.get('etag'), known]);
  // A change of case is one, also where case does not count for what is equal.
  const { body: renamed } = await api.patch(`/tags/${tag._id}`, { name: 'SAME' });
  expect([renamed.name, renamed.updatedAt === tag.updatedAt.toISOString(), await entries()]).toEqual([
    'SAME',
    false,
    known + 1,
  ]);
});

test('a JSON Patch compares lists of any length at once, and leads nowhere without failing', async () => {
  const { _id } = await aBook();
  const patch = (...operations: object[]) =>
    api.patch(`/books/${_id}`, undefined, {
      raw: JSON.stringify(operations),
      headers: { 'content-type': 'application/json-patch+json' },
    });
  const list = (item: number) => Array.from({ length: 5_000 }, () => item);
  const start = performance.now();
  const compared = await patch(
    { op: 'add', path: '/authors', value: list(0) },
    { op: 'test', path: '/authors', value: list(1) },
  );
  expect([compared.status, compared.body.code]).toEqual([409, 'patch_test_failed']);
  expect(performance.now() - start).toBeLessThan(2_000);
  for (const path of ['/title/0', '/title/length', '/authors/push'])
    for (const op of ['add', 'remove', 'replace'])
      expect((await patch({ op, path, ...(op !== 'remove' && { value: 'x' }) })).status).toBe(422);
  // What is shown can be tested; what is not written cannot be changed.
  expect((await patch({ op: 'test', path: '/id', value: String(_id) })).status).toBe(200);
  const written = await patch({ op: 'replace', path: '/id', value: 'x' });
  expect(written.body.errors).toMatchObject([{ pointer: '/0/value', code: 'unknown_field' }]);
  const moved = await patch({ op: 'move', from: '/title', path: '/language' });
  expect(moved.body.errors[0].pointer).toBe('/0/path');
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
  const change = (fields: object) => modelOf(User).collection.updateOne({ _id: user._id }, { $set: fields });
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
  expect((await modelOf(Post).findById(post._id).lean())?.status).toBe('draft');
  expect((await modelOf(Tag).find().lean()).map(({ name }) => name).sort()).toEqual(
    ['later', tag.name].sort(),
  );
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

describe('Idempotency-Key', () => {
  const records = () => mongoose.connection.collection(IDEMPOTENCY);
  const dune = { title: 'Dune', authors: ['Frank Herbert'] };
  const post = (path: string, body: unknown, key: string) =>
    api.post(path, body, { headers: { 'idempotency-key': key } });
  const replayed = ({ headers }: Answer) => headers.get('idempotency-replayed');
  const outcome = ({ status, headers, body }: Answer) => ({
    status,
    location: headers.get('location'),
    body,
  });

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
    expect(await modelOf(Book).countDocuments()).toBe(0);
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
    expect(await modelOf(Book).countDocuments()).toBe(4);
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
    expect(await modelOf(Book).countDocuments()).toBe(1);
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
    expect((await modelOf(Book).countDocuments()) + (await modelOf(Tag).countDocuments())).toBe(1);
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
    expect(await modelOf(Book).countDocuments()).toBe(1);
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
    expect(await modelOf(Post).countDocuments({ status: 'published' })).toBe(2);
    const headers = { 'idempotency-key': key };
    for (const name of ['b', 'c']) {
      const { body } = await api.put(`/tags/${(await modelOf(Tag).findOne())?._id}`, { name }, { headers });
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
      expect(await modelOf(Post).countDocuments({ author: from._id })).toBe(1);
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
      expect([await modelOf(User).countDocuments(users), await modelOf(Post).countDocuments()]).toEqual([
        1, 1,
      ]);
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
      expect(await modelOf(Book).countDocuments()).toBe(0);
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
      expect(await modelOf(Book).countDocuments()).toBe(2);
    });

    test('and the write are one: of a transaction that fails after both, neither stays', async () => {
      const key = { id: randomUUID(), fingerprint: 'f' };
      const write = async () => {
        await aBook();
        remember(key, { status: 201, headers: {}, body: '{}' });
        await sendCollected();
        expect(await recall(key)).toMatchObject({ status: 201 });
      };
      const failing = transaction(async () => {
        await write();
        throw new Error('too late');
      });
      await expect(failing).rejects.toThrow('too late');
      expect([
        await records().countDocuments({ _id: key.id as any }),
        await modelOf(Book).countDocuments(),
      ]).toEqual([0, 0]);
      await transaction(write);
      expect([
        await records().countDocuments({ _id: key.id as any }),
        await modelOf(Book).countDocuments(),
      ]).toEqual([1, 1]);
    });
  });
});
