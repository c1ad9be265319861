import type { Types } from 'mongoose';
import { Book } from '../../src/resources/books/book.ts';
import { Post } from '../../src/resources/posts/post.ts';
import { Tag } from '../../src/resources/tags/tag.ts';
import { User } from '../../src/resources/users/user.ts';
import { typical } from '../../src/schema/example.ts';
import { modelOf } from '../../src/schema/model.ts';

/** Valid documents, as a test needs them; what it does not name is made up, or as the resource's example has it. */

let count = 0;

export const aBook = (overrides: object = {}) =>
  modelOf(Book).create({
    ...typical(Book),
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

export const aTag = (overrides: object = {}) =>
  modelOf(Tag).create({ ...typical(Tag), name: `tag ${++count}`, ...overrides });

export const aUser = (overrides: object = {}) =>
  modelOf(User).create({
    ...typical(User),
    name: `User ${++count}`,
    email: `user${count}@example.org`,
    ...overrides,
  });

/** Its author, too, unless one is named. */
export const aPost = async (overrides: { author?: Types.ObjectId; [field: string]: unknown } = {}) =>
  modelOf(Post).create({
    ...typical(Post),
    title: `Post ${++count}`,
    body: 'What I think.',
    author: overrides.author ?? (await aUser())._id,
    ...overrides,
  });
