import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { generateKeyPairSync } from 'node:crypto';
import { DEMO_PASSWORD, isPassword } from '../src/auth/passwords.ts';
import { makeKey, readKeys } from '../src/auth/tokens.ts';
import { type Config, isProduction, readConfig } from '../src/config.ts';
import { collections, Session, User } from '../src/resources/index.ts';
import { demoAccounts } from '../src/resources/users/demo.ts';
import { openDemoAccounts, prepareAccounts } from '../src/resources/users/first.ts';
import { seed } from '../src/seed.ts';
import { signingKeys } from '../src/signing-keys.ts';
import { tokenOf } from './support/callers.ts';
import { dbName, mongoUri, useApi } from './support/harness.ts';
import { runScript } from './support/process.ts';

/** The first run, and what production refuses. */

useApi();

const URI = 'mongodb://db.example.org/shelf?replicaSet=rs0';
const PRODUCTION = { NODE_ENV: 'production', MONGODB_URI: URI };
const config = (env: Record<string, string> = {}): Config => readConfig(env);
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shelfmark-setup-'));
});
beforeEach(async () => {
  for (const { model } of collections) await model.deleteMany({});
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('production is where NODE_ENV says so, or where the database is on another host', () => {
  const of = (MONGODB_URI: string) => isProduction(config({ MONGODB_URI }));
  expect(isProduction(config())).toBe(false);
  expect(isProduction(config({ NODE_ENV: 'production', MONGODB_URI: 'mongodb://127.0.0.1/x' }))).toBe(true);
  for (const local of [
    'mongodb://localhost/x',
    'mongodb://127.0.0.1:27017,127.0.0.1:27018/x?replicaSet=rs0',
    'mongodb://user:p%40ss@localhost:1/x',
    'mongodb://[::1]:27017/x',
  ])
    expect([local, of(local)]).toEqual([local, false]);
  for (const far of [
    URI,
    'mongodb+srv://cluster.example.org/x',
    'mongodb://localhost,db2:27017/x',
    'mongodb://localhost@db/x',
    'mongodb://user:localhost@10.0.0.1/x',
    'mongodb://localhost.example.org/x',
  ])
    expect([far, of(far)]).toEqual([far, true]);
});

const rsa = () =>
  generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' });
const shared = () => generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' });

test.each<[string, Record<string, string>, string, RegExp]>([
  ['a secret instead of keys', { TOKEN_KEYS: 'hunter2' }, 'TOKEN_KEYS', /private keys as PEM/],
  ['an RSA key', { TOKEN_KEYS: rsa() as string }, 'TOKEN_KEYS', /Ed25519/],
  ['a public key', { TOKEN_KEYS: shared() as string }, 'TOKEN_KEYS', /no private key/],
  ['a broken key', { TOKEN_KEYS: makeKey().replace(/\n.{9}/, '\n') }, 'TOKEN_KEYS', /no private key/],
  [
    'a short password',
    { ADMIN_EMAIL: 'a@b.org', ADMIN_PASSWORD: 'hunter2' },
    'ADMIN_PASSWORD',
    /10 characters/,
  ],
  [
    'a password that everybody tries',
    { ADMIN_EMAIL: 'a@b.org', ADMIN_PASSWORD: 'Password123' },
    'ADMIN_PASSWORD',
    /first/,
  ],
  ['the demo password', { ADMIN_EMAIL: 'a@b.org', ADMIN_PASSWORD: DEMO_PASSWORD }, 'ADMIN_PASSWORD', /first/],
  ['a password alone', { ADMIN_PASSWORD: 'a long way home' }, 'ADMIN_EMAIL', /must be set where/],
  ['an address alone', { ADMIN_EMAIL: 'a@b.org' }, 'ADMIN_PASSWORD', /must be set where/],
  ['no address', { ADMIN_EMAIL: 'root', ADMIN_PASSWORD: 'a long way home' }, 'ADMIN_EMAIL', /e-mail/],
  ['the embedded database for all the world', { HOST: '0.0.0.0' }, 'HOST', /loopback.*demo accounts/],
  ['the embedded database by name', { HOST: 'shelf.example.org' }, 'HOST', /loopback/],
  ['the embedded database in production', { NODE_ENV: 'production' }, 'MONGODB_URI', /development/],
])('%s is refused by the name of the variable, with the reason, without the value', (_, env, name, why) => {
  let message = '';
  try {
    config(env);
  } catch (error) {
    message = (error as Error).message;
  }
  expect(message).toMatch(new RegExp(`^  ${name} .*`, 'm'));
  expect(message).toMatch(why);
  for (const value of Object.values(env).filter((value) => value.length > 10))
    expect(message).not.toContain(value.slice(30, 60) || value);
  expect(message).not.toMatch(/hunter2|Password123/);
});

describe('the keys', () => {
  test('of TOKEN_KEYS may be several, also with \\n for line breaks as an .env file has them', () => {
    const [one, two] = [makeKey(), makeKey()];
    const ids = readKeys(`${one}${two}`).map(({ id }) => id);
    expect(new Set(ids).size).toBe(2);
    const { TOKEN_KEYS } = config({ TOKEN_KEYS: `${one}${two}`.replaceAll('\n', '\\n') });
    expect(TOKEN_KEYS?.map(({ id }) => id)).toEqual(ids);
  });

  test('must be given in production', async () => {
    await expect(signingKeys(config(PRODUCTION))).rejects.toThrow(/^TOKEN_KEYS must be set in production/);
    await expect(signingKeys(config({ MONGODB_URI: URI }))).rejects.toThrow('TOKEN_KEYS');
    expect(await signingKeys(config({ ...PRODUCTION, TOKEN_KEYS: makeKey() }))).toHaveLength(1);
  });

  test('are otherwise made once and kept, for nobody else to read', async () => {
    const DATA_DIR = join(folder, 'data');
    const all = await Promise.all(Array.from({ length: 5 }, () => signingKeys(config({ DATA_DIR }))));
    expect(new Set(all.map(([key]) => key?.id)).size).toBe(1);
    expect(await readdir(DATA_DIR)).toEqual(['token-key.pem']);
    const file = join(DATA_DIR, 'token-key.pem');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(readKeys(await readFile(file, 'utf8'))[0]?.id).toBe(all[0]?.[0]?.id);
  });
});

describe('the accounts', () => {
  const said: string[] = [];
  const prepare = (env: Record<string, string>) => prepareAccounts(config(env), (line) => said.push(line));
  const first = { ADMIN_EMAIL: 'root@example.org', ADMIN_PASSWORD: 'a long way home' };

  test('of the demo are there at the first run, one for each role; production refuses them, and says what to do', async () => {
    await seed(() => {});
    const open = await openDemoAccounts();
    expect(open.map(({ email }) => email)).toEqual(demoAccounts.map(({ email }) => email));
    expect(new Set(open.map(({ role }) => role))).toEqual(new Set(['member', 'editor', 'admin']));
    await prepare({});
    const production = { ...PRODUCTION, TOKEN_KEYS: makeKey() };
    await expect(prepare(production)).rejects.toThrow(
      /^MONGODB_URI names a database with demo accounts \(ann@example\.org.*password everybody knows/,
    );
    await User.model.updateMany({}, { passwordHash: null });
    await prepare(production);
  });

  test('begin with an admin of ADMIN_EMAIL, once, of however many processes', async () => {
    await Promise.all([prepare(first), prepare(first)]);
    const [user, ...others] = await User.model.find().lean();
    expect([user?.email, user?.role, others]).toEqual([first.ADMIN_EMAIL, 'admin', []]);
    expect(await isPassword(first.ADMIN_PASSWORD, user?.passwordHash)).toBe(true);
    expect(said.join()).toContain('root@example.org (ADMIN_EMAIL) is the first admin');
    expect(said.join()).not.toContain(first.ADMIN_PASSWORD);
    // There is one: another address makes no second.
    await prepare({ ...first, ADMIN_EMAIL: 'second@example.org' });
    expect(await User.model.countDocuments()).toBe(1);
  });

  test('of somebody who has registered that address before become the operator’s, and his logins end', async () => {
    const { _id } = await User.model.create({
      ...User.defaults,
      name: 'Early',
      email: 'Root@Example.org',
      passwordHash: 'x',
    });
    await tokenOf(_id);
    await prepare(first);
    const user = await User.model.findById(_id).lean();
    expect([user?.role, await isPassword(first.ADMIN_PASSWORD, user?.passwordHash)]).toEqual(['admin', true]);
    expect(await Session.model.countDocuments()).toBe(0);
  });

  test('can be made and changed from the command line', async () => {
    const uri = Object.assign(new URL(mongoUri), { pathname: `/${dbName}` }).href;
    const user = (...args: string[]) => runScript('scripts/user.ts', args, { MONGODB_URI: uri });
    const made = await user('create', 'Eve@example.org', 'Eve', '--role', 'editor');
    expect([made.exitCode, made.stderr]).toEqual([0, expect.stringContaining('Eve@example.org is there')]);
    const [eve] = await User.model.find().lean();
    const password = made.stdout.trim();
    expect(eve).toMatchObject({ name: 'Eve', email: 'Eve@example.org', role: 'editor' });
    expect(await isPassword(password, eve?.passwordHash)).toBe(true);
    // Whatever its case. No password is shown that nobody has.
    const again = await user('create', 'eve@example.org', 'Eve');
    expect([again.exitCode, again.stdout]).toEqual([2, '']);
    expect(again.stderr).toBe('There is already a user with the e-mail address eve@example.org.\n');
    expect(await user('role', 'eve@example.org', 'admin')).toMatchObject({ exitCode: 0 });
    expect((await User.model.findOne().lean())?.role).toBe('admin');
    const last = await user('role', 'eve@example.org', 'member');
    expect([last.exitCode, last.stderr]).toEqual([2, expect.stringContaining('There must be an admin')]);
  }, 60_000);
});
