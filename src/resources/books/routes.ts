import { create, links, read, remove, replace, update } from '../../http/crud.ts';
import { exportAll } from '../../http/export.ts';
import { groups } from '../../http/groups/groups.ts';
import { list, related } from '../../http/list.ts';
import type { Route } from '../../http/route.ts';
import { Book } from './book.ts';
import { Tag } from '../tags/tag.ts';

export const listing = {
  filter: ['id', 'title', 'authors', 'year', 'isbn', 'language', 'tags', 'tags.name', 'createdAt'],
  sort: ['title', 'year', 'createdAt', '-year,title'],
  groups: ['language', 'year', 'authors', 'tags', 'createdAt'],
  measures: ['year', 'createdAt'],
} as const;

/** A valid body for a new book. */
export const example = {
  title: 'The Dispossessed',
  authors: ['Ursula K. Le Guin'],
  year: 1974,
  isbn: '9780061054884',
  language: 'en',
};

export const routes = (): Route[] => [
  list(Book, listing),
  exportAll(Book, listing),
  groups(Book, listing),
  create(Book, { example }),
  read(Book),
  replace(Book),
  update(Book, { example: { year: 1969, language: 'en-US' } }),
  remove(Book, { example: '65f000000000000000000b02' }),
  ...links(Book, 'tags'),
  related(Tag, Book, 'tags', listing),
];
