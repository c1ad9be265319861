import { createHmac } from 'node:crypto';
import { request } from 'node:http';
import { decodeJwt } from 'jose';
import mongoose, { Types } from 'mongoose';
import { runAs } from '../src/auth/caller.ts';
import { readKeys, seal, type SigningKey, useKeys } from '../src/auth/tokens.ts';
import { isOwnHost, readConfig } from '../src/config.ts';
import { drain } from '../src/http/server.ts';
import { IDEMPOTENCY } from '../src/http/idempotency.ts';
import { database } from '../src/mongo/connect.ts';
import { transaction } from '../src/mongo/transaction.ts';
import { User } from '../src/resources/users/user.ts';
import { remove } from '../src/schema/integrity.ts';
import { modelOf } from '../src/schema/model.ts';
import { Book } from './sample/books/book.ts';
import { Post } from './sample/posts/post.ts';
import { aBook, aPost, aTag } from './sample/factories.ts';
import { aCaller, TOKEN_KEYS, tokenOf } from './support/callers.ts';
import { dbName, serve, useApi } from './support/harness.ts';
import { PASSWORD, logins } from './support/logins.ts';

/** What a caller may learn and change beyond what is meant, and where the server lets itself be addressed. */

const appName = `${dbName}_hardening`;
const api = useApi({ trustProxy: 1 }, { appName });
const { loggedIn } = logins(api);

/** A key of an editor with these scopes. */
async function aKey(...scopes: string[]): Promise<string> {
  const { user, access } = await loggedIn();
  await modelOf(User).updateOne({ _id: user._id }, { role: 'editor' });
  const body = { currentPassword: PASSWORD, name: 'k', scopes };
  return (await api.post('/me/keys', body, { as: access })).body.secret;
}

test('a key for tags alone merges none: that changes posts and books', async () => {
  const [from, into] = [await aTag(), await aTag()];
  const { _id } = await aBook({ tags: [from._id] });
  const merge = (as: string) => api.post(`/tags/${from._id}/merge`, { into: into._id }, { as });
  const refusal = await merge(await aKey('tags:write'));
  expect([refusal.status, refusal.body.code]).toEqual([403, 'insufficient_scope']);
  expect((await modelOf(Book).findById(_id).lean())?.tags).toEqual([from._id]);
  expect((await merge(await aKey('tags:write', 'books:write', 'posts:write'))).status).toBe(200);
});

test('who may not see what refers to a document is not told how much that is', async () => {
  const book = await aBook();
  const refersTo = { books: [book._id] };
  await aPost({ ...refersTo, status: 'published' });
  for (let i = 0; i < 2; i++) await aPost({ ...refersTo, status: 'draft' });
  const refusal = () =>
    runAs({ kind: 'user', id: new Types.ObjectId(), role: 'member' }, () =>
      transaction(() => remove(Book, book._id)).catch((error: unknown) => error),
    );
  expect(await refusal()).toMatchObject({ code: 'still_referenced', members: { blockers: [{ count: 1 }] } });
  await modelOf(Post).deleteMany({ status: 'published' });
  const problem = await refusal();
  expect(problem).toMatchObject({ code: 'still_referenced', members: { blockers: [{ count: 0, ids: [] }] } });
  expect(String(problem)).toContain('some posts by books, which you may not see');
});

test('a stream ends when its caller loses the role that it began with', async () => {
  const { id, token } = await aCaller('editor');
  const post = (await aPost()).toObject();
  await modelOf(Post).collection.insertMany(
    Array.from({ length: 1_200 }, () => ({ ...post, _id: new Types.ObjectId() })),
  );
  const slow = { failCommands: ['getMore'], blockConnection: true, blockTimeMS: 6_000, appName };
  const admin = mongoose.connection.getClient().db('admin');
  await admin.command({ configureFailPoint: 'failCommand', mode: 'alwaysOn', data: slow });
  try {
    const answer = await fetch(`${api.url()}/posts/export`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(answer.status).toBe(200);
    await modelOf(User).updateOne({ _id: id }, { role: 'member' });
    const start = performance.now();
    await expect(answer.text()).rejects.toThrow();
    expect(performance.now() - start).toBeLessThan(5_500);
  } finally {
    await admin.command({ configureFailPoint: 'failCommand', mode: 'off', data: slow });
  }
});
test('what was answered to an Idempotency-Key goes with the account', async () => {
  const { user, access } = await loggedIn();
  const headers = { 'idempotency-key': 'mine' };
  const post = { title: 'A', body: 'B', author: String(user._id) };
  expect((await api.post('/posts', post, { as: access, headers })).status).toBe(201);
  const records = () => database().collection(IDEMPOTENCY).countDocuments();
  const before = await records();
  const body = { currentPassword: PASSWORD, posts: 'remove' };
  expect((await api.call('DELETE', '/me', { body, as: access })).status).toBe(204);
  expect(await records()).toBe(before - 1);
});

test.each(['/audit', '/me', '/me/keys', '/me/sessions'])('nobody keeps what %s answers', async (path) => {
  expect((await api.get(path)).headers.get('cache-control')).toBe('no-store');
});

describe('a development set-up', () => {
  const config = (env: Record<string, string>) => () => readConfig(env);
  test.each([
    [{ TRUST_PROXY: '1' }, 'TRUST_PROXY must not be set'],
    [{ CORS_ORIGINS: '*' }, 'CORS_ORIGINS must not be set'],
    [{ CORS_ORIGINS: 'http://localhost:5173,https://app.example.org' }, 'CORS_ORIGINS must not be set'],
  ])('is not opened to others: %j', (env, fault) => {
    expect(config(env)).toThrow(fault);
    expect(config({ ...env, MONGODB_URI: 'mongodb://127.0.0.1/shelfmark' })).not.toThrow();
  });
  test('may be called by pages of the same machine', () => {
    expect(config({ CORS_ORIGINS: 'http://localhost:5173,http://127.0.0.1:8080' })).not.toThrow();
  });

  test('answers to its own names only, against DNS rebinding', async () => {
    const { server, url } = await serve({ isOwnHost: isOwnHost(readConfig({})) });
    const { port } = new URL(url);
    const statusFor = (host: string): Promise<number | undefined> =>
      new Promise((resolve, reject) =>
        request(url, { headers: { host } }, (answer) => resolve(answer.resume().statusCode))
          .on('error', reject)
          .end(),
      );
    try {
      for (const host of ['localhost', `127.0.0.1:${port}`, '[::1]:3000', '127.8.8.8'])
        expect([host, await statusFor(host)]).toEqual([host, 200]);
      for (const host of [
        'evil.example',
        `evil.example:${port}`,
        'localhost.evil.example',
        '127.0.0.1.evil.example',
        '10.0.0.1',
      ])
        expect([host, await statusFor(host)]).toEqual([host, 421]);
    } finally {
      await drain(server);
    }
  });
});

test('security.txt names the contact, until half a year from now', async () => {
  const { server, url } = await serve({ securityContact: 'mailto:security@example.org' });
  try {
    const text = await (await fetch(`${url}/.well-known/security.txt`)).text();
    expect(text).toMatch(/^Contact: mailto:security@example\.org\nExpires: \d{4}-\d\d-\d\dT00:00:00\.000Z\n/);
  } finally {
    await drain(server);
  }
  expect((await api.get('/.well-known/security.txt')).status).toBe(404);
});

describe('tokens', () => {
  afterEach(() => useKeys(readKeys(TOKEN_KEYS)));

  test('name the issuer and the audience that are configured, and no others are taken', async () => {
    const { id, token } = await aCaller('member');
    const naming = { issuer: 'https://login.example.org', audience: 'books' };
    useKeys(readKeys(TOKEN_KEYS), 'http://127.0.0.1:3000', naming);
    const another = await tokenOf(id);
    expect(decodeJwt(another)).toMatchObject({ iss: naming.issuer, aud: naming.audience });
    expect((await api.get('/me', { as: another })).status).toBe(200);
    expect((await api.get('/me', { as: token })).status).toBe(401);
  });

  test('are not signed by the key that seals', () => {
    const [key] = readKeys(TOKEN_KEYS) as [SigningKey];
    const signing = key.private.export({ type: 'pkcs8', format: 'der' });
    expect(seal('text')).not.toBe(createHmac('sha256', signing).update('text').digest('base64url'));
    expect(seal('text')).toBe(seal('text'));
  });
});

test('the documentation page keeps no password', async () => {
  const page = await (await fetch(`${api.url()}/docs`)).text();
  const [script = ''] = /[^"]*docs\.js/.exec(page) ?? [];
  const code = await (await fetch(`${api.url()}${script}`)).text();
  expect(code).toContain('SwaggerUIBundle');
  expect(page + code).not.toMatch(/localStorage|sessionStorage|cookie|persistAuthorization:\s*true/);
});
