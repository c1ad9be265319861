import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from 'koa';
import mongoose, { Types } from 'mongoose';
import { pino } from 'pino';
import { ANONYMOUS, caller, type Role, runAs } from '../src/auth/caller.ts';
import { comingFrom } from '../src/auth/origin.ts';
import { isGuessable } from '../src/auth/passwords.ts';
import { costOf } from '../src/http/entry.ts';
import { places } from '../src/http/places.ts';
import type { Reply } from '../src/http/reply.ts';
import { sharing } from '../src/http/sharing.ts';
import { drain, TIMES } from '../src/http/server.ts';
import { routes } from '../src/resources/api.ts';
import { stored } from './support/factories.ts';
import { CREDENTIALS } from './support/callers.ts';
import { dbName, serve, useApi } from './support/harness.ts';
import { UPGRADE } from './support/socket.ts';
import { Book } from './sample/books/book.ts';

/** No client stops the server, or keeps the others waiting. */

const appName = `${dbName}_overload`;
const answerTime = 2_500;
const api = useApi({ trustProxy: 1 }, { appName }, { ...TIMES, answerTime });
const from = (address: string) => ({ as: '', headers: { 'x-forwarded-for': address } });

/** MongoDB keeps these commands of this file waiting for so long. */
const slowDown = (failCommands: string[], blockTimeMS: number) =>
  mongoose.connection
    .getClient()
    .db('admin')
    .command({
      configureFailPoint: 'failCommand',
      mode: failCommands.length > 0 ? 'alwaysOn' : 'off',
      data: { failCommands, blockConnection: true, blockTimeMS, appName },
    });
afterEach(() => slowDown([], 0));

async function timed<T>(work: Promise<T>): Promise<[T, number]> {
  const start = performance.now();
  const result = await work;
  return [result, performance.now() - start];
}

describe('expensive requests', () => {
  const expensive = [
    'title[contains]=zz&count=exact',
    'count=capped',
    'title[contains]=zz&language=en&count=exact',
  ];

  test('leave room for reads by id, and who finds no place is told when to come again', async () => {
    const { _id } = await stored(Book);
    // What counts: with one for each connection to the database, nothing else would get through.
    await slowDown(['aggregate'], 1_200);
    const searches = Promise.all(
      Array.from({ length: 120 }, (_, i) =>
        api.get(`/books?${expensive[i % expensive.length]}`, from('203.0.113.1')),
      ),
    );
    const reads: [number, boolean][] = [];
    for (let i = 0; i < 5; i++) {
      const [{ status }, time] = await timed(api.get(`/books/${_id}`, from('203.0.113.2')));
      reads.push([status, time < 1_000]);
    }
    expect(reads.map(([status]) => status)).toEqual(reads.map(() => 200));
    // The first may still be busy with all that has come at once.
    expect(reads.slice(2).map(([, isFast]) => isFast)).toEqual([true, true, true]);
    expect((await api.get('/books?count=exact', from('203.0.113.3'))).status).toBe(200);
    const answers = await searches;
    const refused = answers.filter(({ status }) => status !== 200);
    expect(refused.length).toBeGreaterThan(100);
    for (const { status, headers } of refused)
      expect([status, headers.get('retry-after')]).toEqual([503, '1']);
    expect(refused.filter(({ body }) => body.code === 'overloaded').length).toBeGreaterThan(90);
    expect(answers.length - refused.length).toBeGreaterThanOrEqual(2);
  });

  test.each([
    ['language=en', false],
    ['language=en&sort=-id', false],
    ['year[gte]=1960&year[lt]=1970&sort=-year', false],
    ['year=1960&sort=year', false],
    ['limit=100&sort=title', false],
    ['id[in]=65f000000000000000000b01,65f000000000000000000b02', false],
    ['year[gte]=1960', true],
    ['language=en&sort=title', true],
    ['language[ne]=en', true],
    ['language=en&year=1960', true],
    ['q=left', true],
    ['count=capped', true],
    ['title[contains]=left', true],
    ['filter=year = 1960', true],
    ['posts[exists]=true', true],
  ])('%s is one: %s', (query, isExpensive) => {
    const filters = routes.find(({ operationId }) => operationId === 'listBooks')?.lists?.filters ?? [];
    expect(costOf(filters)(Object.fromEntries(new URLSearchParams(query)))).toBe(isExpensive);
  });

  test.each([
    ['', false],
    ['sort=id', false],
    ['sort=title', true],
    ['language=en', true],
  ])('of those that refer to one document, %j is one: %s', (query, isExpensive) => {
    const filters = routes.find(({ operationId }) => operationId === 'listBooks')?.lists?.filters ?? [];
    expect(costOf(filters, true)(Object.fromEntries(new URLSearchParams(query)))).toBe(isExpensive);
  });
});

describe('places', () => {
  const as = <T>(client: string, work: () => Promise<T>): Promise<T> =>
    comingFrom(
      { request: 'r', address: client, networks: [client], database: { count: 0, milliseconds: 0 } },
      () => runAs(ANONYMOUS, work),
    );

  test('are given in turn, the next one to the client that has the fewest; a client has only its share', async () => {
    const enter = places({ total: 2, each: 1, patience: 1_000 });
    const order: string[] = [];
    const ends: (() => void)[] = [];
    const work = (client: string) =>
      as(client, () =>
        enter(async () => {
          order.push(client);
          await new Promise<void>((resolve) => ends.push(resolve));
        }),
      );
    const all = [work('a'), work('a'), work('a'), work('b'), work('c')];
    const turns: string[] = [];
    for (let i = 0; i < all.length; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      turns.push(order.join(''));
      ends[i]?.();
    }
    await Promise.all(all);
    expect(turns).toEqual(['ab', 'aba', 'abac', 'abaca', 'abaca']);
  });

  test('of one client are not what another waits for that asks for the same', async () => {
    const begun: string[] = [];
    const ask = (address: string) =>
      as(address, () =>
        sharing({ url: '/books' } as Context, async (begin) => {
          begin();
          begun.push(address);
          return {} as Reply;
        }),
      );
    await Promise.all(['a', 'a', 'b', 'a', 'b'].map(ask));
    expect(begun).toEqual(['a', 'b']);
  });

  test('are not shared with a caller whose role has changed meanwhile', async () => {
    const [id, session] = [new Types.ObjectId(), new Types.ObjectId()];
    const ask = (role: Role) =>
      as('a', () =>
        runAs({ kind: 'user', id, session, role }, () =>
          sharing({ url: '/books' } as Context, async (begin) => {
            begin();
            return { status: 200, headers: {}, body: caller().role } as unknown as Reply;
          }),
        ),
      );
    const replies = await Promise.all((['admin', 'member', 'member'] as const).map(ask));
    expect(replies.map(({ body }) => body)).toEqual(['admin', 'member', 'member']);
  });

  test('that would not become free in time are refused at once; otherwise when the time is over', async () => {
    const enter = places({ total: 1, each: 1, patience: 300 });
    let end = () => {};
    const first = as('a', () => enter(() => new Promise<void>((resolve) => (end = resolve))));
    const waiting = Promise.allSettled(Array.from({ length: 3 }, () => as('a', () => enter(async () => {}))));
    await new Promise((resolve) => setTimeout(resolve, 150));
    const [refused, time] = await timed(
      as('a', () => enter(async () => {})).catch((error: unknown) => error),
    );
    expect([refused, time < 50]).toMatchObject([{ code: 'overloaded' }, true]);
    expect((await waiting).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    end();
    await first;
    await expect(as('a', () => enter(async () => 'free again'))).resolves.toBe('free again');
  });
});

test('where MongoDB hangs, everything is answered in time, and liveness at once', async () => {
  const { _id } = await stored(Book);
  await slowDown(['find', 'aggregate', 'insert', 'update', 'findAndModify', 'ping'], 4_000);
  const answers = await Promise.all(
    [
      api.get('/books', from('203.0.113.1')),
      api.get(`/books/${_id}`),
      api.post('/tags', { name: 'fantasy' }),
      api.post(
        '/users',
        { name: 'Ben', email: 'ben@example.org', password: 'a long way home' },
        from('203.0.113.9'),
      ),
      api.get('/health/ready'),
      api.get('/health/live'),
    ].map(timed),
  );
  const limit = answerTime + 1_500;
  expect(answers.map(([{ status, body }, time]) => [status, body.code, time < limit])).toEqual([
    ...Array(4).fill([503, 'query_timeout', true]),
    [503, 'database_unavailable', true],
    [200, undefined, true],
  ]);
  expect(answers.at(-1)?.[1]).toBeLessThan(500);
  for (const [{ status, headers }] of answers)
    if (status === 503) expect(headers.get('retry-after')).toBe('1');
});

describe('what is refused', () => {
  const keys = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`k${i}`, 1]));
  const operations = (n: number, body: object) =>
    Array.from({ length: n }, () => ({ method: 'create', resource: 'tags', body }));
  const patch = (from: string, path: string) => [
    { op: 'add', path: '/title', value: 'x'.repeat(50_000) },
    ...Array.from({ length: 99 }, () => ({ op: 'copy', from, path })),
  ];
  /** The least CPU time of some tries: a busy machine inflates each of them. */
  async function cost(send: () => Promise<{ status: number; body: any }>) {
    const times: number[] = [];
    let { status, body } = await send();
    for (let i = 0; i < 5; i++) {
      const before = process.cpuUsage();
      ({ status, body } = await send());
      const { user, system } = process.cpuUsage(before);
      times.push((user + system) / 1_000);
    }
    return { status, code: body.code ?? body.error, faults: body.errors?.length, cpu: Math.min(...times) };
  }

  test.each<[string, string, string, unknown, object]>([
    ['85,000 names', 'POST', '/batch', { operations: [], ...keys(85_000) }, { status: 413 }],
    ['8,000 names', 'POST', '/users', keys(8_000), { status: 413, code: 'body_too_large' }],
    ['1,000 names', 'POST', '/users', keys(1_000), { status: 422, faults: 50 }],
    [
      '100 times 90 names',
      'POST',
      '/batch',
      { operations: operations(100, keys(90)) },
      { status: 422, faults: 50 },
    ],
    ['20,000 entries', 'POST', '/books', { title: 'x', authors: Array(20_000).fill(1) }, { status: 422 }],
    ['300,000 lists', 'POST', '/batch', { operations: Array(300_000).fill([]) }, { status: 413 }],
    [
      'lists in lists',
      'POST',
      '/batch',
      { operations: Array(20_000).fill(JSON.parse(`${'['.repeat(15)}${']'.repeat(15)}`)) },
      { status: 413 },
    ],
    [
      '99 copies of a text',
      'PATCH',
      '/books/{id}',
      patch('/title', '/authors/-'),
      { status: 422, faults: 1 },
    ],
    ['99 copies of a whole', 'PATCH', '/books/{id}', patch('', '/a'), { status: 422, faults: 1 }],
  ])('costs little: a body of %s', async (_, method, path, body, expected) => {
    const { _id } = await stored(Book);
    const headers = { 'content-type': `application/${method === 'PATCH' ? 'json-patch+' : ''}json` };
    const raw = JSON.stringify(body);
    const found = await cost(() => api.call(method, path.replace('{id}', String(_id)), { raw, headers }));
    expect(found).toMatchObject(expected);
    // Sending it and checking the answer take their part.
    expect(found.cpu).toBeLessThan(150);
  });

  test('costs little: a password of digits and signs that could each stand for several letters', () => {
    const least = (password: string): number => {
      const times = Array.from({ length: 5 }, () => {
        const before = process.cpuUsage();
        isGuessable(password);
        // The kernel knows the sum; how it divides it is an estimate, which may be 0.
        const { user, system } = process.cpuUsage(before);
        return user + system;
      });
      return Math.min(...times);
    };
    expect(isGuessable('p4$$w0rd'.repeat(5))).toBe(true);
    expect(least('p4$$w0rd'.repeat(5))).toBeLessThan(
      15 * least('password'.repeat(2) + 'and a long way home 1'),
    );
  });

  test('costs little: a form of thousands of names, a URL of thousands of parameters', async () => {
    const raw = Array.from({ length: 12_000 }, (_, i) => `k${i}=1`).join('&');
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const form = await cost(() => api.call('POST', '/auth/token', { raw, headers, as: '' }));
    expect([form.status, form.code, form.cpu < 150]).toEqual([400, 'invalid_request', true]);
    const url = await cost(() =>
      api.get(`/books?${'a1&'.repeat(100)}${Array.from({ length: 900 }, (_, i) => `a${i}`).join('&')}`),
    );
    expect([url.status, url.faults, url.cpu < 150]).toEqual([422, 50, true]);
  });
});

describe('a client that goes while its session is read is no fault of the server:', () => {
  const json = 'Content-Type: application/json\r\nContent-Length: 16\r\n';
  test.each<[string, string, string?]>([
    ['POST /tags', json, '{"name":'],
    ['POST /tags', json],
    ['POST /tags', json, '{"name":"a tag"}'],
    ['GET /tags', ''],
    ['GET /tags/export', 'Accept: text/csv\r\n'],
    ['GET /me/data', 'Accept: application/x-ndjson\r\n'],
    ['GET /changes', 'Accept: text/event-stream\r\n'],
    ['GET /changes', ''],
    ['GET /changes', UPGRADE],
  ])('%s', async (line, headers, body = '') => {
    const lines: any[] = [];
    const write = (text: string) => void lines.push(JSON.parse(text));
    const { server, url } = await serve({ logger: pino({ level: 'info' }, { write }) });
    try {
      await slowDown(['aggregate'], 300);
      const socket = connect(Number(new URL(url).port), '127.0.0.1');
      const head = `${line} HTTP/1.1\r\nHost: a\r\nAuthorization: ${CREDENTIALS}\r\n${headers}\r\n`;
      socket.write(head + body);
      await sleep(150);
      socket.resetAndDestroy();
      for (let i = 0; i < 40 && lines.length === 0; i++) await sleep(50);
      // What would be logged when the session has been read.
      await sleep(400);
      expect(lines.map(({ level, err, res }) => [level, err, res.status])).toEqual([[30, undefined, null]]);
    } finally {
      await drain(server, { patience: 100 });
    }
  });
});

test('a client has a share of the streams of a process, counted before any work is done; one that ends makes room', async () => {
  for (let i = 0; i < 60; i++) await stored(Book);
  // Each stream then lasts for a second.
  await slowDown(['getMore'], 1_000);
  const begin = async () => {
    const response = await fetch(`${api.url()}/books/export`, { headers: { authorization: CREDENTIALS } });
    return { status: response.status, wait: response.headers.get('retry-after'), end: response.text() };
  };
  const answers = await Promise.all(Array.from({ length: 12 }, begin));
  const refused = answers.filter(({ status }) => status !== 200);
  expect(refused.map(({ status, wait }) => [status, wait])).toEqual([
    [429, '5'],
    [429, '5'],
  ]);
  const ends = await Promise.all(answers.filter(({ status }) => status === 200).map(({ end }) => end));
  for (const text of ends) expect(text.trim().split('\n')).toHaveLength(60);
  expect((await begin()).status).toBe(200);
});
