import { request } from 'node:http';
import { Writable } from 'node:stream';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { pino } from 'pino';
import { drain } from '../src/http/server.ts';
import { Post } from './sample/posts/post.ts';
import { DEMO_PASSWORD } from '../src/auth/passwords.ts';
import { modelOf } from '../src/schema/model.ts';
import { aCaller } from './support/callers.ts';
import { aBook, aPost, aTag } from './sample/factories.ts';
import { serve, useApi } from './support/harness.ts';
import { exchange } from './support/socket.ts';

/** What RFC 9110 and its neighbours let a client say, and how it is understood. */

const OURS = 'https://app.example.org';
const api = useApi({ corsOrigins: [OURS] });

const dune = { title: 'Dune', authors: ['Frank Herbert'] };
const etagOf = async (path: string): Promise<string> => (await api.get(path)).headers.get('etag') as string;

describe('the media type', () => {
  test.each([
    ['application/json; charset=utf-8', 200],
    ['application/json;charset="utf-8";q=0.5', 200],
    ['application/json; profile="a, b;q=0", text/html', 200],
    ['application/json;odata.metadata=minimal', 200],
    ['text/html, */*; q=0.8', 200],
    ['application/json; charset=utf-8; q=0', 406],
    ['text/html; charset=utf-8', 406],
  ])('Accept: %s is answered %d', async (accept, status) => {
    expect((await api.get('/books', { headers: { accept } })).status).toBe(status);
  });

  test.each([
    'application/json; utf-8',
    'application/json;',
    'application/json;;charset=UTF-8',
    'application/json; =x',
  ])('a body of type "%s" is read', async (type) => {
    const { status } = await api.post('/books', dune, { headers: { 'content-type': type } });
    expect(status).toBe(201);
  });
});

describe('a body', () => {
  const post = (raw: string) =>
    api.call('POST', '/books', { raw, headers: { 'content-type': 'application/json' } });

  test.each(['null', 'true', '5', '"text"'])('of %s is JSON of the wrong type', async (raw) => {
    const { status, body } = await post(raw);
    expect([status, body.errors]).toMatchObject([422, [{ pointer: '', code: 'invalid_type' }]]);
  });

  test('of a byte order mark alone is empty', async () => {
    const { status, body } = await post('\ufeff');
    expect([status, body.detail]).toEqual([400, 'The body is empty; send application/json.']);
  });
});

describe('preconditions', () => {
  const send = (method: string, path: string, headers: Record<string, string>, body?: object) =>
    api.call(method, path, { headers, ...(body && { body }) });

  test.each(['abc*', '"stale", *', 'abc', '"a" "b"', 'W/abc', '*, *', '"a",,"b'])(
    'If-Match: %s is malformed, and nothing happens',
    async (header) => {
      const path = `/books/${(await aBook())._id}`;
      for (const name of ['if-match', 'if-none-match']) {
        const { status, body } = await send('DELETE', path, { [name]: header });
        expect([status, body.errors]).toMatchObject([
          422,
          [{ in: 'header', parameter: expect.stringMatching(new RegExp(name, 'i')), code: 'invalid_format' }],
        ]);
      }
      expect((await api.get(path)).status).toBe(200);
    },
  );

  test.each(['PUT', 'PATCH', 'DELETE'])(
    '%s with If-None-Match of a version that is there is a 412',
    async (method) => {
      const path = `/books/${(await aBook({ title: 'Mine' }))._id}`;
      const etag = await etagOf(path);
      const body = method === 'DELETE' ? undefined : dune;
      for (const known of ['*', etag, `W/${etag}`, `"other", ${etag}`]) {
        const { status, headers } = await send(method, path, { 'if-none-match': known }, body);
        expect([known, status, headers.get('etag')]).toEqual([known, 412, etag]);
      }
      expect((await api.get(path)).body.title).toBe('Mine');
      expect((await send(method, path, { 'if-none-match': '"other"' }, body)).status).toBe(
        method === 'DELETE' ? 204 : 200,
      );
      expect(
        (await send(method, '/books/65f000000000000000000b0f', { 'if-none-match': '*' }, body)).status,
      ).toBe(404);
    },
  );

  test('a command takes If-Match: a stale one does not publish the changed text', async () => {
    const path = `/posts/${(await aPost())._id}`;
    const stale = await etagOf(path);
    await api.patch(path, { body: 'Changed meanwhile.' });
    expect((await send('POST', `${path}/publish`, { 'if-match': stale })).status).toBe(412);
    expect((await modelOf(Post).findOne().lean())?.status).toBe('draft');
    expect((await send('POST', `${path}/publish`, { 'if-match': await etagOf(path) })).status).toBe(200);
    const [from, into] = [await aTag(), await aTag()];
    expect(
      (await send('POST', `/tags/${from._id}/merge`, { 'if-match': '"stale"' }, { into: into._id })).status,
    ).toBe(412);
    const user = `/users/${(await aCaller('member')).id}`;
    for (const [method, command, body] of [
      ['PUT', 'role', { role: 'editor', currentPassword: DEMO_PASSWORD }],
      ['POST', 'transfer', { to: (await aCaller('member')).id }],
    ] as const)
      expect((await send(method, `${user}/${command}`, { 'if-match': '"stale"' }, body)).status).toBe(412);
  });

  test('that cannot be met are refused, and not ignored', async () => {
    for (const [method, path, body] of [
      ['POST', '/books', dune],
      ['POST', '/batch', { operations: [{ method: 'create', resource: 'tags', body: { name: 'new' } }] }],
      ['DELETE', '/me/keys/65f000000000000000000e01', undefined],
    ] as const)
      for (const headers of [{ 'if-match': '"a"' }, { 'if-none-match': '*' }] as Record<string, string>[])
        expect([path, (await send(method, path, headers, body)).status]).toEqual([path, 412]);
    expect((await api.get('/books?count=exact')).body.page.total).toBe(0);
    expect((await send('POST', '/books', { 'if-match': '*' }, dune)).status).toBe(201);
  });

  test('a weak tag in If-Match says that a strong one is needed', async () => {
    const path = `/books/${(await aBook())._id}`;
    for (const tag of [await etagOf(`${path}?fields=title`), `W/${await etagOf(path)}`]) {
      const { status, body } = await send('PATCH', path, { 'if-match': tag }, { year: 1 });
      expect([status, body.detail]).toEqual([412, expect.stringContaining('strong')]);
    }
  });

  test('a GET of a version that If-Match does not name is a 412', async () => {
    const path = `/books/${(await aBook())._id}`;
    const etag = await etagOf(path);
    expect((await send('GET', path, { 'if-match': etag })).status).toBe(200);
    const { status, headers } = await send('GET', path, { 'if-match': '"stale"' });
    expect([status, headers.get('etag')]).toEqual([412, etag]);
    expect((await send('GET', '/books', { 'if-match': '"stale"' })).status).toBe(412);
  });
});

describe('Prefer', () => {
  test.each([
    ['RETURN = "minimal"', 'minimal'],
    ['respond-async, return=minimal', 'minimal'],
    ['wait=10; x="1,2" , Return=minimal; y', 'minimal'],
    ['return=representation, return=minimal', 'representation'],
    ['foo="a, return=minimal"', null],
    ['foo; return=minimal', null],
    ['xreturn=minimal', null],
    ['return=least', null],
  ])('%s asks for %s', async (prefer, wanted) => {
    const { status, headers, body } = await api.post('/books', dune, { headers: { prefer } });
    expect([status, headers.get('preference-applied')]).toEqual([201, wanted && `return=${wanted}`]);
    expect(body === undefined).toBe(wanted === 'minimal');
  });
});

test('the targets of Link are URIs', async () => {
  for (let year = 0; year < 3; year++) await aBook({ year });
  const answer = await exchange(
    api.url(),
    'GET /books?year[gte]=0&limit=1&sort=year HTTP/1.1\r\nHost: localhost\r\n\r\n',
  );
  const [, target = ''] = /<([^>]*)>; rel="next"/.exec(answer?.headers['link'] as string) ?? [];
  expect(target).toMatch(/^\/books\?year%5Bgte%5D=0&/);
  expect((await api.get(target)).body.items[0].year).toBe(1);
});

describe('what leads nowhere', () => {
  test('a path that ends with a slash is told without it', async () => {
    expect((await api.get('/books/')).body.detail).toContain('try /books');
  });

  test('OPTIONS * names the methods of the server', async () => {
    const answer = await exchange(api.url(), 'OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expect([answer?.status, answer?.headers['allow']]).toEqual([204, 'GET, HEAD, POST, PUT, PATCH, DELETE']);
  });

  test('methods that nobody knows are in the log as any request, without a stack', async () => {
    const lines: string[] = [];
    const sink = new Writable({
      write(chunk, _, done) {
        lines.push(String(chunk));
        done();
      },
    });
    const { server, url } = await serve({ logger: pino(sink) });
    for (const method of ['LOCK', 'TRACE'])
      await exchange(url, `${method} /books HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await drain(server);
    const entries = lines.map((line) => JSON.parse(line)).filter(({ res }) => res);
    expect(entries.map(({ level, res, err }) => [level, res.status, err])).toEqual([
      [30, 501, undefined],
      [30, 501, undefined],
    ]);
  });

  test('pages of other origins can read Allow and Accept-Patch', async () => {
    const { headers } = await api.get('/books', { headers: { origin: OURS } });
    expect(headers.get('access-control-expose-headers')).toMatch(/Accept-Patch.*Allow/);
  });
});

describe('a time', () => {
  const expiring = (expiresAt: string) =>
    api.post('/me/keys?dryRun=true', {
      name: 'a',
      scopes: ['books:read'],
      expiresAt,
      currentPassword: DEMO_PASSWORD,
    });
  const inAMonth = new Date(Date.now() + 30 * 86_400_000).toISOString().slice(0, 10);

  test.each([
    [`${inAMonth}t12:00:00z`, 'T12:00:00.000Z'],
    [`${inAMonth}T12:00:00.5+01:00`, 'T11:00:00.500Z'],
    [`${inAMonth}T15:59:60-08:00`, 'T00:00:00.000Z'],
  ])('%s is taken', async (given, expected) => {
    const { status, body } = await expiring(given);
    expect([status, body.expiresAt?.slice(10)]).toEqual([201, expected]);
  });

  test.each([
    '2026-02-30T12:00:00Z',
    '2026-01-31T24:00:00Z',
    '2026-01-31 12:00:00Z',
    '2026-01-31T12:00:60Z',
    '2026-01-31',
  ])('%s is none', async (given) => {
    const { status, body } = await expiring(given);
    expect([status, body.errors]).toMatchObject([422, [{ pointer: '/expiresAt', code: 'invalid_format' }]]);
  });

  test('is in the years 0000 to 9999 after its offset is applied, wherever it comes in', async () => {
    for (const given of ['0000-01-01T00:00:00+01:00', '9999-12-31T23:59:59-01:00']) {
      expect((await expiring(given)).body.errors).toMatchObject([{ code: 'out_of_range' }]);
      const filtered = await api.get(`/posts?publishedAt[gte]=${encodeURIComponent(given)}`);
      expect(filtered.body.errors).toMatchObject([{ parameter: 'publishedAt[gte]', code: 'out_of_range' }]);
    }
    expect((await api.get('/posts?publishedAt[gte]=0000-01-01T00:00:00Z')).status).toBe(200);
  });

  test('in a URL says what to do with its plus sign', async () => {
    const { body } = await api.get('/posts?publishedAt[gte]=2026-01-31T12:00:00+01:00');
    expect(body.errors).toMatchObject([{ message: expect.stringContaining('write + as %2B') }]);
  });
});

test.each(['a@localhost', 'jörg@müller.example', '用户@例子.中国', 'o.hara.@example.org'])(
  'the e-mail address %s can be registered and logged in with',
  async (email) => {
    const password = 'a long way home';
    expect((await api.post('/users', { name: 'A', email, password }, { as: '' })).status).toBe(201);
    const raw = new URLSearchParams({ grant_type: 'password', username: email, password }).toString();
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    expect((await api.call('POST', '/auth/token', { raw, headers, as: '' })).status).toBe(200);
  },
);

test('messages are in the words of the API, and what is missing is required', async () => {
  const messages = async (path: string, body: unknown) =>
    (await api.post(path, body)).body.errors.map(({ pointer, code, message }: any) => [
      pointer,
      code,
      message,
    ]);
  expect(await messages('/me/keys', { currentPassword: 'x', name: 5, scopes: 'all' })).toEqual([
    ['/name', 'invalid_type', 'must be a text, not a number'],
    ['/scopes', 'invalid_type', 'must be a list, not a text'],
  ]);
  expect(await messages('/books', { title: 'A', authors: [], year: 2101 })).toEqual([
    ['/authors', 'too_small', 'must have at least 1 entry'],
    ['/year', 'too_big', 'must be at most 2100'],
  ]);
  const raw = '{"title":"A","authors":["B"],"year":-1e400}';
  const headers = { 'content-type': 'application/json' };
  const { body } = await api.call('POST', '/books', { raw, headers });
  expect(body.detail).toBe('/year must be a number, not one beyond 1.8e308');
  expect(await messages('/books', null)).toEqual([['', 'invalid_type', 'must be an object, not null']]);
  expect(
    await messages('/batch', { operations: [{ resource: 'tags' }, { method: 'create', body: {} }] }),
  ).toEqual([
    ['/operations/0/method', 'required', 'is required'],
    ['/operations/1/resource', 'required', 'is required'],
  ]);
  const user = `/users/${(await aCaller('member')).id}/role`;
  expect((await api.put(user, { currentPassword: 'x' })).body.errors).toMatchObject([
    { pointer: '/role', code: 'required', message: 'is required' },
  ]);
});

/** As a client that does not decompress sees it. */
const raw = (path: string, headers: Record<string, string>) =>
  new Promise<{ status: number; headers: Record<string, unknown>; body: Buffer }>((resolve, reject) => {
    request(api.url() + path, { headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({
          status: response.statusCode as number,
          headers: response.headers,
          body: Buffer.concat(chunks),
        }),
      );
    })
      .on('error', reject)
      .end();
  });

describe('compression', () => {
  test.each([
    ['gzip', 'gzip'],
    ['gzip, deflate, br', 'br'],
    ['br;q=0.5, gzip;q=0.8', 'gzip'],
    ['*', 'br'],
    ['gzip;q=0', undefined],
    ['identity', undefined],
    ['deflate', undefined],
  ])('Accept-Encoding: %s gets %s', async (encoding, coding) => {
    for (let i = 0; i < 10; i++) await aBook();
    const plain = await raw('/books', {});
    const { headers, body } = await raw('/books', { 'accept-encoding': encoding });
    expect([headers['content-encoding'], headers['vary']]).toEqual([
      coding,
      expect.stringContaining('Accept-Encoding'),
    ]);
    const text = coding === 'br' ? brotliDecompressSync(body) : coding === 'gzip' ? gunzipSync(body) : body;
    expect(String(text)).toBe(String(plain.body));
    expect(Number(headers['content-length'])).toBe(body.length);
    if (coding) expect(body.length * 3).toBeLessThan(plain.body.length);
  });

  test('does not touch tiny bodies, nor answers that nobody may keep', async () => {
    for (const path of ['/health/live', '/docs'])
      expect((await raw(path, { 'accept-encoding': 'br' })).headers).not.toHaveProperty('content-encoding');
  });

  test('a compressed document has a tag of its own, which preconditions take as the other', async () => {
    const path = `/posts/${(await aPost({ body: 'long '.repeat(500), status: 'published' }))._id}`;
    const plain = (await raw(path, {})).headers['etag'] as string;
    const coded = (await raw(path, { 'accept-encoding': 'gzip' })).headers['etag'] as string;
    expect(coded).toBe(plain.replace(/"$/, '-gzip"'));
    for (const known of [plain, coded, `"other", ${coded}`]) {
      const { status, headers } = await raw(path, { 'accept-encoding': 'gzip', 'if-none-match': known });
      expect([status, headers['etag']]).toEqual([304, known.includes(coded) ? coded : plain]);
    }
    expect((await api.patch(path, { title: 'New' }, { headers: { 'if-match': coded } })).status).toBe(200);
    expect((await api.patch(path, { title: 'Old' }, { headers: { 'if-match': coded } })).status).toBe(412);
  });
});

test('every answer says how it may be kept', async () => {
  const { token } = await aCaller('member');
  for (const [path, as, expected] of [
    ['/books', '', 'no-cache'],
    ['/books', token, 'private, no-cache'],
    ['/books/65f000000000000000000b0f', '', 'no-cache'],
    ['/nowhere', '', 'no-cache'],
    ['/problems', '', 'no-cache'],
    ['/me', token, 'no-store'],
    ['/me', '', 'no-store'],
  ] as const)
    expect([path, (await api.get(path, { as })).headers.get('cache-control')]).toEqual([path, expected]);
});

test('the OpenAPI document has a tag, is compressed, and counts', async () => {
  const first = await raw('/openapi.json', { 'accept-encoding': 'br' });
  const etag = first.headers['etag'] as string;
  expect([etag, first.headers['content-encoding']]).toEqual([
    expect.stringMatching(/^"[\w-]{22}-br"$/),
    'br',
  ]);
  expect(first.headers).toMatchObject({ 'cache-control': 'no-cache', ratelimit: expect.any(String) });
  const second = await raw('/openapi.json', { 'accept-encoding': 'br', 'if-none-match': etag });
  expect([second.status, second.headers['etag'], second.body.length]).toEqual([304, etag, 0]);
});
