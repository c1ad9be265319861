import type { Types } from 'mongoose';
import { Book } from '../../src/resources/books/book.ts';
import { Post } from '../../src/resources/posts/post.ts';
import { Tag } from '../../src/resources/tags/tag.ts';
import { User } from '../../src/resources/users/user.ts';

/** Valid stored documents, as a test needs them; what it does not name is made up. */

let count = 0;

export const aBook = (overrides: object = {}) =>
  Book.model.create({
    title: `Book ${++count}`,
    authors: ['A. Uthor'],
    year: 2001,
    isbn: null,
    language: 'en',
    tags: [],
    ...overrides,
  });

export const aTag = (overrides: object = {}) =>
  Tag.model.create({ name: `tag ${++count}`, description: null, ...overrides });

export const aUser = (overrides: object = {}) =>
  User.model.create({
    name: `User ${++count}`,
    email: `user${count}@example.org`,
    role: 'member',
    bio: null,
    passwordHash: null,
    ...overrides,
  });

/** Its author, too, unless one is named. */
export const aPost = async (overrides: { author?: Types.ObjectId; [field: string]: unknown } = {}) =>
  Post.model.create({
    title: `Post ${++count}`,
    body: 'What I think.',
    status: 'draft',
    publishedAt: null,
    author: overrides.author ?? (await aUser())._id,
    books: [],
    tags: [],
    ...overrides,
  });
