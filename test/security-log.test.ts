import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { DEMO_PASSWORD } from '../src/auth/passwords.ts';
import { AuditEntry } from '../src/http/audit.ts';
import { Session } from '../src/resources/sessions/session.ts';
import { User } from '../src/resources/users/user.ts';
import { modelOf } from '../src/schema/model.ts';
import { aCaller, admin } from './support/callers.ts';
import { dbName, mongoUri, useApi } from './support/harness.ts';
import { anAddress, from } from './support/addresses.ts';
import { logins, PASSWORD } from './support/logins.ts';
import { runScript } from './support/process.ts';

/** Nobody acts unseen: what concerns the security of accounts is in the log, and in the audit trail. */

const log: any[] = [];
const logger = pino({ level: 'info' }, { write: (line) => void log.push(JSON.parse(line)) });
const api = useApi({ trustProxy: 1, logger });
const { form, logIn, loggedIn, refresh } = logins(api);

beforeEach(async () => {
  await modelOf(AuditEntry).deleteMany({});
  log.length = 0;
});

const entries = async (query = '') => (await api.get(`/audit${query}`)).body.items as any[];
const lines = () => log.filter(({ security }) => security);

/** The entry and the line of the log of an event, each the only one. */
async function traceOf(event: string) {
  const [entry, ...more] = await entries(`?events=${event}`);
  const [line, ...others] = lines().filter(({ security }) => security.event === event);
  expect([event, more.length, others.length]).toEqual([event, 0, 0]);
  expect(line.msg).toBe(`security: ${event}`);
  expect(line.reqId).toBe(entry.request);
  return { entry, line: line.security };
}

test('a login is in both, with account, address and request; what the client calls it stands beside', async () => {
  const address = anAddress();
  const { user } = await loggedIn({}, address);
  const { entry, line } = await traceOf('login');
  expect(entry).toMatchObject({
    actor: String(user._id),
    operation: 'createToken',
    address,
    clientRequest: null,
    changed: 1,
  });
  expect(entry.documents).toContain(String(user._id));
  expect(line).toMatchObject({ account: String(user._id), actor: String(user._id), address });
});

test('so is one that fails, with a reason that the client is not told, and without what was typed', async () => {
  const address = anAddress();
  const { user } = await loggedIn();
  await modelOf(AuditEntry).deleteMany({});
  const wrong = await form(
    '/auth/token',
    { grant_type: 'password', username: user.email, password: 'typed-by-mistake' },
    { ...from(address), 'x-request-id': 'mine' },
  );
  const { entry, line } = await traceOf('login_failed');
  expect(entry).toMatchObject({
    actor: null,
    address,
    clientRequest: 'mine',
    request: wrong.headers.get('x-request-id'),
    reason: 'wrong_password',
    documents: [String(user._id)],
    changed: 0,
  });
  expect(line).toMatchObject({ account: String(user._id), reason: 'wrong_password', clientRequest: 'mine' });
  await logIn('typed-by-mistake@example.org');
  const [unknown] = await entries('?events=login_failed');
  expect([unknown.reason, unknown.documents]).toEqual(['unknown_name', []]);
  expect(JSON.stringify([log, await entries()])).not.toContain('typed-by-mistake');
});

test('tokens that are refused are told apart by their reason, and by their account where that is known', async () => {
  const { user, access } = await loggedIn();
  await api.get('/books', { as: 'nonsense' });
  await modelOf(Session).deleteMany({ user: user._id });
  await api.get('/books', { as: access });
  await api.get('/books', { as: `sk_${user._id}_${'A'.repeat(43)}` });
  const found = await entries('?events=token_refused');
  expect(found.map(({ reason, operation }) => [reason, operation])).toEqual([
    ['invalid_key', 'listBooks'],
    ['revoked', 'listBooks'],
    ['invalid_token', 'listBooks'],
  ]);
  expect(found[1].documents).toEqual([String(user._id)]);
});

test('those who are refused again and again do not fill the database: the log has them, the trail some', async () => {
  const headers = from(anAddress());
  await Promise.all(Array.from({ length: 90 }, () => api.get('/books', { as: 'nonsense', headers })));
  expect(lines()).toHaveLength(90);
  expect(await modelOf(AuditEntry).countDocuments({ events: 'token_refused' })).toBe(60);
});

test('guesses that have to wait, siblings, stolen tokens, keys, roles and passwords leave their traces', async () => {
  const { user, access, refresh: token } = await loggedIn();
  const account = String(user._id);
  const address = anAddress();
  await Promise.all(
    Array.from({ length: 30 }, (_, i) => logIn(`nobody${i}@example.org`, 'a wrong one', address)),
  );
  const [delayed] = await entries('?events=login_delayed');
  expect(delayed).toMatchObject({ address, reason: 'address' });

  const { body: next } = await refresh(token);
  await refresh(token);
  expect((await traceOf('token_sibling')).entry.documents).toContain(account);
  await refresh(next.refresh_token);
  await api.get('/me', { as: access });

  const { body: key } = await api.post(
    '/me/keys',
    { currentPassword: PASSWORD, name: 'x', scopes: ['books:read'] },
    { as: access },
  );
  expect((await traceOf('key_created')).entry).toMatchObject({ actor: account, reason: 'books:read' });
  await api.delete(`/me/keys/${key.id}`, { as: access });
  expect((await traceOf('key_removed')).line.account).toBe(account);

  await api.put(`/users/${account}/role`, { role: 'editor', currentPassword: DEMO_PASSWORD });
  const { entry } = await traceOf('role_changed');
  expect(entry).toMatchObject({ actor: String(admin._id), reason: 'editor' });
  expect(entry.documents).toEqual([account]);

  const change = { currentPassword: 'not mine at all', newPassword: 'ancillary justice' };
  await api.put('/me/password', change, { as: access });
  expect((await traceOf('password_wrong')).entry).toMatchObject({ actor: account, changed: 0 });
  await api.put('/me/password', { ...change, currentPassword: PASSWORD }, { as: access });
  expect((await traceOf('password_changed')).entry.documents).toContain(account);

  await refresh(token);
  expect((await traceOf('token_reused')).entry.changes).toMatchObject([{ resource: 'sessions' }]);
});

test('whoever tries which addresses are taken is seen, in a batch too; a dry run leaves the same trace', async () => {
  const { email } = (await modelOf(User).findById(admin._id).lean())!;
  const { id, token } = await aCaller('member');
  const body = { name: 'Ben', email, password: 'a long way home' };
  await api.post('/users', body, { as: '', headers: from(anAddress()) });
  await api.post('/users?dryRun=true', body, { as: token, headers: from(anAddress()) });
  const operations = [{ method: 'create', resource: 'users', body }];
  await api.post('/batch', { operations }, { as: token, headers: from(anAddress()) });
  const found = await entries('?events=duplicate_tried');
  expect(found.map(({ actor, reason }) => [actor, reason])).toEqual([
    [String(id), 'users.email'],
    [String(id), 'users.email'],
    [null, 'users.email'],
  ]);
});

test('the trail is filtered by time, actor and event, and exported', async () => {
  const { user, access } = await loggedIn();
  await logIn(user.email, 'a wrong one indeed');
  const between = new Date().toISOString();
  await api.post(
    '/me/keys',
    { currentPassword: PASSWORD, name: 'x', scopes: ['books:read'] },
    { as: access },
  );
  const eventsOf = (items: any[]) => items.flatMap(({ events }) => events);
  expect(eventsOf(await entries(`?createdAt[lt]=${between}`))).toEqual(['login_failed', 'login']);
  expect(eventsOf(await entries(`?createdAt[gte]=${between}`))).toEqual(['key_created']);
  expect(eventsOf(await entries(`?actor=${user._id}&createdAt[lt]=${between}`))).toEqual(['login']);
  expect(eventsOf(await entries(`?events[in]=login,key_created`))).toEqual(['key_created', 'login']);
  const csv = await api.get('/audit/export?format=csv');
  expect(csv.body.split('\r\n')).toHaveLength(5);
  expect(csv.body).toMatch(
    /^id,actor,key,operation,method,path,address,request,clientRequest,events,reason,/,
  );
});

test('what a command changes is in the trail, too', async () => {
  const uri = new URL(mongoUri);
  uri.pathname = `/${dbName}`;
  const user = await loggedIn();
  await modelOf(AuditEntry).deleteMany({});
  const run = (...args: string[]) => runScript('scripts/user.ts', args, { MONGODB_URI: uri.href });
  expect(await run('role', user.user.email, 'editor')).toMatchObject({ exitCode: 0 });
  expect(await run('password', user.user.email)).toMatchObject({ exitCode: 0 });
  const [password, role] = await entries();
  expect(role).toMatchObject({
    actor: null,
    address: null,
    operation: 'user role',
    method: 'RUN',
    path: 'npm run user role',
    events: ['role_changed'],
    reason: 'editor',
    documents: [String(user.user._id)],
  });
  expect([password.operation, password.events]).toEqual(['user password', ['password_changed']]);
  expect(JSON.stringify([role, password])).not.toContain(user.user.email);

  const file = join(tmpdir(), `shelfmark-${process.pid}.ndjson`);
  await writeFile(file, '{"name": "imported"}\n{"name": "also imported"}\n');
  expect(await runScript('scripts/import.ts', ['tags', file], { MONGODB_URI: uri.href })).toMatchObject({
    exitCode: 0,
  });
  await rm(file);
  const [imported] = await entries('?operation=import%20tags');
  expect([imported.method, imported.changed]).toEqual(['RUN', 2]);
  expect(imported.changes).toMatchObject([{ resource: 'tags', action: 'create' }, {}]);
});
