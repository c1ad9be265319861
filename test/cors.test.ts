import { expect, test } from '@jest/globals';
import { useApi } from './support/harness.ts';

const OURS = 'https://app.example.org';
const api = useApi({ corsOrigins: [OURS] });

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
