import type { Types } from 'mongoose';
import { aUser, stored } from '../support/factories.ts';
import { Book } from './books/book.ts';
import { Post } from './posts/post.ts';
import { Tag } from './tags/tag.ts';

/** Valid documents of the sample, as a test needs them. */

export { aUser };

let count = 0;

export const aBook = (overrides: object = {}) =>
  stored(Book, {
    title: `Book ${++count}`,
    authors: ['A. Uthor'],
    year: 2001,
    language: 'en',
    ...overrides,
  });

/** What a client may send to make a book; it refers to nothing. */
export const validBook = ((): Omit<typeof Book.example, 'id' | 'createdAt' | 'updatedAt'> => {
  const { id, createdAt, updatedAt, ...body } = Book.example;
  return { ...body, ...Book.defaults };
})();

export const aTag = (overrides: object = {}) => stored(Tag, { name: `tag ${++count}`, ...overrides });

/** Its author, too, unless one is named. */
export const aPost = async (overrides: { author?: Types.ObjectId; [field: string]: unknown } = {}) =>
  stored(Post, {
    title: `Post ${++count}`,
    body: 'What I think.',
    author: overrides.author ?? (await aUser())._id,
    ...overrides,
  });
