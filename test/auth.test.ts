import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Types } from 'mongoose';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { DEMO_PASSWORD } from '../src/auth/passwords.ts';
import { digestOf, makeKey, readKeys, signToken, useKeys } from '../src/auth/tokens.ts';
import { AuditEntry } from '../src/http/audit.ts';
import { database } from '../src/mongo/connect.ts';
import { GUESSES } from '../src/mongo/patience.ts';
import { ApiKey } from '../src/resources/keys/key.ts';
import { Session } from '../src/resources/sessions/session.ts';
import { User } from '../src/resources/users/user.ts';
import { aCaller, admin, aSession, TOKEN_KEYS, tokenOf } from './support/callers.ts';
import { aBook, aPost, aUser } from './sample/factories.ts';
import { forge, now, own } from './support/forge.ts';
import { type Answer, useApi } from './support/harness.ts';
import { anAddress } from './support/addresses.ts';
import { logins, PASSWORD, passwordHash, someone } from './support/logins.ts';
import { modelOf } from '../src/schema/model.ts';
import type { AnyResource } from '../src/schema/resource.ts';

// Behind a proxy, so that each login may come from another address, and none meets the limit by accident.
const api = useApi({ trustProxy: 1 });
const { form, logIn, refresh, loggedIn } = logins(api);
beforeEach(async () => {
  for (const resource of [ApiKey, AuditEntry] as AnyResource[]) await modelOf(resource).deleteMany({});
  await modelOf(Session).deleteMany({ user: { $ne: admin._id } });
});

const me = (as: string) => api.get('/me', { as });
function expectRefused({ status, headers, body }: Answer): void {
  expect([status, body.code]).toEqual([401, 'unauthenticated']);
  expect(headers.get('www-authenticate')).toMatch(/^Bearer realm="shelfmark"/);
  expect(body.detail).toContain('POST /auth/token');
}

describe('logging in', () => {
  test('gives tokens that say who is calling; nobody may keep the answer', async () => {
    const user = await someone({ role: 'editor' });
    const { status, headers, body } = await logIn(user.email.toUpperCase());
    expect(status).toBe(200);
    expect(body).toEqual({
      access_token: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/),
      token_type: 'Bearer',
      expires_in: 900,
      refresh_token: expect.stringMatching(/^[0-9a-f]{24}(\.[\w-]{43}){2}$/),
    });
    expect(headers.get('cache-control')).toBe('no-store');
    const answer = await me(body.access_token);
    expect(answer.body).toMatchObject({ id: String(user._id), email: user.email, role: 'editor' });
    expect(answer.headers.get('cache-control')).toBe('no-store');
    const [, payload] = body.access_token.split('.');
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
    expect(Object.keys(claims).sort()).toEqual([
      'aud',
      'client_id',
      'exp',
      'iat',
      'iss',
      'jti',
      'sid',
      'sub',
    ]);
    expect(claims.exp - claims.iat).toBe(900);
    // Of its secrets only digests are stored.
    const stored = JSON.stringify(await modelOf(Session).find().lean());
    for (const part of body.refresh_token.split('.').slice(1)) expect(stored).not.toContain(part);
  });

  test('works as Swagger UI does it: with an empty client in the header', async () => {
    const { email } = await someone();
    const fields = { grant_type: 'password', username: email, password: PASSWORD, scope: '', client_id: '' };
    expect((await form('/auth/token', fields, { authorization: 'Basic Og==' })).status).toBe(200);
  });

  test('is refused alike for a wrong password, an unknown name and an account without a password', async () => {
    const { email } = await someone();
    const { email: closed } = await aUser();
    const answers = [
      await logIn(email, 'a wrong one indeed'),
      await logIn(email, PASSWORD.toUpperCase()),
      await logIn(email, ''),
      await logIn('nobody@example.org'),
      await logIn(closed),
    ];
    const [first, ...others] = answers.filter(({ body }) => body.error !== 'invalid_request');
    expect(others).toHaveLength(3);
    expect([first?.status, first?.body.error]).toEqual([400, 'invalid_grant']);
    for (const { status, body } of others)
      expect([status, { ...body, requestId: '' }]).toEqual([400, { ...first?.body, requestId: '' }]);
    expect(await modelOf(Session).countDocuments({ user: { $ne: admin._id } })).toBe(0);
  });

  test.each<[string, Record<string, string> | string, string]>([
    ['nothing known', 'x=1', 'invalid_request'],
    ['no name', { grant_type: 'password', password: PASSWORD }, 'invalid_request'],
    ['no password', { grant_type: 'password', username: 'a@example.org' }, 'invalid_request'],
    ['a way that there is not', { grant_type: 'client_credentials' }, 'unsupported_grant_type'],
    ['a name twice', 'grant_type=password&username=a&username=b&password=c', 'invalid_request'],
    ['an operator', 'grant_type=password&username[$ne]=x&password[$gt]=', 'invalid_request'],
    ['a long name', { grant_type: 'password', username: 'a'.repeat(2000), password: 'x' }, 'invalid_request'],
    ['a NUL', { grant_type: 'password', username: '\0', password: '\0' }, 'invalid_grant'],
    ['no refresh token', { grant_type: 'refresh_token' }, 'invalid_request'],
    ['what is no refresh token', { grant_type: 'refresh_token', refresh_token: 'x' }, 'invalid_grant'],
  ])('with %s is a problem in the words of OAuth, too', async (_, fields, error) => {
    const { status, headers, body } = await form('/auth/token', fields);
    expect([status, body]).toEqual([400, { error, error_description: expect.any(String) }]);
    expect(headers.get('cache-control')).toBe('no-store');
  });

  test('gives tokens that another service can check by the metadata and the keys alone', async () => {
    const { email } = await someone();
    const { body: tokens } = await logIn(email);
    const { body: server } = await api.get('/.well-known/oauth-authorization-server', { as: '' });
    expect(server).toMatchObject({
      issuer: 'http://127.0.0.1:3000',
      token_endpoint: `${server.issuer}/auth/token`,
    });
    const { body: keys } = await api.get(new URL(server.jwks_uri).pathname, { as: '' });
    const { payload } = await jwtVerify(tokens.access_token, createLocalJWKSet(keys), {
      issuer: server.issuer,
      audience: 'shelfmark-api',
      typ: 'at+jwt',
      requiredClaims: ['iss', 'exp', 'aud', 'sub', 'client_id', 'iat', 'jti'],
    });
    expect(payload['client_id']).toBe('shelfmark');
    expect(JSON.stringify(keys)).not.toContain('"d"');
  });

  test('takes a form only, and says so', async () => {
    const { status, body } = await api.post('/auth/token', { grant_type: 'password' }, { as: '' });
    expect([status, body.error, body.error_description]).toEqual([
      400,
      'invalid_request',
      expect.stringContaining('application/x-www-form-urlencoded'),
    ]);
  });

  test('takes as long for a name that nobody has as for one that exists', async () => {
    const { email } = await someone();
    const timed = async (name: string) => {
      // None has to wait for those before.
      await database().collection(GUESSES).deleteMany({});
      const start = performance.now();
      expect((await logIn(name, 'a wrong one indeed')).status).toBe(400);
      return performance.now() - start;
    };
    const median = (times: number[]) => times.toSorted((a, b) => a - b)[times.length >> 1] as number;
    // In turn, so that what else the machine does falls on both; and again, where that was not enough.
    for (let tries = 0, ratio = 0; Math.abs(1 - ratio) > 0.2; tries++) {
      expect(tries).toBeLessThan(4);
      const [known, unknown]: [number[], number[]] = [[], []];
      for (let i = 0; i < 15; i++) {
        known.push(await timed(email));
        unknown.push(await timed(`nobody${i}@example.org`));
      }
      ratio = median(known) / median(unknown);
    }
  });
});

test('a name counts as it is written: what MongoDB takes for equal to it is nobody', async () => {
  const { email } = await someone();
  for (const name of [`${email}\u00ad`, email.replace('u', '\uff55'), `\u0001${email}`])
    expect((await logIn(name)).body.error).toBe('invalid_grant');
});

test('whoever logs in again and again has a hundred sessions at the most: the oldest end', async () => {
  const user = await someone();
  await modelOf(Session).insertMany(Array.from({ length: 120 }, () => aSession(user._id)));
  const { body } = await logIn(user.email);
  expect(await modelOf(Session).countDocuments({ user: user._id })).toBe(100);
  expect((await me(body.access_token)).status).toBe(200);
});

describe('a refresh token', () => {
  /** As if so many seconds had passed since its session was refreshed last. */
  const age = (user: { _id: Types.ObjectId }, seconds: number) =>
    modelOf(Session).collection.updateMany({ user: user._id }, [
      {
        $set: {
          tokens: {
            $map: {
              input: '$tokens',
              in: {
                $mergeObjects: ['$$this', { since: { $subtract: ['$$this.since', seconds * 1_000] } }],
              },
            },
          },
        },
      },
    ]);

  test('is good once: it gives the next, with a new access token', async () => {
    const first = await loggedIn();
    const { status, body } = await refresh(first.refresh);
    expect(status).toBe(200);
    expect(body.refresh_token).not.toBe(first.refresh);
    for (const token of [first.access, body.access_token]) expect((await me(token)).status).toBe(200);
    expect((await refresh(body.refresh_token)).status).toBe(200);
  });

  test('that two tabs send at once gives each a token of its own, with which each goes on', async () => {
    const first = await loggedIn();
    const [one, two] = await Promise.all([refresh(first.refresh), refresh(first.refresh)]);
    expect([one.status, two.status]).toEqual([200, 200]);
    expect(one.body.refresh_token).not.toBe(two.body.refresh_token);
    let tabs = [one.body.refresh_token, two.body.refresh_token];
    for (let round = 0; round < 3; round++) {
      // Not at the same time, from now on.
      await age(first.user, 900);
      const answers = [await refresh(tabs[0]), (await age(first.user, 60), await refresh(tabs[1]))];
      expect(answers.map(({ status }) => status)).toEqual([200, 200]);
      tabs = answers.map(({ body }) => body.refresh_token);
    }
    const stored = JSON.stringify(await modelOf(Session).find({ user: first.user._id }).lean());
    for (const tab of tabs) expect(stored).not.toContain(tab.split('.')[2]);
  });

  test('gives siblings for 30 seconds, and ends the session after that', async () => {
    const first = await loggedIn();
    const { body: second } = await refresh(first.refresh);
    await age(first.user, 28);
    const { status } = await refresh(first.refresh);
    expect(status).toBe(200);
    await age(first.user, 3);
    const late = await refresh(first.refresh);
    expect([late.status, late.body.error]).toEqual([400, 'invalid_grant']);
    for (const token of [first.access, second.access_token]) expectRefused(await me(token));
    expect((await refresh(second.refresh_token)).status).toBe(400);
    expect(await modelOf(Session).countDocuments({ user: first.user._id })).toBe(0);
  });

  test('that is older than the last one ends the session at once, for whoever has copied it, too', async () => {
    const first = await loggedIn();
    const { body: second } = await refresh(first.refresh);
    const { body: third } = await refresh(second.refresh_token);
    expect((await refresh(first.refresh)).body.error).toBe('invalid_grant');
    expectRefused(await me(third.access_token));
  });

  test('has twenty siblings at most', async () => {
    const first = await loggedIn();
    await refresh(first.refresh);
    for (let i = 0; i < 25; i++) await refresh(first.refresh);
    const session = await modelOf(Session).findOne({ user: first.user._id }).lean();
    expect(session?.tokens.length ?? 0).toBeLessThanOrEqual(20);
  });

  test('that is only guessed ends nothing', async () => {
    const { access, refresh: token } = await loggedIn();
    const [id, origin, secret] = token.split('.');
    const [{ refresh: other }, nothing] = [await loggedIn(), 'A'.repeat(43)];
    for (const guess of [`${id}.${nothing}.${secret}`, `${id}.${other.split('.').slice(1).join('.')}`])
      expect((await refresh(guess)).body.error).toBe('invalid_grant');
    expect((await me(access)).status).toBe(200);
    expect((await refresh(`${id}.${origin}.${nothing}`)).status).toBe(400);
    expectRefused(await me(access));
  });

  test('is of no use when its session has expired, nor as an access token', async () => {
    const { user, access, refresh: token } = await loggedIn();
    expectRefused(await me(token));
    await modelOf(Session).updateOne({ user: user._id }, { expiresAt: new Date(Date.now() - 1) });
    expect((await refresh(token)).status).toBe(400);
    expectRefused(await me(access));
  });
});

test('a session ends 90 days after its login, however much it has been used', async () => {
  const DAY = 86_400_000;
  const { user, refresh: token } = await loggedIn();
  const ends = async () => (await modelOf(Session).findOne({ user: user._id }).lean())?.expiresAt.getTime();
  let last = token;
  for (const [age, left] of [
    [50, 30],
    [80, 10],
  ] as const) {
    const createdAt = new Date(Date.now() - age * DAY);
    await modelOf(Session).collection.updateOne({ user: user._id }, { $set: { createdAt } });
    const { status, body } = await refresh(last);
    expect(status).toBe(200);
    last = body.refresh_token;
    expect(((await ends()) as number) - Date.now()).toBeCloseTo(left * DAY, -5);
  }
});

test('those who ask at the same time are not taken for each other', async () => {
  const callers = await Promise.all(Array.from({ length: 12 }, () => aCaller('member')));
  const [gone] = callers as [(typeof callers)[number]];
  await modelOf(Session).deleteMany({ user: gone.id });
  const many = Array.from({ length: 48 }, (_, i) => callers[i % callers.length] as (typeof callers)[number]);
  const answers = await Promise.all(many.map(({ token }) => me(token)));
  expect(answers.map(({ status, body }) => [status, body.id])).toEqual(
    many.map((who) => (who === gone ? [401, undefined] : [200, String(who.id)])),
  );
});

describe('one’s own logins', () => {
  test('are listed with where they were used last, and each can be ended', async () => {
    const address = anAddress();
    const { user, access } = await loggedIn({}, address);
    const other = await logIn(user.email);
    const elsewhere = anAddress();
    await refresh(other.body.refresh_token, elsewhere);
    const { body, headers } = await api.get('/me/sessions', { as: access });
    expect(headers.get('cache-control')).toBe('no-store');
    expect(body.items).toMatchObject([
      { address: elsewhere, current: false, user: String(user._id), agent: expect.any(String) },
      { address, current: true },
    ]);
    expect(JSON.stringify(body)).not.toMatch(/origin|tokens|digest/);
    const [{ id }] = body.items;
    expect((await api.delete(`/me/sessions/${id}`, { as: access })).status).toBe(204);
    expectRefused(await me(other.body.access_token));
    expect((await me(access)).status).toBe(200);
  });

  test('are nobody else’s to see or end, nor a key’s', async () => {
    const [one, two] = [await loggedIn(), await loggedIn({ role: 'admin' })];
    const { body } = await api.get('/me/sessions', { as: one.access });
    expect(body.items).toHaveLength(1);
    expect((await api.delete(`/me/sessions/${body.items[0].id}`, { as: two.access })).status).toBe(404);
    const { body: key } = await api.post(
      '/me/keys',
      { currentPassword: PASSWORD, name: 'x', scopes: ['users:write'] },
      { as: one.access },
    );
    expect((await api.get('/me/sessions', { as: key.secret })).status).toBe(403);
  });
});

describe('logging out', () => {
  test.each(['access', 'refresh'] as const)('by the %s token ends all of the session', async (which) => {
    const [one, other] = [await loggedIn(), await loggedIn()];
    const { status, headers } = await form('/auth/revoke', { token: one[which], token_type_hint: 'x' });
    expect([status, headers.get('cache-control')]).toEqual([200, 'no-store']);
    expectRefused(await me(one.access));
    expect((await refresh(one.refresh)).status).toBe(400);
    expect((await me(other.access)).status).toBe(200);
  });

  test('of a token that nobody knows is no fault, and ends nothing', async () => {
    const { access, refresh: token } = await loggedIn();
    for (const wrong of ['x', token.replace(/\.../, '.AA'), `${access.slice(0, -3)}AAA`])
      expect((await form('/auth/revoke', { token: wrong })).status).toBe(200);
    expect((await me(access)).status).toBe(200);
    expect((await form('/auth/revoke', 'x=1')).body.error).toBe('invalid_request');
  });
});

describe('a change of the password', () => {
  const change = (as: string, currentPassword: string, newPassword: string) =>
    api.put('/me/password', { currentPassword, newPassword }, { as });

  test('ends also a session that somebody who knows the old one begins in the same moment', async () => {
    const { user, access } = await loggedIn();
    const logins = Array.from({ length: 6 }, async (_, i) => {
      await sleep(i * 12);
      return (await logIn(user.email)).body.access_token as string | undefined;
    });
    await sleep(20);
    expect((await change(access, PASSWORD, 'ancillary justice')).status).toBe(204);
    for (const token of await Promise.all(logins)) if (token) expectRefused(await me(token));
  });

  test('ends all other sessions; from then on the new one counts', async () => {
    const { user, access } = await loggedIn();
    const other = (await logIn(user.email)).body;
    const changed = await change(access, PASSWORD, 'ancillary justice');
    expect([changed.status, changed.headers.get('cache-control')]).toEqual([204, 'no-store']);
    expect((await me(access)).status).toBe(200);
    expectRefused(await me(other.access_token));
    expect((await refresh(other.refresh_token)).status).toBe(400);
    expect((await logIn(user.email)).status).toBe(400);
    expect((await logIn(user.email, 'ancillary justice')).status).toBe(200);
  });

  test.each([
    [
      'without the present one',
      'a wrong one indeed',
      'ancillary justice',
      '/currentPassword',
      'wrong_password',
    ],
    ['to a short one', PASSWORD, 'short one', '/newPassword', 'too_short'],
    ['to a long one', PASSWORD, 'abc'.repeat(67), '/newPassword', 'too_long'],
    ['to one that everybody tries', PASSWORD, 'Password123', '/newPassword', 'too_common'],
    ['to one letter', PASSWORD, 'aaaaaaaaaaaa', '/newPassword', 'too_common'],
    ['to a common one with a year', PASSWORD, 'Shelfmark2026!', '/newPassword', 'too_common'],
    ['to keys in a row', PASSWORD, 'qwertyuiop12', '/newPassword', 'too_common'],
    ['to one’s own name', PASSWORD, 'zimmerlein77', '/newPassword', 'too_common'],
  ])('%s is refused', async (_, current, next, pointer, code) => {
    const { user, access } = await loggedIn({ name: 'Quentina Zimmerlein' });
    const { status, body } = await change(access, current, next);
    expect([status, body.errors]).toMatchObject([422, [{ pointer, code }]]);
    expect(JSON.stringify(body)).not.toContain(next);
    expect((await modelOf(User).findById(user._id).lean())?.passwordHash).toBe(passwordHash);
  });
});

test('a role that is taken away, and a user who is removed, count at once', async () => {
  const { user, access } = await loggedIn({ role: 'editor' });
  const create = () => api.post('/tags', { name: 'new' }, { as: access });
  expect((await create()).status).toBe(201);
  const demoted = await api.put(`/users/${user._id}/role`, {
    role: 'member',
    currentPassword: DEMO_PASSWORD,
  });
  expect([demoted.status, demoted.body.role]).toEqual([200, 'member']);
  expect((await create()).body.code).toBe('forbidden');
  expect((await api.delete(`/users/${user._id}`)).status).toBe(204);
  expectRefused(await create());
  expect(await modelOf(Session).countDocuments({ user: user._id })).toBe(0);
});

test('a role that is taken away does not come back by what its owner has sent before', async () => {
  for (let round = 0; round < 4; round++) {
    const fallen = await aCaller('admin');
    // Passwords that are checked at once count as guesses of their session until they are found right.
    const tokens = await Promise.all(Array.from({ length: 15 }, () => tokenOf(fallen.id)));
    const again = tokens.map((as) =>
      api.put(`/users/${fallen.id}/role`, { role: 'admin', currentPassword: DEMO_PASSWORD }, { as }),
    );
    const demoted = await api.put(`/users/${fallen.id}/role`, {
      role: 'member',
      currentPassword: DEMO_PASSWORD,
    });
    expect(demoted.status).toBe(200);
    for (const { status } of await Promise.all(again)) expect([200, 403]).toContain(status);
    expect((await modelOf(User).findById(fallen.id).lean())?.role).toBe('member');
  }
});

describe('registration', () => {
  test('cannot be tried without doing it, nor by a user for somebody without a password', async () => {
    const body = { name: 'Ben', email: 'ben@example.org', password: 'a long way home' };
    expectRefused(await api.post('/users?dryRun=true', body, { as: '' }));
    const { password: _, ...without } = body;
    const member = await aCaller('member');
    expect((await api.post('/users', without, { as: member.token })).status).toBe(422);
    expect((await api.post('/users', without)).status).toBe(201);
  });

  test('in a batch is for ten at the most', async () => {
    const user = (i: number) => ({ name: 'Ben', email: `ben${i}@example.org` });
    const operations = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ method: 'create', resource: 'users', body: user(i) }));
    const refused = await api.post('/batch', { operations: operations(11) });
    expect([refused.status, refused.body.errors[0].code]).toEqual([422, 'too_many']);
    expect((await api.post('/batch', { operations: operations(10) })).status).toBe(200);
  });

  const ann = { name: 'Ann', email: 'ann@example.org', password: PASSWORD };

  test('by anybody makes a member who can log in; the answer shows neither password nor e-mail', async () => {
    const { status, body } = await api.post('/users', ann, { as: '' });
    expect(status).toBe(201);
    // Neither to the user who has not logged in yet.
    expect(JSON.stringify(body)).not.toMatch(/role|email|password/);
    expect((await logIn(ann.email)).status).toBe(200);
    const stored = await modelOf(User).findById(body.id).lean();
    expect(stored?.role).toBe('member');
    expect(stored?.passwordHash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect(stored).not.toHaveProperty('password');
  });

  test.each<[string, object, string, string, number?]>([
    ['no password', { password: undefined }, '/password', 'required'],
    ['a password of nine', { password: '📚📖🔖abcdef' }, '/password', 'too_short'],
    ['a password that everybody tries', { password: '1234567890' }, '/password', 'too_common'],
    [
      'a password made of the address',
      { email: 'quentina.zimmerlein@example.org', password: 'zimmerlein1' },
      '/password',
      'too_common',
    ],
    ['the role of an admin', { role: 'admin' }, '/role', 'not_writable', 403],
    ['a digest', { passwordHash: 'x' }, '/passwordHash', 'unknown_field'],
  ])('with %s is refused', async (_, fields, pointer, code, refused = 422) => {
    const { status, body } = await api.post('/users', { ...ann, ...fields }, { as: '' });
    expect([status, body.errors]).toMatchObject([refused, [{ pointer, code }]]);
  });

  test('a PUT or PATCH does not take a password', async () => {
    const { user, access } = await loggedIn();
    for (const answer of [
      await api.patch(`/users/${user._id}`, { password: PASSWORD }, { as: access }),
      await api.put(`/users/${user._id}`, ann, { as: access }),
    ])
      expect(answer.body.errors).toMatchObject([{ pointer: '/password', code: 'unknown_field' }]);
  });
});

describe('a forged token is refused:', () => {
  const stranger = generateKeyPairSync('ed25519').privateKey;
  const publicPem = own.public.export({ type: 'spki', format: 'pem' }) as string;
  const publicDer = own.public.export({ type: 'spki', format: 'der' });

  const signedBy = (key: KeyObject) => (text: string) => sign(null, Buffer.from(text), key);
  const hmac = (secret: string | Buffer) => (text: string) =>
    createHmac('sha256', secret).update(text).digest();
  const hs256 = { header: { alg: 'HS256' } };
  const jwk = createPublicKey(stranger).export({ format: 'jwk' });
  const other = new Types.ObjectId().toHexString();

  test.each<[string, (user: string, session: string) => Promise<string>]>([
    ['alg none, without a signature', forge({ header: { alg: 'none' } }, () => Buffer.alloc(0))],
    ['alg None, with the signature', forge({ header: { alg: 'None' } })],
    ['no alg', forge({ header: { alg: undefined } })],
    ['HS256 by the public key as PEM', forge(hs256, hmac(publicPem))],
    ['HS256 by the public key as DER', forge(hs256, hmac(publicDer))],
    ['HS256 by the key id', forge(hs256, hmac(own.id))],
    ['HS256 by the empty key', forge(hs256, hmac(''))],
    ['an algorithm of another name', forge({ header: { alg: 'Ed25519' } })],
    ['RS256', forge({ header: { alg: 'RS256' } })],
    ['another key under our id', forge({}, signedBy(stranger))],
    ['another key, brought along', forge({ header: { jwk, kid: undefined } }, signedBy(stranger))],
    ['another key, brought along under our id', forge({ header: { jwk } }, signedBy(stranger))],
    [
      'another key, linked',
      forge({ header: { jku: 'http://127.0.0.1:1/', x5u: 'http://127.0.0.1:1/' } }, signedBy(stranger)),
    ],
    ['no key id', forge({ header: { kid: undefined } })],
    ['an unknown key id', forge({ header: { kid: 'x' } })],
    ['a key id that is a path', forge({ header: { kid: '../../../../dev/null' } }, hmac(''))],
    ['a key id that is no string', forge({ header: { kid: [own.id] } })],
    ['a key id of every object', forge({ header: { kid: '__proto__' } })],
    ['an extension that we do not know', forge({ header: { crit: ['x'], x: 1 } })],
    ['another type', forge({ header: { typ: 'JWT' } })],
    ['no type', forge({ header: { typ: undefined } })],
    ['another issuer', forge({ claims: { iss: 'https://example.org' } })],
    ['no issuer', forge({ claims: { iss: undefined } })],
    ['another audience', forge({ claims: { aud: 'other' } })],
    ['no audience', forge({ claims: { aud: undefined } })],
    ['no expiry', forge({ claims: { exp: undefined } })],
    ['an expiry that is no number', forge({ claims: { exp: 'never' } })],
    ['an expiry that has passed', forge({ claims: { exp: now() - 1 } })],
    ['a time to come', forge({ claims: { nbf: now() + 600 } })],
    ['no time', forge({ claims: { iat: undefined } })],
    ['no user', forge({ claims: { sub: undefined } })],
    ['no session', forge({ claims: { sid: undefined } })],
    ['no id', forge({ claims: { jti: undefined } })],
    ['another user', forge({ claims: { sub: String(admin._id) } })],
    ['another session', forge({ claims: { sid: other } })],
    ['a session that is an operator', forge({ claims: { sid: { $ne: null } } })],
    ['a user that is no id', forge({ claims: { sub: 'admin' } })],
    [
      'another payload under the signature',
      async (user, session) => {
        const [head, , signature] = (await signToken({ user, session })).split('.');
        const [, body] = (await forge({ claims: { sub: String(admin._id) } })(user, session)).split('.');
        return `${head}.${body}.${signature}`;
      },
    ],
    ['a signature cut off', async (user, session) => (await signToken({ user, session })).slice(0, -4)],
    ['a part too many', async (user, session) => `${await signToken({ user, session })}.x`],
    ['no token at all', async () => 'x'],
  ])('%s', async (_, make) => {
    const user = await someone();
    const session = await modelOf(Session).create(aSession(user._id));
    const ids = [user._id.toHexString(), session._id.toHexString()] as const;
    // The tool itself makes a token that is taken.
    expect((await me(await forge({})(...ids))).status).toBe(200);
    const forged = await make(...ids);
    expectRefused(await me(forged));
    // Nor does it pass for nobody's on a route that is open to all.
    expectRefused(await api.get('/books', { as: forged }));
  });

  test('by another header than Bearer, or a header that is none', async () => {
    const { access } = await loggedIn();
    for (const authorization of [`Basic ${access}`, access, 'Bearer', 'Bearer ', `Bearer ${access} x`, 'x'])
      expectRefused(await api.get('/books', { as: '', headers: { authorization } }));
    expect((await api.get('/me', { as: '', headers: { authorization: `bearer ${access}` } })).status).toBe(
      200,
    );
    expectRefused(await api.get(`/me`, { as: '' }));
  });
});

describe('the keys that sign', () => {
  test('can be changed: the first signs, and what the others have signed is good until it expires', async () => {
    const { user } = await loggedIn();
    const old = await tokenOf(user._id);
    const next = makeKey();
    try {
      useKeys(readKeys(`${next}\n${TOKEN_KEYS}`));
      const fresh = await tokenOf(user._id);
      for (const token of [old, fresh]) expect((await me(token)).status).toBe(200);
      useKeys(readKeys(next));
      expectRefused(await me(old));
      expect((await me(fresh)).status).toBe(200);
    } finally {
      useKeys(readKeys(TOKEN_KEYS));
    }
  });

  test('an access token expires, also one that has been seen before', async () => {
    const { user } = await loggedIn();
    const session = String((await modelOf(Session).findOne({ user: user._id }).lean())?._id);
    const soon = now() + 3;
    const short = await forge({ claims: { exp: soon } })(String(user._id), session);
    expect((await me(short)).status).toBe(200);
    while (now() <= soon) await sleep(100);
    const refused = await me(short);
    expectRefused(refused);
    expect(refused.headers.get('www-authenticate')).toContain(
      'error="invalid_token", error_description="The access token has expired."',
    );
  });
});

describe('an API key', () => {
  const make = (as: string, body: object) =>
    api.post('/me/keys', { currentPassword: DEMO_PASSWORD, ...body }, { as });

  test('is one of 50 at most, also where several are made at once', async () => {
    const { id: user, token } = await aCaller('member');
    const body = { name: 'CI', scopes: ['books:read'] };
    const { body: one } = await make(token, body);
    const { _id, ...stored } = (await modelOf(ApiKey).findById(one.id).lean()) as any;
    await modelOf(ApiKey).collection.insertMany(Array.from({ length: 44 }, () => ({ ...stored })));
    // Passwords that are checked at once count as guesses of their session until they are found right.
    const tokens = await Promise.all(Array.from({ length: 12 }, () => tokenOf(user)));
    const answers = await Promise.all(tokens.map((as) => make(as, body)));
    for (const [status, count] of [
      [201, 5],
      [422, 7],
    ])
      expect(answers.filter((answer) => answer.status === status)).toHaveLength(count as number);
    expect(await modelOf(ApiKey).countDocuments({ user })).toBe(50);
  });

  test('is shown once, stored as a digest, acts as its user within its scopes, and can be removed', async () => {
    const { id, token } = await aCaller('editor');
    const { status, headers, body } = await make(token, {
      name: 'CI',
      scopes: ['books:write', 'users:read'],
    });
    expect([status, headers.get('cache-control')]).toEqual([201, 'no-store']);
    expect(body.secret).toMatch(new RegExp(`^sk_${body.id}_[\\w-]{43}$`));
    const days = (new Date(body.expiresAt).getTime() - Date.now()) / 86_400_000;
    expect(Math.round(days)).toBe(90);
    const as = { as: body.secret };
    expect((await api.get('/me', as)).body.id).toBe(String(id));
    expect((await api.post('/books', { title: 'T', authors: ['A'] }, as)).status).toBe(201);
    expect((await api.get('/books', as)).status).toBe(200);
    for (const answer of [await api.get('/tags', as), await api.post('/tags', { name: 't' }, as)]) {
      expect([answer.status, answer.body.code]).toEqual([403, 'insufficient_scope']);
      expect(answer.headers.get('www-authenticate')).toMatch(/error="insufficient_scope", scope="tags:/);
    }
    const listed = await api.get('/me/keys', { as: token });
    expect(listed.body.items).toMatchObject([{ id: body.id, name: 'CI' }]);
    const raw = body.secret.slice(`sk_${body.id}_`.length);
    for (const kept of [listed.body, await modelOf(ApiKey).find().lean()])
      expect(JSON.stringify(kept)).not.toContain(raw);
    expect((await modelOf(ApiKey).findOne().lean())?.digest).toBe(digestOf(raw));
    // Another one, be he an admin, sees no key but his own.
    for (const { items } of [(await api.get('/me/keys')).body]) expect(items).toEqual([]);
    expect((await api.delete(`/me/keys/${body.id}`)).status).toBe(404);
    expect((await api.delete(`/me/keys/${body.id}`, { as: token })).status).toBe(204);
    expectRefused(await api.get('/me', as));
  });

  test('manages neither keys nor passwords nor roles, whatever its scopes', async () => {
    const scopes = ['users', 'tags', 'books', 'posts'].map((name) => `${name}:write`);
    const { token, id } = await aCaller('admin');
    const { body } = await make(token, { name: 'all', scopes });
    const as = { as: body.secret };
    for (const answer of [
      await api.get('/me/keys', as),
      await api.post('/me/keys', { currentPassword: DEMO_PASSWORD, name: 'x', scopes }, as),
      await api.delete(`/me/keys/${body.id}`, as),
      await api.put('/me/password', { currentPassword: PASSWORD, newPassword: 'ancillary justice' }, as),
      await api.put(`/users/${id}/role`, { role: 'member', currentPassword: DEMO_PASSWORD }, as),
      await api.get('/audit', as),
    ])
      expect([answer.status, ['forbidden', 'insufficient_scope'].includes(answer.body.code)]).toEqual([
        403,
        true,
      ]);
  });

  test('in a batch needs the scope of each operation', async () => {
    const { token } = await aCaller('editor');
    const { body } = await make(token, { name: 'x', scopes: ['books:write'] });
    const book = { method: 'create', resource: 'books', body: { title: 'T', authors: ['A'] } };
    const tag = { method: 'create', resource: 'tags', body: { name: 't' } };
    const send = (operations: object[]) => api.post('/batch', { operations }, { as: body.secret });
    expect((await send([book])).status).toBe(200);
    const refused = await send([book, tag]);
    expect([refused.status, refused.body.operation, refused.body.problem.code]).toEqual([
      422,
      1,
      'insufficient_scope',
    ]);
  });

  test('without the scope sees what everybody sees: no draft, and no e-mail', async () => {
    const { id, token } = await aCaller('admin');
    const draft = await aPost({ author: id });
    const { body } = await make(token, { name: 'x', scopes: ['books:read', 'users:read'] });
    const book = await aBook();
    await aPost({ author: id, books: [book._id] });
    const included = await api.get(`/books/${book._id}?include=posts`, { as: body.secret });
    expect(included.body.posts).toEqual({ items: [], hasMore: false });
    expect((await api.get(`/posts/${draft._id}`, { as: body.secret })).status).toBe(403);
    const books = await make(token, { name: 'x', scopes: ['posts:read'] });
    const post = await api.get(`/posts/${draft._id}?include=author`, { as: books.body.secret });
    expect([post.status, post.body.author.email]).toEqual([200, undefined]);
  });

  test('that is wrong, has expired or whose user is gone is refused', async () => {
    const { id, token } = await aCaller('editor');
    const { body } = await make(token, { name: 'x', scopes: ['users:read'] });
    const raw = body.secret.slice(`sk_${body.id}_`.length);
    for (const wrong of [
      `sk_${body.id}_${'A'.repeat(43)}`,
      `sk_${body.id}_${raw}x`,
      `sk_${body.id}_${raw.slice(1)}`,
      `sk_${new Types.ObjectId()}_${raw}`,
      `sk_${body.id}_`,
      `sk__${raw}`,
    ])
      expectRefused(await api.get('/books', { as: wrong }));
    await modelOf(ApiKey).updateOne({ _id: body.id }, { expiresAt: new Date(Date.now() - 1) });
    expectRefused(await me(body.secret));
    await modelOf(ApiKey).updateOne({ _id: body.id }, { expiresAt: new Date(Date.now() + 60_000) });
    expect((await me(body.secret)).status).toBe(200);
    expect((await api.delete(`/users/${id}`)).status).toBe(204);
    expectRefused(await me(body.secret));
    expect(await modelOf(ApiKey).countDocuments()).toBe(0);
  });

  test.each<[string, object, string, string]>([
    ['no scope', { scopes: [] }, '/scopes', 'too_small'],
    ['a scope that there is not', { scopes: ['keys:write'] }, '/scopes/0', 'invalid_value'],
    ['a time that has passed', { expiresAt: '2020-01-01T00:00:00Z' }, '/expiresAt', 'out_of_range'],
    ['a time in ten years', { expiresAt: '2036-12-01T00:00:00Z' }, '/expiresAt', 'out_of_range'],
    ['another user', { user: String(new Types.ObjectId()) }, '/user', 'unknown_field'],
  ])('with %s is refused', async (_, fields, pointer, code) => {
    const { status, body } = await make((await aCaller('member')).token, {
      name: 'x',
      scopes: ['books:read'],
      ...fields,
    });
    expect([status, body.errors]).toMatchObject([422, [{ pointer, code }]]);
  });
});

test('logins and keys are shown with no user, and cannot be reached by a batch', async () => {
  const { user, access } = await loggedIn();
  await api.post(
    '/me/keys',
    { currentPassword: PASSWORD, name: 'x', scopes: ['books:read'] },
    { as: access },
  );
  for (const collection of ['sessions', 'keys', 'audit']) {
    expect((await api.get(`/users?include=${collection}`)).status).toBe(422);
    const operations = [{ method: 'remove', resource: collection, id: String(user._id) }];
    expect((await api.post('/batch', { operations })).body.errors).toMatchObject([
      { pointer: '/operations/0/resource' },
    ]);
  }
  expect(JSON.stringify((await api.get(`/users/${user._id}?include=posts`)).body)).not.toMatch(
    /digest|scopes/,
  );
});

describe('admins', () => {
  test('the last one can neither be demoted nor removed, nor by a batch', async () => {
    const path = `/users/${admin._id}`;
    const remove = { method: 'remove', resource: 'users', id: String(admin._id) };
    expect(
      (await api.put(`${path}/role`, { role: 'editor', currentPassword: DEMO_PASSWORD })).body.code,
    ).toBe('last_admin');
    expect((await api.delete(path)).body.code).toBe('last_admin');
    expect((await api.post('/batch', { operations: [remove] })).body.problem.code).toBe('last_admin');
    const other = await aCaller('admin');
    expect(
      (await api.put(`/users/${other.id}/role`, { role: 'editor', currentPassword: DEMO_PASSWORD })).status,
    ).toBe(200);
    expect((await modelOf(User).findById(admin._id).lean())?.role).toBe('admin');
  });

  test('of two who demote each other at once one stays', async () => {
    for (let round = 0; round < 5; round++) {
      const [one, two] = [await aCaller('admin'), await aCaller('admin')];
      await modelOf(User).updateOne({ _id: admin._id }, { role: 'member' });
      const demote = (by: string, id: Types.ObjectId) =>
        api.put(`/users/${id}/role`, { role: 'member', currentPassword: DEMO_PASSWORD }, { as: by });
      const answers = await Promise.all([demote(one.token, two.id), demote(two.token, one.id)]);
      expect(await modelOf(User).countDocuments({ role: 'admin' })).toBe(1);
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
      await modelOf(User).updateOne({ _id: admin._id }, { role: 'admin' });
      await modelOf(User).deleteMany({ _id: { $in: [one.id, two.id] } });
    }
  });
});

describe('the audit trail', () => {
  const entries = async (query = '') => (await api.get(`/audit${query}`)).body.items;

  test('says who changed what, when and by which request, once for each request', async () => {
    const { id, token } = await aCaller('editor');
    const headers = { 'x-request-id': 'the-request' };
    const { body: book, headers: made } = await api.post(
      '/books',
      { title: 'Private', authors: ['A'] },
      { as: token, headers },
    );
    await api.patch(`/books/${book.id}`, { year: 1 }, { as: token });
    await api.delete(`/books/${book.id}`, { as: token });
    const [removed, updated, created] = await entries(`?actor=${id}`);
    expect(created).toMatchObject({
      actor: String(id),
      key: null,
      operation: 'createBook',
      method: 'POST',
      path: '/books',
      request: made.get('x-request-id'),
      changed: 1,
      changes: [{ resource: 'books', document: book.id, action: 'create' }],
    });
    expect([updated.changes[0].action, removed.changes[0].action]).toEqual(['update', 'remove']);
    expect(await entries(`?documents=${book.id}&operation=updateBook`)).toHaveLength(1);
    expect(JSON.stringify(await modelOf(AuditEntry).find().lean())).not.toContain('Private');
  });

  test('has no entry of what changed nothing: reads, refusals, dry runs, replays', async () => {
    const key = { headers: { 'idempotency-key': 'audit-once' } };
    await api.get('/books');
    await api.post('/books', { title: '' });
    await api.post('/books?dryRun=true', { title: 'T', authors: ['A'] });
    const { body } = await api.post('/books', { title: 'T', authors: ['A'] }, key);
    await api.post('/books', { title: 'T', authors: ['A'] }, key);
    await api.patch(`/books/${body.id}`, {});
    expect((await entries()).map(({ operation }: any) => operation)).toEqual(['createBook']);
  });

  test('has logins and what a removal took along, and names the key', async () => {
    const { user, access } = await loggedIn({ role: 'admin' });
    const { body: key } = await api.post(
      '/me/keys',
      { currentPassword: PASSWORD, name: 'x', scopes: ['tags:write'] },
      { as: access },
    );
    await api.post('/tags', { name: 'by key' }, { as: key.secret });
    await api.delete(`/users/${user._id}`);
    const [removal, byKey, made, login] = await entries();
    expect([login.operation, login.actor]).toEqual(['createToken', String(user._id)]);
    expect([made.operation, byKey.operation, byKey.key]).toEqual(['createKey', 'createTag', key.id]);
    expect(removal.changes.map(({ resource }: any) => resource).sort()).toEqual([
      'keys',
      'sessions',
      'users',
    ]);
  });

  test('is kept for 90 days, and read by admins alone', async () => {
    expect(await modelOf(AuditEntry).collection.indexes()).toContainEqual(
      expect.objectContaining({ key: { createdAt: 1 }, expireAfterSeconds: 90 * 24 * 3600 }),
    );
    expect((await api.get('/audit', { as: '' })).status).toBe(401);
    expect((await api.get('/audit', { as: (await aCaller('editor')).token })).status).toBe(403);
  });
});
