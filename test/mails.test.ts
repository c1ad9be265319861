import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { SMTPServer } from 'smtp-server';
import { mailsSent, useMailer } from '../src/auth/mail.ts';
import { smtpMailer } from '../src/auth/smtp.ts';
import { issuer } from '../src/auth/tokens.ts';
import { database } from '../src/mongo/connect.ts';
import { GUESSES } from '../src/mongo/patience.ts';
import { RATE_LIMITS } from '../src/mongo/budget.ts';
import { ApiKey } from '../src/resources/keys/key.ts';
import { Session } from '../src/resources/sessions/session.ts';
import { User } from '../src/resources/users/user.ts';
import { modelOf } from '../src/schema/model.ts';
import { useApi } from './support/harness.ts';
import { anAddress, from } from './support/addresses.ts';
import { logins, PASSWORD, someone } from './support/logins.ts';

/** Mails about accounts, as an SMTP server gets them. */

const api = useApi({ trustProxy: 1 });
const { logIn, loggedIn } = logins(api);

interface Received {
  to: string[];
  raw: string;
}
const received: Received[] = [];
const smtp = new SMTPServer({
  authOptional: true,
  disabledCommands: ['STARTTLS'],
  onData(stream, { envelope }, done) {
    void text(stream).then((raw) => {
      received.push({ to: envelope.rcptTo.map(({ address }) => address), raw });
      done();
    });
  },
});
beforeAll(async () => {
  await new Promise<void>((resolve) => smtp.listen(0, '127.0.0.1', () => resolve()));
  const { port } = smtp.server.address() as AddressInfo;
  useMailer(await smtpMailer(`smtp://127.0.0.1:${port}`, 'Shelfmark <no-reply@example.org>'));
});
afterAll(async () => {
  useMailer(undefined);
  await new Promise<void>((resolve) => smtp.close(() => resolve()));
});
beforeEach(async () => {
  await mailsSent(5_000);
  received.length = 0;
  await database().collection(RATE_LIMITS).deleteMany({});
  await database().collection(GUESSES).deleteMany({});
});

const post = (path: string, body: object) => api.post(path, body, { as: '', headers: from(anAddress()) });

/** The mails to an address, with the token of the link in each. */
async function mailsTo(address: string) {
  await mailsSent(5_000);
  return received
    .filter(({ to }) => to.includes(address))
    .map(({ raw }) => {
      const plain = raw.replace(/=\r?\n/g, '').replaceAll('=3D', '=');
      return { raw: plain, token: /\/account#([\w.-]+)/.exec(plain)?.[1] };
    });
}
async function tokenTo(address: string): Promise<string> {
  const [mail, ...more] = await mailsTo(address);
  expect(more).toEqual([]);
  return mail?.token as string;
}
const reset = (token: string, newPassword = 'ancillary justice') =>
  post('/auth/password', { token, newPassword });

describe('a forgotten password', () => {
  test('is reset by a link in a mail, which is good once; all sessions and keys end', async () => {
    const { user, access } = await loggedIn();
    await api.post(
      '/me/keys',
      { currentPassword: PASSWORD, name: 'x', scopes: ['books:read'] },
      { as: access },
    );
    expect((await post('/auth/reset', { email: user.email.toUpperCase() })).status).toBe(204);
    const [mail] = await mailsTo(user.email);
    expect(mail?.raw).toContain(`${issuer()}/account#reset.`);
    expect(mail?.raw).toMatch(/^From: Shelfmark <no-reply@example\.org>/m);
    const token = mail?.token as string;
    expect((await reset(token, 'short')).status).toBe(422);
    expect((await reset(token)).status).toBe(204);
    expect((await api.get('/me', { as: access })).status).toBe(401);
    expect(await modelOf(Session).countDocuments({ user: user._id })).toBe(0);
    expect(await modelOf(ApiKey).countDocuments({ user: user._id })).toBe(0);
    expect((await logIn(user.email)).status).toBe(400);
    expect((await logIn(user.email, 'ancillary justice')).status).toBe(200);
    expect((await reset(token)).body.code).toBe('invalid_link');
  });

  test('is answered alike for an address that nobody has, and only its owner gets mail', async () => {
    const { email } = await someone();
    const answers = [
      await post('/auth/reset', { email }),
      await post('/auth/reset', { email: 'nobody@example.org' }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([204, 204]);
    await mailsTo(email);
    expect(received.map(({ to }) => to)).toEqual([[email]]);
  });

  test('gets its owner in also while others guess at the account', async () => {
    const { email } = await someone();
    for (let i = 0; i < 30; i++) await logIn(email, 'a wrong one indeed');
    const headers = from(anAddress());
    expect((await logIn(email, PASSWORD, headers['x-forwarded-for'])).status).toBe(429);
    await post('/auth/reset', { email });
    const token = await tokenTo(email);
    const body = { token, newPassword: 'ancillary justice' };
    expect((await api.post('/auth/password', body, { as: '', headers })).status).toBe(204);
    expect((await logIn(email, 'ancillary justice', headers['x-forwarded-for'])).status).toBe(200);
  });

  test('cannot be set by a link that is forged, of another kind, or made before the password changed', async () => {
    const { user, access } = await loggedIn();
    await post('/auth/reset', { email: user.email });
    const token = await tokenTo(user.email);
    const parts = token.split('.');
    const another = await someone();
    for (const wrong of [
      token.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
      [parts[0], String(another._id), ...parts.slice(2)].join('.'),
      [...parts.slice(0, 2), '99999999999', ...parts.slice(3)].join('.'),
      ['verify', ...parts.slice(1)].join('.'),
      'reset',
      '',
    ])
      expect([wrong, (await reset(wrong)).body.code]).toEqual([wrong, 'invalid_link']);
    expect((await post('/auth/verify', { token })).body.code).toBe('invalid_link');
    const change = { currentPassword: PASSWORD, newPassword: 'a long way home' };
    expect((await api.put('/me/password', change, { as: access })).status).toBe(204);
    expect((await reset(token)).body.code).toBe('invalid_link');
  });

  test('fills nobody’s mailbox: ten mails an hour', async () => {
    const { email } = await someone();
    const statuses = [];
    for (let i = 0; i < 12; i++) statuses.push((await post('/auth/reset', { email })).status);
    expect(statuses).toEqual([...Array(10).fill(204), 429, 429]);
  });

  test('gets no mail by another spelling, which would count apart; only the case may differ', async () => {
    const { email } = await someone();
    for (const spelling of [`\u00ad${email}`, email.replace('@', '\u200d@'), email.replace('e', 'é')])
      expect((await post('/auth/reset', { email: spelling })).status).toBe(204);
    expect(await mailsTo(email)).toEqual([]);
    expect((await post('/auth/reset', { email: email.toUpperCase() })).status).toBe(204);
    expect(await mailsTo(email)).toHaveLength(1);
  });
});

describe('a new account', () => {
  const ben = () => ({ name: 'Ben', email: `ben${Math.random()}@example.org`, password: PASSWORD });

  test('needs to confirm its address before the first login, by a link that is sent at once', async () => {
    const body = ben();
    expect((await post('/users', body)).status).toBe(201);
    const token = await tokenTo(body.email);
    const refused = await logIn(body.email);
    expect([refused.status, refused.body.error_description]).toEqual([
      400,
      expect.stringContaining('Confirm your e-mail address first'),
    ]);
    // Whoever does not know the password does not learn of it.
    expect((await logIn(body.email, 'a wrong one')).body.error_description).not.toContain('Confirm');
    expect((await post('/auth/verify', { token })).status).toBe(204);
    expect((await logIn(body.email)).status).toBe(200);
    expect((await post('/auth/verify', { token })).body.code).toBe('invalid_link');
  });

  test('in a batch gets one, too; nothing is sent where nothing is stored', async () => {
    const [one, two] = [ben(), ben()];
    const { access } = await loggedIn();
    const create = (body: object) => ({ method: 'create', resource: 'users', body });
    const send = (operations: object[], query = '') =>
      api.post(`/batch${query}`, { operations }, { as: access, headers: from(anAddress()) });
    expect((await send([create(one)], '?dryRun=true')).status).toBe(200);
    expect((await send([create(one), create({ ...two, email: one.email })])).status).toBe(422);
    expect(await mailsTo(one.email)).toEqual([]);
    expect((await send([create(one)])).status).toBe(200);
    expect(await mailsTo(one.email)).toHaveLength(1);
  });

  test('that somebody else has made with one’s address is one’s own by a reset', async () => {
    const squatted = ben();
    await post('/users', squatted);
    await post('/auth/reset', { email: squatted.email });
    const token = (await mailsTo(squatted.email))
      .map((mail) => mail.token)
      .find((one) => one?.startsWith('reset'));
    expect((await reset(token as string)).status).toBe(204);
    expect((await logIn(squatted.email, 'ancillary justice')).status).toBe(200);
  });
});

describe('another address', () => {
  const change = (as: string, email: string, currentPassword = PASSWORD) =>
    api.put('/me/email', { email, currentPassword }, { as });

  test('is one’s own when its link is opened, and the old one is told', async () => {
    const { user, access } = await loggedIn();
    const next = `next${Math.random()}@example.org`;
    const asked = await change(access, next);
    expect([asked.status, asked.body]).toEqual([200, { email: user.email, pending: next }]);
    expect((await logIn(next)).status).toBe(400);
    const [warning] = await mailsTo(user.email);
    expect([warning?.raw, warning?.token]).toEqual([expect.stringContaining('about to change'), undefined]);
    const token = await tokenTo(next);
    expect((await post('/auth/verify', { token })).status).toBe(204);
    expect((await logIn(next)).status).toBe(200);
    expect((await logIn(user.email)).status).toBe(400);
    expect((await mailsTo(user.email)).at(-1)?.raw).toContain('was changed');
    expect((await post('/auth/verify', { token })).body.code).toBe('invalid_link');
  });

  test('that is taken is answered as one that is not: its owner learns of it', async () => {
    const { email: taken } = await someone();
    const { user, access } = await loggedIn();
    const { status, body } = await change(access, taken);
    expect([status, body]).toEqual([200, { email: user.email, pending: taken }]);
    const [mail] = await mailsTo(taken);
    expect([mail?.raw, mail?.token]).toEqual([expect.stringContaining('nothing was changed'), undefined]);
  });

  test('is void as soon as the password changes', async () => {
    const { access } = await loggedIn();
    const next = `next${Math.random()}@example.org`;
    await change(access, next);
    const token = await tokenTo(next);
    const body = { currentPassword: PASSWORD, newPassword: 'a long way home' };
    await api.put('/me/password', body, { as: access });
    expect((await post('/auth/verify', { token })).body.code).toBe('invalid_link');
    expect(await modelOf(User).countDocuments({ email: next })).toBe(0);
  });
});

test('a server without mail says so, and demands no confirmation', async () => {
  const smtpServer = await smtpMailer('smtp://127.0.0.1:1', 'x@example.org');
  useMailer(undefined);
  try {
    const body = { name: 'Ben', email: `ben${Math.random()}@example.org`, password: PASSWORD };
    expect((await post('/users', body)).status).toBe(201);
    expect((await logIn(body.email)).status).toBe(200);
    for (const path of ['/auth/reset', '/auth/verification']) {
      const { status, body: problem } = await post(path, { email: body.email });
      expect([status, problem.code, problem.detail]).toEqual([
        501,
        'no_mail',
        expect.stringContaining('SMTP_URL'),
      ]);
    }
  } finally {
    useMailer(smtpServer);
  }
});
