import { drain } from '../src/http/server.ts';
import { database } from '../src/mongo/connect.ts';
import { GUESSES } from '../src/mongo/patience.ts';
import { User } from '../src/resources/users/user.ts';
import { modelOf } from '../src/schema/model.ts';
import { aCaller } from './support/callers.ts';
import { type Answer, serve, useApi } from './support/harness.ts';
import { anAddress, from } from './support/addresses.ts';
import { logins, PASSWORD, passwordHash, someone } from './support/logins.ts';

/** What a guesser, or a shared address, can do with what everybody may. */

const api = useApi({ trustProxy: 1 });
const { logIn, loggedIn, refresh } = logins(api);

const WRONG = 'a wrong one indeed';
const times = <T>(count: number, work: (i: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, i) => work(i)));
const tally = (answers: { status: number }[]): Record<number, number> => {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
};
const waitOf = ({ headers }: { headers: Headers }): number => Number(headers.get('retry-after'));

/** Lets the seconds pass that those who are counted have to wait, without waiting. */
const pass = (seconds: number) =>
  database()
    .collection(GUESSES)
    .updateMany({}, [
      {
        $set: {
          next: { $subtract: ['$next', seconds * 1_000] },
          at: { $subtract: ['$at', seconds * 1_000] },
        },
      },
    ]);

/** Wrong guesses, each as soon as it is let in; answers how long each had to wait. */
async function guessOn(count: number, guess: () => Promise<Answer>): Promise<number[]> {
  const waits: number[] = [];
  while (waits.length < count) {
    const { status, headers } = await guess();
    if (status === 429) waits.push(waitOf({ headers }));
    await pass(status === 429 ? waitOf({ headers }) : 0);
  }
  return waits;
}

describe('a hundred wrong logins from one address', () => {
  test('keep out neither those who have logged in there, nor their refresh tokens', async () => {
    const shared = anAddress();
    const { user, refresh: token } = await loggedIn({}, shared);
    const guesses = await times(100, (i) => logIn(`nobody${i}@example.org`, WRONG, shared));
    // Twenty at once, and those that a slow machine has let wait long enough.
    expect(tally(guesses)[400]).toBeLessThan(30);
    expect((await logIn(user.email, PASSWORD, shared)).status).toBe(200);
    expect((await refresh(token, shared)).status).toBe(200);
  });

  test('make those who are new there wait, for longer each time but never long: nobody is locked out', async () => {
    const shared = anAddress();
    await times(30, (i) => logIn(`nobody${i}@example.org`, WRONG, shared));
    const waits = await guessOn(25, () => logIn('nobody@example.org', WRONG, shared));
    expect(waits.slice(0, 3).reduce((a, b) => a + b)).toBeLessThan(30);
    // In the end one guess a minute.
    expect(waits.slice(-10).reduce((a, b) => a + b) / 10).toBeGreaterThan(50);
    expect(Math.max(...waits)).toBeLessThan(150);
    await logIn('nobody@example.org', WRONG, shared);
    const { email } = await someone();
    const refused = await logIn(email, PASSWORD, shared);
    expect([refused.status, refused.body.code]).toEqual([429, 'rate_limited']);
    await pass(waitOf(refused));
    expect((await logIn(email, PASSWORD, shared)).status).toBe(200);
  });
});

describe('a /48 of IPv6 addresses', () => {
  test('that guesses at an account hundreds of times locks nobody out', async () => {
    const inside = (i: number) => `2001:db8:77:${i.toString(16)}::1`;
    const home = anAddress();
    const { user } = await loggedIn({}, home);
    const answers: Answer[] = [];
    for (let i = 0; i < 300; i += 50)
      answers.push(...(await times(50, (j) => logIn(user.email, WRONG, inside(i + j)))));
    expect(tally(answers)[400]).toBeLessThan(30);
    // As it goes on, the waits grow.
    await guessOn(8, () => logIn(user.email, WRONG, inside(400)));
    expect((await logIn(user.email, PASSWORD, home)).status).toBe(200);
    const elsewhere = anAddress();
    const first = await logIn(user.email, PASSWORD, elsewhere);
    expect([first.status, waitOf(first) < 300]).toEqual([429, true]);
    // Those who go on guessing do not take the turn of the owner.
    await pass(waitOf(first));
    await times(20, (i) => logIn(user.email, WRONG, inside(i)));
    await times(20, () => logIn(user.email, WRONG, anAddress()));
    expect((await logIn(user.email, PASSWORD, elsewhere)).status).toBe(200);
  });

  test('counts as a whole for guesses at many accounts', async () => {
    const answers = await times(100, (i) => logIn(`nobody${i}@example.org`, WRONG, `2001:db8:78:${i}::1`));
    expect(tally(answers)[400] ?? 0).toBeLessThan(70);
    expect((await logIn('nobody@example.org', WRONG, '2001:db8:79::1')).status).toBe(400);
  });
});

test('an address that is known to an account cannot guess at it either, and other accounts do not suffer', async () => {
  const home = anAddress();
  const { user } = await loggedIn({}, home);
  expect(tally(await times(30, () => logIn(user.email, WRONG, home)))[400]).toBeLessThan(16);
  const other = await someone();
  expect((await logIn(other.email, PASSWORD, home)).status).toBe(200);
  expect((await logIn(user.email, PASSWORD, anAddress())).status).toBe(200);
});

test('wrong guesses count on every process, and a right one counts nothing', async () => {
  const { email } = await someone();
  const { server, url } = await serve({ trustProxy: 1 });
  const address = anAddress();
  const attempt = (base: string, password: string) =>
    fetch(`${base}/auth/token`, {
      method: 'POST',
      headers: from(address),
      body: new URLSearchParams({ grant_type: 'password', username: email.toUpperCase(), password }),
    });
  expect((await attempt(url, PASSWORD)).status).toBe(200);
  const statuses: number[] = [];
  for (let i = 0; i < 30; i++) statuses.push((await attempt(i % 2 ? url : api.url(), WRONG)).status);
  expect(statuses.slice(0, 10)).toEqual(Array(10).fill(400));
  expect(statuses.filter((status) => status === 400).length).toBeLessThan(20);
  await pass(600);
  for (let i = 0; i < 15; i++) expect((await attempt(url, PASSWORD)).status).toBe(200);
  await drain(server);
});

test('a thief of a token cannot find the password, nor keep its owner from changing it', async () => {
  const { user, access } = await loggedIn();
  const change = (as: string, currentPassword: string) =>
    api.put('/me/password', { currentPassword, newPassword: 'ancillary justice' }, { as });
  expect(tally(await times(20, (i) => change(access, `wrong ${i}`)))[422]).toBeLessThan(12);
  const { body } = await logIn(user.email);
  expect((await change(body.access_token, PASSWORD)).status).toBe(204);
});

describe('registration', () => {
  const account = (i: number) => ({ name: 'Ben', email: `ben${i}@example.org`, password: 'a long way home' });
  const create = (i: number) => ({ method: 'create', resource: 'users', body: account(i) });

  test('is counted by address, whether it succeeds or not, also for who has logged in', async () => {
    const headers = from(anAddress());
    const { token } = await aCaller('editor');
    const statuses: number[] = [];
    for (let i = 0; i < 31; i++)
      statuses.push((await api.post('/users', account(0), { as: i % 2 ? token : '', headers })).status);
    expect(statuses).toEqual([201, ...Array(29).fill(409), 429]);
    // A new account is nobody to count by.
    const { access } = await loggedIn();
    const refused = await api.post('/users', account(1), { as: access, headers });
    expect([refused.status, waitOf(refused) > 3_000]).toEqual([429, true]);
    expect((await api.post('/users', account(2), { headers })).status).toBe(201);
  });

  test('is counted in batches and dry runs', async () => {
    const headers = from(anAddress());
    const { token } = await aCaller('editor');
    const send = (first: number, query = '') =>
      api.post(
        `/batch${query}`,
        { operations: Array.from({ length: 10 }, (_, i) => create(first + i)) },
        { as: token, headers },
      );
    const before = await modelOf(User).countDocuments();
    const answers = [
      await send(0),
      await send(10, '?dryRun=true'),
      await send(20),
      await send(30),
      await send(40),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429, 429]);
    expect((await modelOf(User).countDocuments()) - before).toBe(20);
    const one = await api.post('/users?dryRun=true', account(50), { as: token, headers });
    expect(one.status).toBe(429);
  });

  test('is counted by the /48, too', async () => {
    await modelOf(User).create({
      name: 'Ben',
      email: account(0).email,
      role: 'member',
      bio: null,
      verifiedAt: null,
      lockedAt: null,
      passwordHash,
    });
    const answers: { status: number }[] = [];
    // Not all at once: more than a server can do in time is refused whoever asks for it.
    for (let wave = 0; wave < 210; wave += 30)
      answers.push(
        ...(await times(30, (i) =>
          api.post('/users', account(0), { as: '', headers: from(`2001:db8:80:${wave + i}::1`) }),
        )),
      );
    expect(tally(answers)).toEqual({ 409: 200, 429: 10 });
  });
});
