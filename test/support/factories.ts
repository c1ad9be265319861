import { Book } from '../../src/resources/books/book.ts';
import { Tag } from '../../src/resources/tags/tag.ts';

/** Valid stored documents, as a test needs them; what it does not name is made up. */

let count = 0;

export const aBook = (overrides: object = {}) =>
  Book.model.create({
    title: `Book ${++count}`,
    authors: ['A. Uthor'],
    year: 2001,
    isbn: null,
    language: 'en',
    ...overrides,
  });

export const aTag = (overrides: object = {}) =>
  Tag.model.create({ name: `tag ${++count}`, description: null, ...overrides });
