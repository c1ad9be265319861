import { describe, expect, test } from '@jest/globals';
import { Post, User } from '../src/resources/index.ts';
import { aCaller, admin, users } from './support/callers.ts';
import { aPost, aUser } from './support/factories.ts';
import { type Answer, useApi } from './support/harness.ts';

const api = useApi();

const ann = { name: 'Ann Reader', email: 'Ann@Example.org', bio: 'Reads at night.' };
const stored = (id: unknown) => User.model.findById(id).lean();
const password = 'a good long one';
const unknownId = '0123456789abcdef01234567';
/** What only the database has, and what must never stand in an answer. */
const secret = { email: 'secret@example.org', passwordHash: 'scrypt$secret', role: 'admin' as const };

test('a created user is stored with the e-mail as it was sent, as a member without a password', async () => {
  const created = await api.post('/users', ann);
  expect(created.status).toBe(201);
  const { id, createdAt } = created.body;
  expect(created.headers.get('location')).toBe(`/users/${id}`);
  expect(created.body).toEqual({ id, ...ann, role: 'member', createdAt, updatedAt: createdAt });
  expect((await api.get(`/users/${id}`)).body).toEqual(created.body);
  expect(await stored(id)).toMatchObject({ ...ann, role: 'member', passwordHash: null });
});

test('PUT replaces what a client may write and nothing else: role and password stay', async () => {
  const user = await aUser({ ...secret, bio: 'Old' });
  const { status, body } = await api.put(`/users/${user._id}`, { name: 'New', email: 'new@example.org' });
  expect(status).toBe(200);
  expect(body).toMatchObject({ name: 'New', bio: null, role: 'admin' });
  expect(await stored(user._id)).toMatchObject({
    name: 'New',
    email: 'new@example.org',
    bio: null,
    role: 'admin',
    passwordHash: secret.passwordHash,
  });
});

test('PATCH changes what it names, the e-mail too; DELETE removes', async () => {
  const user = await aUser({ ...secret, bio: 'Old' });
  const path = `/users/${user._id}`;
  const { status, body } = await api.patch(path, { email: 'new@example.org', bio: null });
  expect([status, body.name, body.bio]).toEqual([200, user.name, null]);
  expect(await stored(user._id)).toMatchObject({
    email: 'new@example.org',
    role: 'admin',
    passwordHash: secret.passwordHash,
  });
  expect((await api.delete(path)).status).toBe(204);
  for (const method of ['GET', 'DELETE']) expect((await api.call(method, path)).status).toBe(404);
  expect(await User.model.countDocuments(users)).toBe(0);
});

test.each<[string, (id: string, post: string, as: { as?: string }) => Promise<Answer>]>([
  ['create', (_id, _post, as) => api.post('/users', { ...ann, email: 'secret2@example.org', password }, as)],
  ['read', (id, _, as) => api.get(`/users/${id}?include=posts`, as)],
  ['read fields of', (id, _, as) => api.get(`/users/${id}?fields=email`, as)],
  ['replace', (id, _, as) => api.put(`/users/${id}`, { name: 'C', email: secret.email }, as)],
  ['update', (id, _, as) => api.patch(`/users/${id}`, { email: 'SECRET@example.org' }, as)],
  ['list', (_id, _post, as) => api.get('/users?include=posts', as)],
  ['list fields of', (_id, _post, as) => api.get('/users?fields=name,email', as)],
  ['list posts of', (id, _, as) => api.get(`/users/${id}/posts?include=author`, as)],
  ['include in a post', (_, post, as) => api.get(`/posts/${post}?include=author`, as)],
  ['include fields of', (_, post, as) => api.get(`/posts/${post}?include=author&fields=author.email`, as)],
  ['include in a list of posts', (_id, _post, as) => api.get('/posts?include=author,books.tags', as)],
  ['stream', (_id, _post, as) => api.get('/users', { ...as, headers: { accept: 'application/x-ndjson' } })],
  ['stream as CSV', (_id, _post, as) => api.get('/users', { ...as, headers: { accept: 'text/csv' } })],
  [
    'batch',
    (id, _, as) =>
      api.post(
        '/batch',
        {
          operations: [
            { method: 'create', resource: 'users', body: { name: 'D', email: 'secret3@example.org' } },
            { method: 'update', resource: 'users', id, body: { bio: 'x' } },
            { method: 'replace', resource: 'users', id, body: { name: 'E', email: secret.email } },
          ],
        },
        as,
      ),
  ],
  [
    'transfer',
    async (id, _, as) => api.post(`/users/${id}/transfer`, { to: String((await aUser())._id) }, as),
  ],
  ['a refusal of', (_id, _post, as) => api.post('/users', { name: 'F', email: secret.email, password }, as)],
  ['a refused removal of', (id, _, as) => api.delete(`/users/${id}`, as)],
])('%s: no password leaves, and no e-mail to another than oneself and admins', async (_, ask) => {
  const user = await aUser(secret);
  const post = await aPost({ author: user._id, status: 'published' });
  const [id, text] = [String(user._id), ({ body }: Answer) => JSON.stringify(body).toLowerCase()];
  for (const role of ['nobody', 'member', 'editor'] as const) {
    const answer = await ask(id, String(post._id), {
      as: role === 'nobody' ? '' : (await aCaller(role)).token,
    });
    expect([200, 201, 401, 403, 409, 422]).toContain(answer.status);
    expect(text(answer)).not.toMatch(/secret|passwordhash|argon2/);
    await User.model.deleteMany({ email: /^secret[23]/ });
  }
  const answer = await ask(id, String(post._id), {});
  expect([200, 201, 409]).toContain(answer.status);
  expect(text(answer)).not.toMatch(/scrypt|passwordhash|argon2/);
});

test('oneself and admins read the e-mail, where the user is included, too', async () => {
  const me = await aCaller('member');
  const post = await aPost({ author: me.id, status: 'published' });
  const { email } = (await stored(me.id)) as { email: string };
  const emailsIn = ({ body }: Answer) => JSON.stringify(body).match(/[\w.]+@[\w.]+/g);
  for (const as of [{ as: me.token }, {}])
    for (const path of [
      `/users/${me.id}`,
      `/users/${me.id}?fields=email`,
      `/posts/${post._id}?include=author`,
      '/posts?include=author&fields=author.email',
    ])
      expect([path, emailsIn(await api.get(path, as))]).toEqual([path, [email]]);
  await aUser(secret);
  expect(emailsIn(await api.get('/users', { as: me.token }))).toEqual([email]);
  expect(emailsIn(await api.get('/users'))).toHaveLength(3);
});

test.each([
  'email=secret@example.org',
  'email[gt]=a',
  'sort=email',
  'sort=-email',
  'passwordHash=x',
  'sort=passwordHash',
  'include=email',
  'fields=passwordHash',
])('GET /users?%s is refused: by what is not shown nobody can search', async (query) => {
  await aUser(secret);
  const { status, body } = await api.get(`/users?${query}`);
  expect(status).toBe(422);
  // Neither does a "did you mean" or a list of allowed values tell of it.
  expect(JSON.stringify(body.errors.map((fault: any) => fault.message))).not.toMatch(
    query.startsWith('fields') ? /passwordHash/ : /email|passwordHash/,
  );
});

test.each<[string, unknown]>([
  ['role', 'admin'],
  ['passwordHash', 'x'],
])('a client cannot write %s, by whatever way', async (field, value) => {
  const user = await aUser(secret);
  const other = { name: 'Ben', email: 'ben@example.org' };
  const operation = (rest: object) => api.post('/batch', { operations: [{ resource: 'users', ...rest }] });
  const [path, id, body] = [`/users/${user._id}`, String(user._id), { ...other, [field]: value }];
  for (const [answer, pointer] of [
    [await api.post('/users', body), `/${field}`],
    [await api.put(path, body), `/${field}`],
    [await api.patch(path, { [field]: value }), `/${field}`],
    [await operation({ method: 'create', body }), `/operations/0/body/${field}`],
    [await operation({ method: 'replace', id, body }), `/operations/0/body/${field}`],
    [await operation({ method: 'update', id, body: { [field]: value } }), `/operations/0/body/${field}`],
  ] as const) {
    expect([answer.status, answer.body.code]).toEqual([422, 'validation_failed']);
    expect(answer.body.errors).toMatchObject([{ in: 'body', pointer, code: 'unknown_field' }]);
  }
  expect(await User.model.find(users).lean()).toEqual([user.toObject()]);
});

test.each(['ann@example.org', 'ANN@EXAMPLE.ORG', 'aNN@eXAMPLE.oRG'])(
  'the e-mail %s is taken while there is Ann@Example.org; the answer does not repeat it',
  async (email) => {
    await aUser(ann);
    const other = await aUser();
    for (const { status, body } of [
      await api.post('/users', { name: 'B', email }),
      await api.put(`/users/${other._id}`, { name: 'B', email }),
      await api.patch(`/users/${other._id}`, { email }),
    ]) {
      expect([status, body.code]).toEqual([409, 'duplicate_key']);
      expect(body.errors).toMatchObject([{ in: 'body', pointer: '/email', code: 'duplicate' }]);
      expect(JSON.stringify(body).toLowerCase()).not.toContain('example.org');
    }
    expect(await User.model.countDocuments(users)).toBe(2);
    expect(await stored(other._id)).toEqual(other.toObject());
  },
);

test('of ten clients that take the same e-mail at once, one gets it', async () => {
  const emails = Array.from({ length: 10 }, (_, i) => (i % 2 ? 'race@example.org' : 'Race@example.org'));
  const answers = await Promise.all(emails.map((email) => api.post('/users', { name: 'R', email })));
  expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, ...Array(9).fill(409)]);
  expect(await User.model.countDocuments(users)).toBe(1);
});

test.each<[string, object, string, string]>([
  ['no e-mail', { email: undefined }, '/email', 'required'],
  ['an e-mail without @', { email: 'ann.example.org' }, '/email', 'invalid_format'],
  ['an e-mail with a line break', { email: 'ann@example.org\nBcc: x@y.org' }, '/email', 'invalid_format'],
  ['an e-mail that is an operator', { email: { $ne: null } }, '/email', 'invalid_type'],
  ['an e-mail that is null', { email: null }, '/email', 'invalid_type'],
  ['an e-mail of 255 characters', { email: `ann@${'a.'.repeat(124)}com` }, '/email', 'too_big'],
  ['a blank name', { name: ' ' }, '/name', 'blank'],
  ['a bio of 2,001 characters', { bio: 'a'.repeat(2001) }, '/bio', 'too_long'],
])('%s is refused', async (_, fault, pointer, code) => {
  const { status, body } = await api.post('/users', { ...ann, ...fault });
  expect([status, body.code]).toEqual([422, 'validation_failed']);
  expect(body.errors).toEqual([{ in: 'body', pointer, code, message: expect.any(String) }]);
  expect(await User.model.countDocuments(users)).toBe(0);
});

test('users are listed by name whatever its case, and by role', async () => {
  for (const [name, role] of [
    ['bea', 'member'],
    ['Cid', 'editor'],
    ['Abe', 'editor'],
  ])
    await aUser({ name, role });
  const names = async (query: string) =>
    (await api.get(`/users?${query}`)).body.items
      .map((user: any) => user.name)
      .filter((name: string) => name !== admin.name);
  expect(await names('sort=name')).toEqual(['Abe', 'bea', 'Cid']);
  expect(await names('sort=-name&role=editor')).toEqual(['Cid', 'Abe']);
  expect(await names('name=BEA')).toEqual(['bea']);
  expect((await api.get('/users?role=god')).status).toBe(422);
});

describe('transfer', () => {
  const authors = async () =>
    (await Post.model.find().sort({ _id: 1 }).lean()).map(({ author }) => String(author));

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
