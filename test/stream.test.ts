import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import mongoose from 'mongoose';
import { Book } from '../src/resources/index.ts';
import { aBook, aPost, aUser } from './support/factories.ts';
import { useApi } from './support/harness.ts';

const api = useApi();
const ndjson = { headers: { accept: 'application/x-ndjson' } };
const csv = { headers: { accept: 'text/csv' } };

const lines = (text: string): any[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

test('a list streams as one JSON document a line, with the same filters, sort, fields and joins', async () => {
  const ann = await aUser({ name: 'Ann' });
  for (let i = 0; i < 3; i++) await aPost({ title: `p${i}`, author: ann._id });
  await aPost({ title: 'other' });
  const { status, headers, body } = await api.get(
    `/posts?author=${ann._id}&sort=-title&include=author&fields=title,author.name`,
    ndjson,
  );
  expect([status, headers.get('content-type')]).toEqual([200, 'application/x-ndjson']);
  expect(lines(body)).toEqual(
    ['p2', 'p1', 'p0'].map((title) => ({
      id: expect.any(String),
      title,
      author: { id: String(ann._id), name: 'Ann' },
    })),
  );
  expect(lines((await api.get('/posts?limit=2', ndjson)).body)).toHaveLength(2);
});

test('a list streams as CSV, names first', async () => {
  await aBook({ title: 'A "b", c', authors: ['X', 'Y'], year: null });
  const { headers, body } = await api.get('/books?fields=title,authors,year', csv);
  expect(headers.get('content-type')).toMatch(/^text\/csv/);
  expect(body.split('\r\n')).toEqual([
    'id,title,authors,year',
    expect.stringMatching(/^[0-9a-f]{24},"A ""b"", c","\[""X"",""Y""\]",$/),
    '',
  ]);
  expect((await api.get('/books?year=1', csv)).body).toMatch(/^id,title,authors[^\n]*\r\n$/);
});

test('a stream has no pages, and says so', async () => {
  const { status, body } = await api.get('/books?offset=1&count=exact', ndjson);
  expect([status, body.errors.map(({ parameter }: any) => parameter)]).toEqual([422, ['offset', 'count']]);
  expect((await api.get('/books', { headers: { accept: 'image/png' } })).status).toBe(406);
});

test('a large collection streams whole, and ends on the server when the client goes away', async () => {
  const count = 20_000;
  await Book.model.collection.insertMany(
    Array.from({ length: count }, (_, i) => ({
      title: `t${i}`,
      authors: ['a'.repeat(180)],
      year: i % 2000,
      isbn: null,
      language: null,
      tags: [],
      createdAt: new Date(),
      updatedAt: new Date(),
    })) as any,
  );
  const { body } = await api.get('/books?sort=year&fields=year', ndjson);
  const years = lines(body).map(({ year }) => year);
  expect(years).toHaveLength(count);
  expect(years).toEqual([...years].sort((a, b) => a - b));

  const openCursors = async () =>
    ((await mongoose.connection.getClient().db('admin').command({ serverStatus: 1, metrics: 1 })) as any)
      .metrics.cursor.open.total as number;
  const before = await openCursors();
  await new Promise<void>((resolve) => {
    const request = get(`${api.url()}/books`, ndjson, (response) =>
      response.once('data', () => {
        request.destroy();
        resolve();
      }),
    );
    request.on('error', () => {});
  });
  for (let i = 0; i < 50 && (await openCursors()) > before; i++) await sleep(100);
  expect(await openCursors()).toBeLessThanOrEqual(before);
});
