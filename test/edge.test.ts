import { pino } from 'pino';
import { drain } from '../src/http/server.ts';
import { Book } from './sample/books/book.ts';
import { CREDENTIALS } from './support/callers.ts';
import { aBook } from './sample/factories.ts';
import { serve, SHORT_TIMES, useApi } from './support/harness.ts';
import { dial, exchange, type RawAnswer } from './support/socket.ts';
import { modelOf } from '../src/schema/model.ts';

/** The web origin whose pages may call it. */
const OURS = 'https://app.example.org';
const log: any[] = [];
const logger = pino({ level: 'info' }, { write: (line) => void log.push(JSON.parse(line)) });
const api = useApi({ corsOrigins: [OURS], logger });

const dune = { title: 'Dune', authors: ['Frank Herbert'] };
const JSON_HEADERS = `Host: localhost\r\nAuthorization: ${CREDENTIALS}\r\nContent-Type: application/json\r\n`;
const post = (body: string) =>
  `POST /books HTTP/1.1\r\n${JSON_HEADERS}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const alive = 'GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n';
const chunk = (bytes: string | Uint8Array) =>
  Buffer.concat([
    Buffer.from(`${Buffer.byteLength(bytes).toString(16)}\r\n`),
    Buffer.from(bytes),
    Buffer.from('\r\n'),
  ]);
const chunked = `POST /books HTTP/1.1\r\n${JSON_HEADERS}Transfer-Encoding: chunked\r\n\r\n`;

function expectProblem(answer: RawAnswer | undefined, status: number, code: string): any {
  expect([answer?.status, answer?.headers['content-type']]).toEqual([status, 'application/problem+json']);
  const problem = JSON.parse(answer?.body as string);
  expect(problem).toMatchObject({ type: `/problems/${code}`, status, code });
  expect(problem.requestId).toBe(answer?.headers['x-request-id']);
  return problem;
}

describe('the request id', () => {
  const idOf = async (given?: string) => {
    log.length = 0;
    const { headers, body } = await api.get('/nowhere', { headers: given ? { 'x-request-id': given } : {} });
    expect(body.requestId).toBe(headers.get('x-request-id'));
    expect(body.requestId).toMatch(/^[\da-f-]{36}$/);
    expect(log.map(({ req }) => req.id)).toEqual([body.requestId]);
    return { id: body.requestId as string, client: log[0].req.clientId as unknown };
  };

  test('is the server’s own, each time another; what the client calls the request is kept beside it', async () => {
    const ids = new Set<string>();
    for (const given of ['a', 'a', 'order-66_x.1', 'a'.repeat(64), undefined, undefined]) {
      const { id, client } = await idOf(given);
      expect([client, ids.has(id)]).toEqual([given, false]);
      ids.add(id);
    }
  });

  test.each(['a'.repeat(65), 'a b', '<script>', 'a/b', 'a"b', 'é', '{}', '$ne'])(
    'of the client is left out where it could harm a log: %s',
    async (given) => expect((await idOf(given)).client).toBeUndefined(),
  );
});

describe('where no route answers,', () => {
  test.each([
    '/nowhere',
    '/books/',
    '/Books',
    '/BOOKS',
    '//books',
    '/books//',
    '/books/x/y',
    '/.env',
    '/openapi.json/',
    '/docs/../books/',
  ])('GET %s is a 404 that says so', async (path) => {
    const answer = await exchange(api.url(), `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    expect(expectProblem(answer, 404, 'route_not_found').instance).toBe(path);
  });

  test.each([
    ['DELETE', '/books', 'GET, HEAD, POST'],
    ['PATCH', '/books', 'GET, HEAD, POST'],
    ['POST', '/books/0123456789abcdef01234567', 'DELETE, GET, HEAD, PATCH, PUT'],
    ['POST', '/', 'GET, HEAD'],
    ['PUT', '/openapi.json', 'GET, HEAD'],
    ['DELETE', '/docs', 'GET, HEAD'],
  ])('%s %s is a 405 with the methods that there are', async (method, path, allow) => {
    const { status, headers, body } = await api.call(method, path);
    expect([status, body.code]).toEqual([405, 'method_not_allowed']);
    expect(headers.get('allow')?.split(', ').sort().join(', ')).toBe(allow);
  });

  test('OPTIONS says which methods there are, and of nothing that there is nothing', async () => {
    const { status, headers, body } = await api.call('OPTIONS', '/books');
    expect([Math.floor(status / 100), body]).toEqual([2, undefined]);
    expect(headers.get('allow')?.split(', ').sort()).toEqual(['GET', 'HEAD', 'POST']);
    expect((await api.call('OPTIONS', '/nowhere')).status).toBe(404);
  });

  test.each(['PROPFIND', 'TRACE', 'MKCOL', 'PURGE', 'LOCK'])('%s is a 501', async (method) => {
    const answer = await exchange(api.url(), `${method} /books HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    expectProblem(answer, 501, 'method_not_implemented');
  });

  test.each([
    '%2F',
    '..%2F..',
    '%2e%2e',
    '%00',
    '%E0%A4%A',
    '%',
    '%zz',
    '%F0%9F%93%9A',
    "'",
    '|',
    '[x]',
    '$ne',
    '{id}',
    '"',
    '<b>',
  ])('an id of %s is a 404 whose instance is a URI', async (id) => {
    const answer = await exchange(api.url(), `GET /books/${id} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    const { instance } = expectProblem(answer, 404, 'not_found');
    expect(instance).toMatch(/^\/books\/([\w.~!$&'()*+,;=:@-]|%[\da-f]{2})+$/i);
  });
});

test('HEAD answers the headers of GET and no body', async () => {
  const { _id } = await aBook();
  for (const path of ['/books', `/books/${_id}`, '/openapi.json', '/docs', '/books/nobody']) {
    const [get, head] = await Promise.all(
      ['GET', 'HEAD'].map((method) =>
        exchange(api.url(), `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: same\r\n\r\n`, {
          head: method === 'HEAD',
        }),
      ),
    );
    expect([head?.status, head?.body]).toEqual([get?.status, '']);
    for (const name of ['content-type', 'content-length'])
      expect([path, name, head?.headers[name]]).toEqual([path, name, get?.headers[name]]);
  }
});

test('the answer is JSON; a client that takes something else only is told so, and nothing happens', async () => {
  for (const accept of ['*/*', 'application/*', 'application/json', 'text/html, application/json;q=0.1'])
    expect((await api.get('/books', { headers: { accept } })).status).toBe(200);
  for (const accept of ['text/html', 'application/xml', 'application/json;q=0', 'image/*']) {
    const { status, body } = await api.post('/books', dune, { headers: { accept } });
    expect([status, body.code]).toEqual([406, 'not_acceptable']);
  }
  expect(await modelOf(Book).countDocuments()).toBe(0);
});

describe('the URL', () => {
  test('may have 8 KiB; one that is longer is a 414, and one beyond all headers a 431', async () => {
    const long = (length: number) => `/books?title=${'a'.repeat(length - '/books?title='.length)}`;
    expect((await api.get(long(8192))).body.code).toBe('validation_failed');
    expect((await api.get(long(8193))).body.code).toBe('url_too_long');
    const answer = await exchange(api.url(), `GET ${long(20_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    expectProblem(answer, 431, 'headers_too_large');
  });

  test('may be absolute, as a proxy sends it; an absolute one that is none is a 400', async () => {
    const get = (target: string) => exchange(api.url(), `GET ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    expect((await get('http://localhost/health/live')).status).toBe(200);
    for (const target of ['http://[', 'http:', 'x'])
      expectProblem(await get(target), 400, 'malformed_request');
    expectProblem(await get('*'), 404, 'route_not_found');
  });
});

describe('the media type', () => {
  const send = (headers: Record<string, string>, method = 'POST', path = '/books') =>
    api.call(method, path, { raw: JSON.stringify(dune), headers });

  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/xml',
    'application/jsonp',
    'application/json-patch+json',
    'application/merge-patch+json',
    'application/json, text/plain',
    'text/plain, application/json',
    'application/json/x',
    'json',
    'application/json; charset=latin1',
    'application/json; charset=utf-16',
    'application/json; charset=utf-8; charset=latin1',
    '💥',
  ])('%s is refused, and the answer says what is taken', async (type) => {
    const { status, headers, body } = await send({ 'content-type': Buffer.from(type).toString('latin1') });
    expect([status, body.code]).toEqual([415, 'unsupported_media_type']);
    expect(headers.get('accept')).toBe('application/json');
    expect(await modelOf(Book).countDocuments()).toBe(0);
  });

  test('that is missing is refused', async () => {
    const answer = await exchange(api.url(), post('{}').replace(/Content-Type.*\r\n/, ''));
    expectProblem(answer, 415, 'unsupported_media_type');
  });

  test('for PATCH may be a merge patch, and the refusal says so', async () => {
    const { _id } = await aBook();
    const { status, headers } = await send({ 'content-type': 'text/plain' }, 'PATCH', `/books/${_id}`);
    expect([status, headers.get('accept-patch')]).toEqual([
      415,
      expect.stringContaining('application/merge-patch+json'),
    ]);
  });

  test.each([
    'APPLICATION/JSON',
    'application/json;charset=utf-8',
    'application/json; charset="UTF-8"',
    'application/json; x=y',
  ])('%s is taken', async (type) => expect((await send({ 'content-type': type })).status).toBe(201));

  test.each(['gzip', 'deflate', 'br', 'x', 'identity, gzip'])(
    'a body in %s is refused unread',
    async (encoding) => {
      const { status, headers, body } = await send({
        'content-type': 'application/json',
        'content-encoding': encoding,
      });
      expect([status, body.code, headers.get('accept-encoding')]).toEqual([
        415,
        'unsupported_media_type',
        'identity',
      ]);
    },
  );
});

describe('a body', () => {
  const send = (raw: string | Uint8Array) =>
    api.call('POST', '/books', { raw, headers: { 'content-type': 'application/json' } });
  const refused = async (raw: string | Uint8Array) => {
    const { status, body } = await send(raw);
    expect([status, body.code]).toEqual([400, 'malformed_json']);
    return body.detail as string;
  };

  test.each(['', ' ', '\n\t'])('of nothing, %j, is refused', async (raw) => {
    expect(await refused(raw)).toMatch(/empty|not JSON/);
  });

  test('that has a length of 0, or none and no bytes, is refused as empty', async () => {
    for (const head of ['Content-Length: 0\r\n', ''])
      expectProblem(
        await exchange(api.url(), `POST /books HTTP/1.1\r\n${JSON_HEADERS}${head}\r\n`),
        400,
        'malformed_json',
      );
  });

  test('that is broken is refused with the place, and not repeated', async () => {
    const detail = await refused('{"title": "top secret" "authors": []}');
    expect(detail).toMatch(/position 23/);
    expect(detail).not.toContain('secret');
    for (const raw of [
      '{"secret"',
      '{secret: 1}',
      "{'secret': 1}",
      '{"a": secret}',
      '[1,]',
      '{"a":1}}',
      '{"a":1} {"a":1}',
    ])
      expect(await refused(raw)).not.toContain('secret');
  });

  test.each(['NaN', 'undefined', '01', '+1'])('that is %s is refused', (raw) => refused(raw));

  test('that is an array is refused', async () => {
    const { status, body } = await send(JSON.stringify([dune]));
    expect([status, body.errors]).toEqual([
      422,
      [expect.objectContaining({ pointer: '', code: 'invalid_type' })],
    ]);
  });

  test('that is not UTF-8 is refused, also where it breaks between two pieces', async () => {
    const [before, after] = [Buffer.from('{"title":"'), Buffer.from('","authors":["A"]}')];
    for (const bad of [
      [0xff],
      [0xc3, 0x28],
      [0xe2, 0x82],
      [0xed, 0xa0, 0x80],
      [0xc0, 0xaf],
      [0xf0, 0x9f, 0x93],
    ]) {
      expect(await refused(Buffer.concat([before, Buffer.from(bad), after]))).toMatch(/UTF-8/);
      const socket = await dial(api.url());
      socket.send(Buffer.concat([Buffer.from(chunked), chunk(before), chunk(Buffer.from(bad))]));
      socket.send(Buffer.concat([chunk(after), Buffer.from('0\r\n\r\n')]));
      expectProblem(await socket.answer(), 400, 'malformed_json');
      socket.hangUp();
    }
    expect(await refused(Buffer.concat([before, Buffer.from([0xf0, 0x9f])]))).toBeTruthy();
  });

  test('whose characters are split between two pieces is taken', async () => {
    const socket = await dial(api.url());
    const bytes = Buffer.from(JSON.stringify({ title: 'Ä 📚', authors: ['é'] }));
    socket.send(chunked);
    for (const byte of bytes) {
      socket.send(chunk(Uint8Array.of(byte)));
      await new Promise(setImmediate);
    }
    socket.send('0\r\n\r\n');
    const answer = await socket.answer();
    socket.hangUp();
    expect([answer?.status, JSON.parse(answer?.body ?? '').title]).toEqual([201, 'Ä 📚']);
  });

  test('may begin with a byte order mark, which does not reach the database', async () => {
    const { status, body } = await send(`\ufeff${JSON.stringify(dune)}`);
    expect([status, body.title]).toEqual([201, 'Dune']);
  });

  test('may be nested 20 levels deep and no deeper, however deep it is', async () => {
    const nested = (depth: number) => `${'[{"a":'.repeat(depth / 2)}1${'}]'.repeat(depth / 2)}`;
    expect((await send(nested(20))).status).toBe(422);
    expect(await refused(`[${nested(20)}]`)).toMatch(/20 levels/);
    expect(await refused('['.repeat(50_000) + ']'.repeat(50_000))).toMatch(/20 levels/);
    expect(await refused('['.repeat(100_000))).toBeTruthy();
    expect(await refused('{"a":'.repeat(20_000))).toBeTruthy();
  });

  test.each(['{"__proto__":{"role":"admin"}}', '{"a":{"__proto__":null}}', '{"\\u005f_proto__":1}'])(
    'with the key __proto__ is refused: %s',
    async (raw) => {
      const detail = await refused(raw);
      expect(detail).toContain('__proto__');
      expect(({} as { role?: string }).role).toBeUndefined();
    },
  );

  test('with keys that every object has is refused like any unknown field', async () => {
    const { status, body } = await send(
      '{"title":"A","authors":["A"],"constructor":{"prototype":{}},"toString":1}',
    );
    expect([status, body.errors.map((fault: any) => fault.pointer)]).toEqual([
      422,
      ['/constructor', '/toString'],
    ]);
  });

  test('with the same key twice counts as the last, as JSON.parse has it', async () => {
    expect((await send('{"title":"A","title":"B","authors":["A"]}')).body.title).toBe('B');
  });

  test('of a thousand unknown keys has 50 of them named; more are not looked at', async () => {
    const keys = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`k${i}`, i]));
    const { status, body } = await api.post('/books', keys(1_000));
    expect([status, body.errors.length]).toEqual([422, 50]);
    expect(body.detail).toContain('more than 50');
    // What stands in a text is no name.
    const text = '\\":'.repeat(11_000);
    for (const [body, code] of [
      [keys(1_001), 'body_too_large'],
      [{ title: Array(11).fill(keys(950)) }, 'body_too_large'],
      [{ title: text, authors: ['A'] }, 'validation_failed'],
    ] as const)
      expect((await api.post('/books', body)).body.code).toBe(code);
  });

  test('of 100 KiB is taken', async () => {
    const json = JSON.stringify(dune);
    expect((await send(json + ' '.repeat(100 * 1024 - json.length))).status).toBe(201);
  });

  test.each([
    [
      'declared',
      `POST /books HTTP/1.1\r\n${JSON_HEADERS}Content-Length: 300000\r\n\r\n`,
      ' '.repeat(300_000),
    ],
    ['in pieces', chunked, Buffer.concat([chunk(' '.repeat(300_000)), Buffer.from('0\r\n\r\n')])],
    [
      'one byte too large',
      `POST /books HTTP/1.1\r\n${JSON_HEADERS}Content-Length: 102401\r\n\r\n`,
      ' '.repeat(102_401),
    ],
  ])('that is larger, %s, is a 413, and the connection goes on', async (_, head, bytes) => {
    const socket = await dial(api.url());
    socket.send(head);
    socket.send(bytes);
    expectProblem(await socket.answer(), 413, 'body_too_large');
    socket.send(alive);
    expect((await socket.answer())?.status).toBe(200);
    socket.hangUp();
  });

  test('of a refused type is read over, and the connection goes on', async () => {
    const socket = await dial(api.url());
    socket.send(post('x'.repeat(200_000)).replace('application/json', 'text/plain'));
    expectProblem(await socket.answer(), 415, 'unsupported_media_type');
    socket.send(alive);
    expect((await socket.answer())?.status).toBe(200);
    socket.hangUp();
  });

  test('of a GET or a DELETE is ignored', async () => {
    const { _id } = await aBook();
    const socket = await dial(api.url());
    for (const [method, path, status] of [
      ['GET', '/books', 200],
      ['DELETE', `/books/${_id}`, 204],
    ] as const) {
      socket.send(`${method} ${path} HTTP/1.1\r\n${JSON_HEADERS}Content-Length: 9\r\n\r\n{"limit":`);
      expect((await socket.answer())?.status).toBe(status);
    }
    socket.hangUp();
  });

  test('that a client leaves unfinished is not stored, and the server goes on', async () => {
    const socket = await dial(api.url());
    const whole = post(JSON.stringify(dune));
    socket.send(whole.slice(0, -5));
    await new Promise((resolve) => setTimeout(resolve, 50));
    socket.hangUp();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect((await api.get('/health/live')).status).toBe(200);
    expect(await modelOf(Book).countDocuments()).toBe(0);
  });
});

describe('a request that is not HTTP as it should be', () => {
  test.each([
    [
      'says its length in two ways',
      `POST /books HTTP/1.1\r\n${JSON_HEADERS}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    [
      'has two lengths',
      `POST /books HTTP/1.1\r\n${JSON_HEADERS}Content-Length: 4\r\nContent-Length: 5\r\n\r\n{   }`,
    ],
    [
      'has a length that is no number',
      `POST /books HTTP/1.1\r\n${JSON_HEADERS}Content-Length: 4x\r\n\r\n{  }`,
    ],
    [
      'has an encoding that ends in another than chunked',
      `POST /books HTTP/1.1\r\n${JSON_HEADERS}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`,
    ],
    [
      'has a space before a colon',
      `POST /books HTTP/1.1\r\n${JSON_HEADERS}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`,
    ],
    ['has a folded header', 'GET / HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n c: d\r\nX\r\n\r\n'],
    ['has a chunk of no size', `${chunked}zz\r\n{}\r\n0\r\n\r\n`],
    ['has a method that nobody knows', 'BREW /books HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['has a NUL in a header', 'GET / HTTP/1.1\r\nHost: localhost\r\nX-A: a\0b\r\n\r\n'],
    ['has a letter beyond ASCII in its URL', 'GET /é HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['is of another version', 'GET / HTTP/3.0\r\nHost: localhost\r\n\r\n'],
    ['is another protocol', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  ])('because it %s is a 400', async (_, bytes) => {
    const socket = await dial(api.url());
    socket.send(bytes);
    expectProblem(await socket.answer(), 400, 'malformed_request');
    expect(await socket.ends(1000)).toBe(true);
    socket.hangUp();
    expect(await modelOf(Book).countDocuments()).toBe(0);
  });

  test.each([0, 2])('because it names %d hosts is a 400', async (count) => {
    const hosts = 'Host: localhost\r\n'.repeat(count);
    expectProblem(
      await exchange(api.url(), `GET /health/live HTTP/1.1\r\n${hosts}\r\n`),
      400,
      'malformed_request',
    );
    // Before HTTP/1.1 there was no such header.
    expect((await exchange(api.url(), `GET /health/live HTTP/1.0\r\n\r\n`)).status).toBe(200);
  });

  test('because its headers are too large is a 431', async () => {
    for (const headers of [`X-A: ${'a'.repeat(20_000)}\r\n`, 'X-A: a\r\n'.repeat(6000)])
      expectProblem(
        await exchange(api.url(), `GET / HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`),
        431,
        'headers_too_large',
      );
  });

  test('because it expects what the server does not do is a 417 and not done; 100-continue is met', async () => {
    const expecting = (what: string) => post(JSON.stringify(dune)).replace('\r\n', `\r\nExpect: ${what}\r\n`);
    const refused = await exchange(api.url(), expecting('foo'));
    expect(expectProblem(refused, 417, 'expectation_failed').instance).toBe('/books');
    expect(await modelOf(Book).countDocuments()).toBe(0);
    const socket = await dial(api.url());
    socket.send(expecting('100-continue'));
    expect((await socket.answer())?.status).toBe(100);
    expect((await socket.answer())?.status).toBe(201);
    socket.hangUp();
  });

  test('is let go of, also by a client that never hangs up', async () => {
    const socket = await dial(api.url());
    socket.send('NONSENSE\r\n\r\n');
    expect((await socket.answer())?.status).toBe(400);
    expect(await socket.isGone(3000)).toBe(true);
    socket.hangUp();
  });
});

test('a client that trickles its headers or its body is cut off with a 408, and one that waits between requests is not', async () => {
  const { server, url } = await serve({}, SHORT_TIMES);
  /** Milliseconds until it is cut off. */
  const trickle = async (start: string, drop: string): Promise<number> => {
    const socket = await dial(url);
    socket.send(start);
    const drops = setInterval(() => socket.send(drop), 100);
    const started = performance.now();
    const answer = await socket.answer();
    clearInterval(drops);
    expectProblem(answer, 408, 'request_timeout');
    const patience = performance.now() - started;
    expect(await socket.ends(1000)).toBe(true);
    socket.hangUp();
    return patience;
  };
  const pause = async () => {
    const socket = await dial(url);
    for (let i = 0; i < 2; i++) {
      socket.send(alive);
      expect((await socket.answer())?.status).toBe(200);
      await new Promise((resolve) => setTimeout(resolve, 600));
    }
    socket.hangUp();
  };
  const [, headers, ...bodies] = await Promise.all([
    pause(),
    trickle('GET / HTTP/1.1\r\nHost: localhost\r\n', 'X-A: b\r\n'),
    trickle(`POST /books HTTP/1.1\r\n${JSON_HEADERS}Content-Length: 1000\r\n\r\n{`, ' '),
    trickle(chunked, '1\r\n \r\n'),
  ]);
  // Headers have half of the time that a body has.
  expect(headers).toBeLessThan(Math.min(...bodies));
  expect(Math.max(...bodies)).toBeLessThan(6000);
  expect(await modelOf(Book).countDocuments()).toBe(0);
  await drain(server);
});

describe('what a browser must not do with an answer stands in the headers of', () => {
  test.each([
    ['a list', 'GET /books HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['a created document', post(JSON.stringify(dune))],
    ['the OpenAPI document', 'GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['a page', 'GET /docs HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['OPTIONS', 'OPTIONS /books HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['a 404', 'GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['a 405', 'DELETE /books HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['a 414', `GET /${'a'.repeat(9000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`],
    ['a 422', post('{}')],
    ['a request without Host', 'GET / HTTP/1.1\r\n\r\n'],
    ['a 417', 'GET / HTTP/1.1\r\nHost: localhost\r\nExpect: foo\r\n\r\n'],
    ['a 431', `GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ${'a'.repeat(20_000)}\r\n\r\n`],
    ['what is not HTTP', 'NONSENSE\r\n\r\n'],
  ])('%s', async (_, bytes) => {
    const { headers } = await exchange(api.url(), bytes);
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-resource-policy': 'same-origin',
      'content-security-policy': expect.stringMatching(/^default-src 'none'.*frame-ancestors 'none'/),
      'x-request-id': expect.any(String),
    });
    for (const name of ['x-powered-by', 'server']) expect(headers).not.toHaveProperty(name);
  });
});

describe('pages of other origins', () => {
  const allowed = (headers: Headers) => headers.get('access-control-allow-origin');

  test('pages of the origins that are configured may call the API, and read what it says in headers', async () => {
    for (const path of ['/books', '/nowhere']) {
      const { headers } = await api.get(path, { headers: { origin: OURS } });
      expect([path, allowed(headers)]).toEqual([path, OURS]);
      expect(headers.get('access-control-expose-headers')).toContain('ETag');
    }
    expect(
      allowed((await api.get('/books', { headers: { origin: 'https://other.example.org' } })).headers),
    ).toBeNull();
  });

  test('a browser that asks first is told which methods and headers there are', async () => {
    const headers = {
      origin: OURS,
      'access-control-request-method': 'PATCH',
      'access-control-request-headers': 'if-match',
    };
    const answer = await api.call('OPTIONS', '/books/65f000000000000000000b01', { headers });
    expect([answer.status, allowed(answer.headers)]).toEqual([204, OURS]);
    expect(answer.headers.get('access-control-allow-methods')).toContain('PATCH');
    expect(answer.headers.get('access-control-allow-headers')).toContain('If-Match');
  });
});
