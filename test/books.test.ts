import { expect, test } from '@jest/globals';
import { Book } from '../src/resources/books/book.ts';
import { aBook } from './support/factories.ts';
import { useApi } from './support/harness.ts';

const api = useApi();

const dune = { title: 'Dune', authors: ['Frank Herbert'], year: 1965, isbn: '9780441013593', language: 'en' };

test('a created book is stored as it was sent and can be read where Location says', async () => {
  const created = await api.post('/books', dune);
  expect(created.status).toBe(201);
  expect(created.body).toMatchObject(dune);
  expect(created.headers.get('location')).toBe(`/books/${created.body.id}`);

  const read = await api.get(created.headers.get('location') as string);
  expect(read.status).toBe(200);
  expect(read.body).toEqual(created.body);
  expect(await Book.model.countDocuments({ _id: created.body.id, title: 'Dune' })).toBe(1);
});
