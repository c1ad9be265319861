import createClient from 'openapi-fetch';
import type { components, paths } from './openapi/api.d.ts';
import { CREDENTIALS } from './support/callers.ts';
import { validBook } from './sample/factories.ts';
import { useApi } from './support/harness.ts';

/**
 * A client as a team would make it: openapi-fetch with the types of the OpenAPI document. That it compiles is half the
 * test: `npm run lint:openapi` generates the types and compiles this file.
 */

const api = useApi();

describe('a typed client', () => {
  const client = () =>
    createClient<paths>({
      baseUrl: api.url(),
      headers: { authorization: CREDENTIALS },
    });
  type Problem = components['schemas']['Problem'];

  test('a typed client creates, reads, lists, pages, changes and removes', async () => {
    const { GET, POST, PATCH, DELETE } = client();
    const tag = await POST('/tags', { body: { name: 'epic' } });
    for (const year of [1965, 1969, 1974]) {
      const body = { ...validBook, title: `Book of ${year}`, year, tags: [tag.data?.id as string] };
      expect(
        (await POST('/books', { body, params: { header: { 'Idempotency-Key': `key ${year}` } } })).response
          .status,
      ).toBe(201);
    }
    const query = {
      'year[gte]': 1966,
      'year[in]': [1969, 1974],
      sort: '-year',
      include: ['tags'],
      limit: 1,
      count: 'exact',
    } as const;
    const first = await GET('/books', {
      params: { query: { ...query, include: ['tags'], 'year[in]': [1969, 1974] } },
    });
    expect(first.data?.page.total).toBe(2);
    expect(first.data?.items[0]).toMatchObject({ year: 1974, tags: [{ name: 'epic' }] });
    const title: string | undefined = first.data?.items[0]?.title;
    expect(title).toBe('Book of 1974');
    const after = first.data?.page.next as string;
    const second = await GET('/books', {
      params: { query: { ...query, include: ['tags'], 'year[in]': [1969, 1974], after } },
    });
    expect(second.data?.items.map(({ year }) => year)).toEqual([1969]);

    const id = second.data?.items[0]?.id as string;
    const read = await GET('/books/{id}', { params: { path: { id } } });
    const etag = read.response.headers.get('etag') as string;
    const changed = await PATCH('/books/{id}', {
      params: { path: { id }, header: { 'If-Match': etag } },
      body: { year: null },
    });
    expect(changed.data?.year).toBeNull();
    const lost = await PATCH('/books/{id}', {
      params: { path: { id }, header: { 'If-Match': etag } },
      body: { year: 1 },
    });
    expect(lost.error?.code).toBe('precondition_failed');
    expect((await DELETE('/books/{id}', { params: { path: { id } } })).response.status).toBe(204);
  });

  test('a refusal is a typed problem that names every fault', async () => {
    const { GET, POST } = client();
    const wrong = await POST('/books', { body: { ...validBook, title: '', authors: [], isbn: '123' } });
    const problem: Problem | undefined = wrong.error;
    expect(problem?.errors?.map(({ pointer, code }) => [pointer, code])).toEqual([
      ['/title', 'too_short'],
      ['/authors', 'too_small'],
      ['/isbn', 'invalid_format'],
    ]);
    const missing = await GET('/books/{id}', { params: { path: { id: '65f000000000000000000b0f' } } });
    expect(missing.error?.code).toBe('not_found');
    // @ts-expect-error: no such filter
    expect((await GET('/books', { params: { query: { colour: 'red' } } })).error?.code).toBe(
      'unknown_parameter',
    );
    // @ts-expect-error: a year is a number
    expect((await GET('/books', { params: { query: { year: 'x' } } })).error?.code).toBe('validation_failed');
  });

  test('a batch and the commands answer with typed documents', async () => {
    const { POST } = client();
    const { data } = await POST('/batch', {
      body: {
        operations: [
          { method: 'create', resource: 'users', as: 'ann', body: { name: 'Ann', email: 'ann@example.org' } },
          { method: 'create', resource: 'posts', body: { title: 'Hello', body: 'World', author: '$ann' } },
        ],
      },
    });
    const post = data?.results[1];
    if (post?.resource !== 'posts') throw new Error('the second result is not of posts');
    expect(post.document?.author).toBe(data?.results[0]?.id);
    const published = await POST('/posts/{id}/publish', { params: { path: { id: post.id } } });
    expect(published.data?.status).toBe('published');
  });
});
