import { Types } from 'mongoose';
import { DEMO_PASSWORD } from '../src/auth/passwords.ts';
import { AuditEntry } from '../src/http/audit.ts';
import { ApiKey } from '../src/resources/keys/key.ts';
import { Post } from './sample/posts/post.ts';
import { Session } from '../src/resources/sessions/session.ts';
import { User } from '../src/resources/users/user.ts';
import { modelOf } from '../src/schema/model.ts';
import { aCaller, admin } from './support/callers.ts';
import { aPost } from './sample/factories.ts';
import { useApi } from './support/harness.ts';
import { anAddress, from } from './support/addresses.ts';
import { logins, PASSWORD, someone } from './support/logins.ts';

/** What a token alone must not do, and what people and admins do with accounts. */

const api = useApi({ trustProxy: 1 });
const { logIn, loggedIn } = logins(api);

const makeKey = async (as: string, scopes: string[], currentPassword = PASSWORD): Promise<string> =>
  (await api.post('/me/keys', { currentPassword, name: 'x', scopes }, { as })).body.secret;

describe('a stolen token is not an account:', () => {
  test('it makes no API key', async () => {
    const { access } = await loggedIn();
    const body = { name: 'x', scopes: ['users:write'] };
    const without = await api.post('/me/keys', body, { as: access });
    expect(without.body.errors).toMatchObject([{ pointer: '/currentPassword', code: 'required' }]);
    const guessed = await api.post('/me/keys', { ...body, currentPassword: 'x' }, { as: access });
    expect(guessed.body.errors).toMatchObject([{ pointer: '/currentPassword', code: 'wrong_password' }]);
    expect(await modelOf(ApiKey).countDocuments()).toBe(0);
  });

  test('it changes no address: not by PUT, PATCH, JSON Patch, a batch or a dry run', async () => {
    const { user, access } = await loggedIn();
    const path = `/users/${user._id}`;
    const email = 'thief@example.org';
    const as = { as: access };
    const patch = { ...as, headers: { 'content-type': 'application/json-patch+json' } };
    const operations = [
      { method: 'update', resource: 'users', id: String(user._id), body: { email } },
      { method: 'replace', resource: 'users', id: String(user._id), body: { name: 'X', email } },
    ];
    const answers = [
      await api.put(path, { name: 'X', email }, as),
      await api.patch(path, { email }, as),
      await api.patch(path, [{ op: 'replace', path: '/email', value: email }], patch),
      ...(await Promise.all(
        operations.flatMap((one) =>
          ['', '?dryRun=true'].map((query) => api.post(`/batch${query}`, { operations: [one] }, as)),
        ),
      )),
    ];
    // A batch is one request: what its operations are refused for is in its body.
    expect(answers.map(({ status }) => status)).toEqual([403, 403, 403, 422, 422, 422, 422]);
    expect((await api.put('/me/email', { email, currentPassword: 'x' }, as)).status).toBe(422);
    expect((await modelOf(User).findById(user._id).lean())?.email).toBe(user.email);
  });

  test('nor does it remove the account', async () => {
    const { user, access } = await loggedIn();
    expect((await api.delete(`/users/${user._id}`, { as: access })).status).toBe(403);
    const operations = [{ method: 'remove', resource: 'users', id: String(user._id) }];
    expect((await api.post('/batch', { operations }, { as: access })).body.problem.code).toBe('forbidden');
    const body = { currentPassword: 'x', posts: 'remove' };
    expect((await api.delete('/me', { as: access, body })).status).toBe(422);
    expect(await modelOf(User).countDocuments({ _id: user._id })).toBe(1);
  });

  test('that of an admin gives nobody a role or another address', async () => {
    const { access } = await loggedIn({ role: 'admin' });
    const { _id } = await someone();
    const as = { as: access };
    expect((await api.put(`/users/${_id}/role`, { role: 'admin', currentPassword: 'x' }, as)).status).toBe(
      422,
    );
    const email = 'thief@example.org';
    expect((await api.put(`/users/${_id}/email`, { email, currentPassword: 'x' }, as)).status).toBe(422);
    expect((await modelOf(User).findById(_id).lean())?.role).toBe('member');
  });

  test('what it could do ends with a change of the password, keys too unless told otherwise', async () => {
    const { access } = await loggedIn();
    const key = await makeKey(access, ['users:read']);
    const change = (keepKeys: boolean, currentPassword: string, newPassword: string) =>
      api.put('/me/password', { currentPassword, newPassword, keepKeys }, { as: access });
    expect((await change(true, PASSWORD, 'ancillary justice')).status).toBe(204);
    expect((await api.get('/me', { as: key })).status).toBe(200);
    expect((await change(false, 'ancillary justice', 'a long way home')).status).toBe(204);
    expect((await api.get('/me', { as: key })).status).toBe(401);
    expect((await api.get('/me', { as: access })).status).toBe(200);
  });

  test('an admin’s key changes no other admin, whatever its scopes', async () => {
    const { user, access } = await loggedIn({ role: 'admin' });
    const key = { as: await makeKey(access, ['users:write', 'posts:write']) };
    const { id } = await aCaller('admin');
    const update = { method: 'update', resource: 'users', id: String(id), body: { bio: 'x' } };
    const refused = [
      await api.patch(`/users/${id}`, { bio: 'x' }, key),
      await api.put(`/users/${id}`, { name: 'X' }, key),
      await api.delete(`/users/${id}`, key),
      await api.put(`/users/${id}/lock`, undefined, key),
      await api.delete(`/users/${id}/sessions`, key),
    ];
    for (const { status, body } of refused) expect([status, body.code]).toEqual([403, 'forbidden']);
    expect((await api.post('/batch', { operations: [update] }, key)).body.problem.code).toBe('forbidden');
    expect((await api.patch(`/users/${user._id}`, { bio: 'me' }, key)).status).toBe(200);
    expect((await api.patch(`/users/${(await someone())._id}`, { bio: 'x' }, key)).status).toBe(200);
    expect((await modelOf(User).findById(id).lean())?.bio).toBeNull();
  });
});

describe('an address', () => {
  test('is changed by its owner who knows the password; a taken one is refused, counted and logged', async () => {
    const { user, access } = await loggedIn();
    const { email: taken } = await someone();
    // What is refused to one network is entered within a limit, which the tests of a worker share.
    const headers = from(anAddress());
    const change = (email: string) =>
      api.put('/me/email', { email, currentPassword: PASSWORD }, { as: access, headers });
    await modelOf(AuditEntry).deleteMany({});
    expect((await change('new.one@example.org')).body).toEqual({
      email: 'new.one@example.org',
      pending: null,
    });
    expect((await logIn('new.one@example.org')).status).toBe(200);
    expect((await change(taken)).body.code).toBe('duplicate_key');
    expect(await modelOf(AuditEntry).countDocuments({ events: 'duplicate_tried', actor: user._id })).toBe(1);
    expect(await modelOf(AuditEntry).countDocuments({ events: 'email_changed', documents: user._id })).toBe(
      1,
    );
    for (let i = 0; i < 3; i++) await change(taken);
    expect((await change(taken)).status).toBe(429);
  });

  test('of another is changed by an admin who knows the admin’s password, and by no key', async () => {
    const { _id, email } = await someone();
    const body = { email: 'moved@example.org', currentPassword: DEMO_PASSWORD };
    const changed = await api.put(`/users/${_id}/email`, body);
    expect([changed.status, changed.body.email, changed.body.verifiedAt]).toEqual([200, body.email, null]);
    expect((await logIn(email)).status).toBe(400);
    expect((await logIn(body.email)).status).toBe(200);
    const { access } = await loggedIn({ role: 'admin' });
    const key = await makeKey(access, ['users:write']);
    expect(
      (await api.put(`/users/${_id}/email`, { ...body, currentPassword: PASSWORD }, { as: key })).status,
    ).toBe(403);
  });
});

test('who has which role is for admins and oneself: no answer, filter or sort tells anybody else', async () => {
  const { id, token } = await aCaller('editor');
  const other = await aCaller('member');
  for (const path of ['/users', `/users/${id}`, '/users?include=posts', `/users/${id}?fields=role`]) {
    const { status, body } = await api.get(path, { as: other.token });
    expect([path, status, JSON.stringify(body)]).toEqual([
      path,
      200,
      expect.not.stringMatching(/"role":"(editor|admin)/),
    ]);
  }
  for (const [query, status] of [
    ['role=admin', 403],
    ['role[ne]=member', 403],
    ['sort=role', 422],
  ])
    expect([query, (await api.get(`/users?${query}`, { as: '' })).status]).toEqual([query, status]);
  expect((await api.get('/me', { as: token })).body.role).toBe('editor');
  expect((await api.get(`/users/${id}`)).body.role).toBe('editor');
});

describe('a locked account', () => {
  test('is closed at once, with its sessions and keys, until it is unlocked', async () => {
    const { user, access, refresh: token } = await loggedIn();
    const key = await makeKey(access, ['books:read']);
    const path = `/users/${user._id}`;
    const locked = await api.put(`${path}/lock`);
    expect([locked.status, typeof locked.body.lockedAt]).toEqual([200, 'string']);
    for (const as of [access, key]) expect((await api.get('/books', { as })).status).toBe(401);
    expect(await modelOf(Session).countDocuments({ user: user._id })).toBe(0);
    expect(await modelOf(ApiKey).countDocuments({ user: user._id })).toBe(0);
    const refused = await logIn(user.email);
    expect([refused.status, refused.body.error]).toEqual([400, 'invalid_grant']);
    expect(token).toBeDefined();
    expect((await api.put(`${path}/lock`)).body.lockedAt).toBe(locked.body.lockedAt);
    expect((await api.delete(`${path}/lock`)).body.lockedAt).toBeNull();
    expect((await logIn(user.email)).status).toBe(200);
    for (const event of ['locked', 'unlocked'])
      expect(await modelOf(AuditEntry).exists({ events: event, documents: user._id })).not.toBeNull();
  });

  test('lets no login in that was under way', async () => {
    const user = await someone();
    const logins = Array.from({ length: 5 }, () => logIn(user.email));
    await api.put(`/users/${user._id}/lock`);
    const tokens = (await Promise.all(logins)).flatMap(({ body }) => body.access_token ?? []);
    for (const token of tokens) expect((await api.get('/me', { as: token })).status).toBe(401);
  });

  test('is never the last admin’s; sessions and keys end without a lock, too', async () => {
    expect((await api.put(`/users/${admin._id}/lock`)).body.code).toBe('last_admin');
    const other = await aCaller('admin');
    await api.put(`/users/${other.id}/lock`);
    expect((await api.put(`/users/${admin._id}/lock`)).body.code).toBe('last_admin');
    const { user, access } = await loggedIn();
    expect((await api.delete(`/users/${user._id}/sessions`)).status).toBe(204);
    expect((await api.get('/me', { as: access })).status).toBe(401);
    expect((await logIn(user.email)).status).toBe(200);
  });
});

describe('one’s own data', () => {
  test('are a download: the account, posts, sessions, keys and the trail, and nothing of others', async () => {
    const { user, access } = await loggedIn();
    await makeKey(access, ['books:read']);
    await aPost({ author: user._id, title: 'A draft of mine' });
    await aPost({ title: 'Of another' });
    const { body } = await api.get('/me/data', { as: access });
    const found = body.items.map(({ resource }: any) => resource);
    expect(new Set(found)).toEqual(new Set(['users', 'posts', 'sessions', 'keys', 'audit']));
    expect([body.isComplete, body.items[0].document.email]).toEqual([true, user.email]);
    const text = JSON.stringify(body);
    expect(text).toContain('A draft of mine');
    expect(text).not.toMatch(/Of another|passwordHash|argon2|digest|"origin"|"tokens"/);
    const stream = await api.get('/me/data', { as: access, headers: { accept: 'application/x-ndjson' } });
    expect(
      stream.body
        .trim()
        .split('\n')
        .map((line: string) => JSON.parse(line)),
    ).toEqual(body.items);
  });

  test('come as a stream where they are many', async () => {
    const { user, access } = await loggedIn();
    const post = (await aPost({ author: user._id })).toObject();
    await modelOf(Post).collection.insertMany(
      Array.from({ length: 450 }, () => ({ ...post, _id: new Types.ObjectId() })),
    );
    const { body } = await api.get('/me/data', { as: access });
    expect([body.isComplete, body.items.length]).toEqual([false, 200]);
    const stream = await api.get('/me/data', { as: access, headers: { accept: 'application/x-ndjson' } });
    expect(stream.body.match(/"resource":"posts"/g)).toHaveLength(451);
  });
});

describe('one’s own account is removed', () => {
  const remove = (as: string, posts: string) =>
    api.delete('/me', { as, body: { currentPassword: PASSWORD, posts } });

  test('with its posts', async () => {
    const { user, access } = await loggedIn();
    const key = await makeKey(access, ['books:read']);
    await aPost({ author: user._id, status: 'published' });
    expect((await remove(access, 'remove')).status).toBe(204);
    expect(await modelOf(Post).countDocuments({})).toBe(0);
    for (const as of [access, key]) expect((await api.get('/me', { as })).status).toBe(401);
    expect((await logIn(user.email)).status).toBe(400);
    expect(await modelOf(User).countDocuments({ _id: user._id })).toBe(0);
    expect(await modelOf(AuditEntry).exists({ events: 'account_removed', actor: user._id })).not.toBeNull();
  });

  test('and its published posts pass to a placeholder; drafts go', async () => {
    for (let round = 0; round < 2; round++) {
      const { user, access } = await loggedIn();
      const { _id } = await aPost({ author: user._id, status: 'published' });
      const draft = await aPost({ author: user._id });
      expect((await remove(access, 'keep')).status).toBe(204);
      const { body } = await api.get(`/posts/${_id}?include=author`, { as: '' });
      expect(body.author).toMatchObject({ id: '000000000000000000000001', name: 'A former user' });
      expect(await modelOf(Post).countDocuments({ _id: draft._id })).toBe(0);
    }
    expect((await logIn('former.user@shelfmark.invalid')).status).toBe(400);
  });

  test('but not that of the last admin', async () => {
    const body = { currentPassword: DEMO_PASSWORD, posts: 'keep' };
    expect((await api.delete('/me', { body })).body.code).toBe('last_admin');
  });
});
