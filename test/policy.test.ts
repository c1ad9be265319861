import { randomUUID } from 'node:crypto';
import mongoose, { Types } from 'mongoose';
import { pino } from 'pino';
import { allRoutes, createApp, describeApi } from '../src/app.ts';
import { ANONYMOUS, caller, runAs } from '../src/auth/caller.ts';
import { DEMO_PASSWORD, hashPassword } from '../src/auth/passwords.ts';
import { digestOf } from '../src/auth/tokens.ts';
import { IDEMPOTENCY } from '../src/http/idempotency.ts';
import { ApiKey } from '../src/resources/keys/key.ts';
import { Post } from './sample/posts/post.ts';
import { User } from '../src/resources/users/user.ts';
import { resources, routes } from '../src/resources/api.ts';
import { read } from '../src/schema/store.ts';
import { aCaller, CREDENTIALS, TOKEN_KEYS } from './support/callers.ts';
import { aBook, aPost, aTag, aUser } from './sample/factories.ts';
import { inPlace, useApi } from './support/harness.ts';
import { modelOf } from '../src/schema/model.ts';

const log: string[] = [];
const api = useApi({ logger: pino({ level: 'trace' }, { write: (line) => void log.push(line) }) });

const document = inPlace(describeApi({ resources, routes }));

/** A key of a user, for these scopes. */
async function aKey(user: Types.ObjectId, scopes: string[]): Promise<string> {
  const secret = randomUUID();
  const expiresAt = new Date(Date.now() + 60_000);
  const { _id } = await modelOf(ApiKey).create({
    user,
    name: 'k',
    scopes,
    digest: digestOf(secret),
    expiresAt,
  });
  return `sk_${_id.toHexString()}_${secret}`;
}

// Every cell of operations and callers is in registered/policy.test.ts; this says what must not slip.
test('commands about accounts, the audit trail and what moves documents of others are for admins', () => {
  const forAdmins = allRoutes({ resources, routes }).filter(({ policy }) => policy.role === 'admin');
  expect(forAdmins.map(({ operationId }) => operationId)).toEqual(
    expect.arrayContaining([
      'removeUser',
      'setRole',
      'setEmail',
      'lockUser',
      'unlockUser',
      'endAccess',
      'listAudit',
      'exportAudit',
      'transferPosts',
    ]),
  );
});

test('a route that does not say who may call it is refused at start', () => {
  const [route] = routes;
  const nameless = { ...route, policy: undefined } as any;
  expect(() =>
    createApp({ resources, routes: [nameless], logger: pino({ level: 'silent' }), rateLimit: 1 }),
  ).toThrow(/has no policy/);
});

test('outside of any request nobody is calling, and nothing is read', async () => {
  const post = await aPost({ status: 'published' });
  expect(() => caller()).toThrow('inside runAs()');
  await expect(read(Post, post._id)).rejects.toThrow('inside runAs()');
  expect(await runAs(ANONYMOUS, () => read(Post, post._id))).toMatchObject({ title: post.title });
});

describe('a draft', () => {
  /** Of Ann, with a book and a tag, beside a post of hers that everybody may see. */
  async function aDraft() {
    const [ann, theo, editor] = [await aCaller('member'), await aCaller('member'), await aCaller('editor')];
    const [book, tag] = [await aBook({ title: 'B' }), await aTag()];
    const both = { author: ann.id, books: [book._id], tags: [tag._id] };
    const draft = await aPost({ ...both, title: 'hidden words' });
    const post = await aPost({ ...both, title: 'open words', status: 'published' });
    return { ann, theo, editor, book, tag, draft, post };
  }

  test('is seen by its author and by editors, and by nobody else, wherever posts are read', async () => {
    const { ann, theo, editor, book, tag, draft } = await aDraft();
    const key = await aKey(ann.id, ['users:read', 'books:read', 'tags:read']);
    const places: [string][] = [
      ['/posts'],
      ['/posts?count=exact'],
      ['/posts?q=words'],
      ['/posts?q=hidden'],
      ['/posts?status=draft'],
      ['/posts?status[ne]=published'],
      ['/posts?title=hidden%20words'],
      ['/posts?title[contains]=hidden&sort=title'],
      [`/posts?author=${ann.id}&fields=title`],
      ['/posts?sort=-publishedAt&offset=0'],
      [`/users/${ann.id}/posts`],
      [`/books/${book._id}/posts`],
      [`/tags/${tag._id}/posts?count=capped`],
      [`/users/${ann.id}?include=posts`],
      [`/books/${book._id}?include=posts`],
      [`/tags/${tag._id}?include=posts&fields=posts.title`],
      ['/users?include=posts'],
      ['/books?include=posts'],
      ['/tags?include=posts'],
      [`/posts/${draft._id}`],
      [`/posts/${draft._id}?include=author&fields=title,author.name`],
      ['/posts/export'],
      ['/posts/export?fields=title&format=csv'],
      ['/books/export?include=posts'],
      ['/users/export?include=posts&format=csv'],
    ];
    for (const [path] of places) {
      for (const as of [ann.token, editor.token]) {
        const answer = await api.get(path, { as });
        expect([path, answer.status, /hidden/.test(JSON.stringify(answer.body))]).toEqual([path, 200, true]);
      }
      for (const as of ['', theo.token, ...(path.includes('include=posts') ? [key] : [])]) {
        const { status, body } = await api.get(path, { as });
        expect([path, status]).toEqual([path, path.includes(String(draft._id)) ? 404 : 200]);
        expect([path, JSON.stringify(body)]).toEqual([path, expect.not.stringMatching(/hidden words/)]);
        if (status === 200) expect(JSON.stringify(body)).not.toContain(String(draft._id));
      }
    }
    const total = async (as: string) => (await api.get('/posts?count=exact', { as })).body.page.total;
    expect([await total(''), await total(theo.token), await total(ann.token)]).toEqual([1, 1, 2]);
  });

  test('cannot be told from nothing by who may not see it, whatever he does', async () => {
    const { theo, book, tag, draft } = await aDraft();
    const tries = async (id: string, as: string) => {
      const etag = { 'if-none-match': '*', 'if-match': '*' };
      const answers = [
        await api.get(`/posts/${id}`, { as, headers: etag }),
        await api.call('HEAD', `/posts/${id}`, { as }),
        await api.put(`/posts/${id}`, { title: 'T', body: 'B', author: String(theo.id) }, { as }),
        await api.patch(`/posts/${id}`, { title: 'T' }, { as, headers: etag }),
        await api.patch(`/posts/${id}`, {}, { as }),
        await api.patch(`/posts/${id}`, { author: String(theo.id) }, { as }),
        await api.patch(`/posts/${id}`, [{ op: 'test', path: '/title', value: 'x' }], {
          as,
          headers: { 'content-type': 'application/json-patch+json' },
        }),
        await api.delete(`/posts/${id}`, { as, headers: { 'if-match': '"x"' } }),
        await api.delete(`/posts/${id}`, { as }),
        await api.put(`/posts/${id}/tags/${tag._id}`, undefined, { as }),
        await api.delete(`/posts/${id}/books/${book._id}`, { as }),
        await api.post(`/posts/${id}/publish`, undefined, { as }),
        await api.post('/batch', { operations: [{ method: 'remove', resource: 'posts', id }] }, { as }),
      ];
      return answers.map(({ status, body }) => [status, body?.code, body?.detail, body?.problem?.code]);
    };
    const nobody = String(new Types.ObjectId());
    for (const as of [theo.token, ''])
      expect(await tries(String(draft._id), as)).toEqual(await tries(nobody, as));
    expect(await modelOf(Post).findById(draft._id).lean()).toEqual(draft.toObject());
  });

  test('stays where it belongs when two callers stream at once', async () => {
    const ann = await aCaller('member');
    await modelOf(Post).insertMany(
      Array.from({ length: 1_500 }, (_, i) => ({
        ...Post.defaults,
        title: `${i}`,
        body: 'B'.repeat(500),
        author: ann.id,
        status: i % 2 === 0 ? 'published' : 'draft',
      })) as any,
    );
    const stream = async (as: string) => {
      const answer = await api.get('/posts/export?include=author', { as });
      const lines: any[] = answer.body
        .trim()
        .split('\n')
        .map((line: string) => JSON.parse(line));
      const emails = lines.filter(({ author }) => author.email !== undefined);
      return [lines.length, emails.length];
    };
    expect(await Promise.all(['', ann.token, '', ann.token].map(stream))).toEqual([
      [750, 0],
      [1_500, 1_500],
      [750, 0],
      [1_500, 1_500],
    ]);
  });
});

describe('a post', () => {
  test('can be written by a member in his own name only, and not be handed to another', async () => {
    const [ann, theo] = [await aCaller('member'), await aCaller('member')];
    const body = { title: 'T', body: 'B', author: String(theo.id) };
    const mine = await aPost({ author: ann.id });
    const [path, as] = [`/posts/${mine._id}`, { as: ann.token }];
    for (const answer of [
      await api.post('/posts', body, as),
      await api.put(path, body, as),
      await api.patch(path, { author: String(theo.id) }, as),
      await api.patch(path, [{ op: 'replace', path: '/author', value: String(theo.id) }], {
        ...as,
        headers: { 'content-type': 'application/json-patch+json' },
      }),
    ]) {
      expect([answer.status, answer.body.code]).toEqual([403, 'forbidden']);
      expect(answer.body.errors).toMatchObject([
        { pointer: expect.stringMatching(/^.(author|0.value)$/), code: 'not_yourself' },
      ]);
    }
    const operations = [{ method: 'create', resource: 'posts', body }];
    expect((await api.post('/batch', { operations }, as)).body.problem.code).toBe('forbidden');
    expect(await modelOf(Post).countDocuments({ author: theo.id })).toBe(0);
    const editor = await aCaller('editor');
    expect((await api.patch(path, { author: String(theo.id) }, { as: editor.token })).status).toBe(200);
    expect((await api.get(path, as)).status).toBe(404);
  });

  test('of another that is published can be seen but not changed', async () => {
    const [theo, tag] = [await aCaller('member'), await aTag()];
    const post = await aPost({ status: 'published' });
    const [path, as] = [`/posts/${post._id}`, { as: theo.token }];
    for (const answer of [
      await api.patch(path, { title: 'T' }, as),
      await api.patch(path, {}, as),
      await api.patch(path, { tags: [String(tag._id)] }, { ...as, headers: { 'if-match': '"x"' } }),
      await api.delete(path, as),
      await api.put(`${path}/tags/${tag._id}`, undefined, as),
      await api.delete(`${path}/tags/${tag._id}`, as),
      await api.post(`${path}/publish`, undefined, as),
    ])
      expect([answer.status, answer.body.code]).toEqual([403, 'forbidden']);
    expect(await modelOf(Post).findById(post._id).lean()).toEqual(post.toObject());
  });
});

test('a member changes himself, as far as that is his: neither his role nor another', async () => {
  const [ann, theo] = [await aCaller('member'), await aUser()];
  const as = { as: ann.token };
  expect((await api.patch(`/users/${ann.id}`, { bio: 'new' }, as)).body.bio).toBe('new');
  expect((await api.patch(`/users/${ann.id}`, { role: 'admin' }, as)).status).toBe(403);
  expect(
    (await api.put(`/users/${ann.id}/role`, { role: 'admin', currentPassword: DEMO_PASSWORD }, as)).status,
  ).toBe(403);
  expect((await api.patch(`/users/${theo._id}`, { bio: 'new' }, as)).status).toBe(403);
  const operations = [{ method: 'update', resource: 'users', id: String(theo._id), body: { bio: 'x' } }];
  expect((await api.post('/batch', { operations }, as)).body.problem.code).toBe('forbidden');
  expect((await modelOf(User).findById(theo._id).lean())?.bio).toBeNull();
  await aPost({ author: ann.id });
  // Its owner removes an account by DELETE /me.
  expect((await api.delete(`/users/${ann.id}`, as)).status).toBe(403);
});

test('roles are shown to oneself and to admins, and nobody else finds or sorts users by them', async () => {
  const [ann, admin] = [await aCaller('member'), await aCaller('admin')];
  const roleIn = async (path: string, as: string) => (await api.get(path, { as })).body.role;
  const path = `/users/${ann.id}`;
  expect(await Promise.all(['', ann.token, admin.token].map((as) => roleIn(path, as)))).toEqual([
    undefined,
    'member',
    'member',
  ]);
  for (const query of ['role=admin', 'role[ne]=member', 'role[in]=admin,editor', 'role=admin&name=x'])
    for (const as of ['', ann.token]) {
      const { status, body } = await api.get(`/users?${query}`, { as });
      const [parameter] = query.split('=');
      expect([status, body.errors]).toMatchObject([403, [{ in: 'query', parameter, code: 'not_readable' }]]);
      expect((await api.get(`/users/export?${query}`, { as })).status).toBe(403);
    }
  const found = await api.get('/users?role=admin', { as: admin.token });
  expect(found.body.items.map(({ id }: { id: string }) => id)).toContain(String(admin.id));
});

test('an Idempotency-Key is good for the one who sent it: nobody gets the answer of another', async () => {
  const [ann, theo] = [await aCaller('editor'), await aCaller('editor')];
  const headers = { 'idempotency-key': randomUUID() };
  const send = (as: string) => api.post('/tags?', { name: `of ${as.slice(-9)}` }, { as, headers });
  const first = await send(ann.token);
  expect((await send(ann.token)).headers.get('idempotency-replayed')).toBe('true');
  const other = await send(theo.token);
  expect([other.status, other.headers.get('idempotency-replayed')]).toEqual([201, null]);
  expect(other.body.id).not.toBe(first.body.id);
});

test('nothing secret stands in logs, answers, the OpenAPI document or what is kept', async () => {
  log.length = 0;
  const password = 'the dispossessed of urras';
  const passwordHash = await hashPassword(password);
  const user = await aUser({ passwordHash, role: 'editor' });
  const form = (path: string, fields: Record<string, string>) =>
    api.call('POST', path, {
      as: '',
      raw: new URLSearchParams(fields).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
  const login = { grant_type: 'password', username: user.email, password };
  const { body: tokens } = await form('/auth/token', login);
  const as = { as: tokens.access_token };
  const { body: next } = await form('/auth/token', {
    grant_type: 'refresh_token',
    refresh_token: tokens.refresh_token,
  });
  const { body: key } = await api.post(
    '/me/keys',
    { currentPassword: password, name: 'k', scopes: ['users:write'] },
    as,
  );
  const idempotent = { headers: { 'idempotency-key': randomUUID() } };
  const registration = { name: 'N', email: 'new@example.org', password };
  const answers = [
    await api.get('/me', as),
    await api.get('/me/keys', as),
    await api.get('/users/' + user._id),
    await api.get('/users?include=posts'),
    await api.get('/users/export?format=csv'),
    await api.get('/audit'),
    await api.post('/users', registration, idempotent),
    await api.post(
      '/users',
      { ...registration, password: 'the dispossessed' },
      { headers: { 'x-a': password } },
    ),
    await api.post('/users', {
      ...registration,
      passwordHash,
      extra: password,
      password: password.slice(0, 9),
    }),
    await form('/auth/token', { ...login, username: 'wrong@example.org' }),
    await form('/auth/token', { ...login, grant_type: password }),
    await form('/auth/revoke', { token: next.refresh_token }),
    await api.get('/me', as),
    await api.get('/me', { as: `${tokens.access_token}x` }),
    await api.get('/me', { as: key.secret.slice(0, -1) }),
    await api.put('/me/password', { currentPassword: 'x', newPassword: password }, { as: key.secret }),
  ];
  const secrets = [
    password,
    encodeURIComponent(password),
    password.replaceAll(' ', '+'),
    passwordHash,
    '$argon2',
    'passwordHash":',
    tokens.access_token,
    tokens.access_token.split('.')[2],
    ...[tokens, next].map(({ refresh_token }) => refresh_token.split('.')[1]),
    key.secret.slice(`sk_${key.id}_`.length),
    CREDENTIALS.split('.')[2],
    'PRIVATE KEY',
    TOKEN_KEYS.split('\n')[1],
  ] as string[];
  const kept = await Promise.all(
    ['audit', 'sessions', 'keys', IDEMPOTENCY].map((name) =>
      mongoose.connection.collection(name).find().toArray(),
    ),
  );
  const places = {
    log: log.join(''),
    document: JSON.stringify(document),
    kept: JSON.stringify(kept),
    answers: JSON.stringify(answers.map(({ body, headers }) => [body, [...headers]])),
  };
  expect(log.length).toBeGreaterThan(15);
  for (const [place, text] of Object.entries(places))
    for (const secret of secrets)
      expect([place, secret.slice(0, 12), text.includes(secret)]).toEqual([
        place,
        secret.slice(0, 12),
        false,
      ]);
  expect(JSON.stringify(document)).toContain(DEMO_PASSWORD);
});
