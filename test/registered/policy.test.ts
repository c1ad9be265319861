import { generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { Types } from 'mongoose';
import { describeApi } from '../../src/app.ts';
import type { Role } from '../../src/auth/caller.ts';
import { useMailer } from '../../src/auth/mail.ts';
import { digestOf } from '../../src/auth/tokens.ts';
import { collections, resources, routes, seeds } from '../../src/resources/api.ts';
import { ApiKey } from '../../src/resources/keys/key.ts';
import { Session } from '../../src/resources/sessions/session.ts';
import { User } from '../../src/resources/users/user.ts';
import { modelOf } from '../../src/schema/model.ts';
import { seed } from '../../src/seed.ts';
import { aCaller, aSession, tokenOf } from '../support/callers.ts';
import { forge, now } from '../support/forge.ts';
import { inPlace, useApi } from '../support/harness.ts';
import { type Caller, expected, type Operation, operationsOf, ownerIn } from '../support/rights.ts';

/** The example of every registered operation, sent by every kind of caller. */

const api = useApi({ trustProxy: 1 });
/** Of its own: refusals beyond sixty an hour leave no trace, which the files of this worker look for. */
const address = { 'x-forwarded-for': '203.0.113.7' };
const document = inPlace(describeApi({ resources, routes }));
const operations = operationsOf(document, { resources: collections, routes, seeds });

/** A link of a mail is nobody's to guess: its example is refused. */
const INVALID_LINKS = ['resetPassword', 'verifyEmail'];

// As in a set-up that sends mail; nobody reads it here.
beforeAll(() => useMailer(async () => {}));
afterAll(() => useMailer(undefined));

test('each is answered as the policies say; a token that is not valid is refused everywhere', async () => {
  for (const resource of [User, Session]) await modelOf<any>(resource).deleteMany({});
  await seed(seeds, () => {});
  const [member, editor, admin] = [await calling('member'), await calling('editor'), await calling('admin')];
  const strange = { ...admin, ...(await aKey(admin, ['nothing:read'])) };
  const bad = await badTokens(admin);

  const found: Record<string, string> = {};
  const wanted: Record<string, string> = {};
  for (const operation of operations) {
    const { operationId, policy } = operation;
    const owner = await ownerOf(operation);
    const callers: Record<string, Caller> = { owner: owner ?? member, member, editor, admin, strange };
    if (policy.scope?.includes(':')) callers['key'] = await aKey(admin, scopesFor(policy.scope));
    // At the end, because a dry run needs a login.
    callers['nobody'] = { token: '' };
    for (const [name, who] of Object.entries(callers)) {
      const cell = `${operationId} ${name}`;
      found[cell] = await call(operation, who.token);
      wanted[cell] = INVALID_LINKS.includes(operationId) ? '400' : expected(operation, who, operations);
    }
    const isAsked = policy.credentials !== 'body' && policy.credentials !== 'none';
    const refused = isAsked ? '401' : found[`${operationId} nobody`];
    for (const [kind, token] of bad) {
      const cell = `${operationId} ${kind}`;
      expect([cell, await call(operation, token)]).toEqual([cell, refused]);
    }
  }
  expect(found).toEqual(wanted);
  expect([...new Set(Object.values(found))]).toEqual(expect.arrayContaining(['ok', '401', '403', '404']));
}, 180_000);

test('the document says of each who may do it', () => {
  for (const { operationId, policy } of operations) {
    const { description, security = document.security } = byId(operationId);
    const isAsked = policy.credentials !== 'body' && policy.credentials !== 'none';
    expect([operationId, security.some((one: object) => 'login' in one)]).toEqual([operationId, isAsked]);
    if (!policy.credentials)
      expect([operationId, security.some((one: object) => Object.keys(one).length === 0)]).toEqual([
        operationId,
        policy.role === 'anyone',
      ]);
    expect([operationId, description]).toEqual([
      operationId,
      expect.stringMatching(/Open to everybody|For |no login/),
    ]);
  }
});

const byId = (operationId: string): any =>
  Object.values<object>(document.paths)
    .flatMap((item) => Object.values<any>(item))
    .find((operation) => operation.operationId === operationId);

async function calling(role: Role): Promise<Caller> {
  const { id, token } = await aCaller(role);
  return { id: id.toHexString(), role, token };
}

/** Whose the document of the example is, if it is a user's. */
async function ownerOf(operation: Operation): Promise<Caller | undefined> {
  const id = ownerIn(operation);
  const user = id && (await modelOf(User).findById(id).lean());
  return user ? { id, role: user.role, token: await tokenOf(user._id) } : undefined;
}

/** A key of a user, for these scopes. */
async function aKey(user: Caller, scopes: string[]): Promise<Caller> {
  const secret = randomUUID();
  const expiresAt = new Date(Date.now() + 60 * 60_000);
  const key = { user: new Types.ObjectId(user.id), name: 'k', scopes, digest: digestOf(secret), expiresAt };
  const { _id } = await modelOf(ApiKey).create(key);
  return { ...user, scopes, token: `sk_${_id.toHexString()}_${secret}` };
}

/** Also those of what a command may change beside. */
const scopesFor = (scope: string): string[] =>
  scope.endsWith(':write') ? [scope, ...resources.map(({ collection }) => `${collection}:write`)] : [scope];

async function call({ method, path, ids, parameters, policy, type, body }: Operation, as: string) {
  const values = [...ids];
  const target = path.replaceAll(/\{\w+\}/g, () => values.shift() as string);
  const needed = parameters.filter((one: any) => one.in === 'query' && one.required);
  const query = new URLSearchParams(
    needed.map(({ name, example, examples }: any): [string, string] => [
      name,
      String(example ?? Object.values<any>(examples)[0].value),
    ]),
  );
  // Whoever has not logged in cannot try a write without doing it.
  if (method !== 'GET' && !policy.credentials && as !== '') query.set('dryRun', 'true');
  const isForm = type === 'application/x-www-form-urlencoded';
  const answer = await api.call(method, `${target}?${query.toString()}`, {
    as,
    headers: { ...address, ...(type && { 'content-type': type }) },
    ...(type && (isForm ? { raw: new URLSearchParams(body).toString() } : { body })),
  });
  if (answer.status === 401) {
    expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer /);
    expect(answer.body.detail).toMatch(/POST \/auth\/token.*\/docs/);
  }
  return answer.status < 300 ? 'ok' : String(answer.status);
}

/** Tokens of a user that once were good, or look as if they were. */
async function badTokens({ id }: Caller): Promise<[string, string][]> {
  const user = new Types.ObjectId(id);
  const good = new Types.ObjectId();
  await modelOf(Session).create({ _id: good, ...aSession(user) });
  const ids = [user.toHexString(), good.toHexString()] as const;
  const foreign = (text: string) => sign(null, Buffer.from(text), generateKeyPairSync('ed25519').privateKey);
  return [
    ['expired', await forge({ claims: { iat: now() - 901, exp: now() - 1 } })(...ids)],
    ['of another key', await forge({}, foreign)(...ids)],
    ['revoked', await forge({})(user.toHexString(), new Types.ObjectId().toHexString())],
  ];
}
