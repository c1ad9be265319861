import { create, list, read, remove, replace, update } from '../../http/crud.ts';
import { Book } from './book.ts';

export const books = [
  list(Book, {
    filter: ['title', 'authors', 'year', 'isbn', 'language'],
    sort: ['title', 'year', 'createdAt'],
  }),
  create(Book, {
    example: {
      title: 'The Dispossessed',
      authors: ['Ursula K. Le Guin'],
      year: 1974,
      isbn: '9780061054884',
      language: 'en',
    },
  }),
  read(Book),
  replace(Book),
  update(Book, { example: { year: 1969, language: 'en-US' } }),
  remove(Book),
];
