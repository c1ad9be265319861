import { Types } from 'mongoose';
import { Book } from './books/book.ts';
import { Post } from './posts/post.ts';
import { Tag } from './tags/tag.ts';
import { User } from '../../src/resources/users/user.ts';
import type { AnyResource } from '../../src/schema/resource.ts';
import { modelOf } from '../../src/schema/model.ts';

/** Pairs of requests, of which one comes to refer to what the other removes. */

/** The documents of one duel; no other duel knows of them. */
export interface Arena {
  user: Types.ObjectId;
  tag: Types.ObjectId;
  book: Types.ObjectId;
  /** By `owner`, with the tag `spare`. */
  post: Types.ObjectId;
  owner: Types.ObjectId;
  spare: Types.ObjectId;
}

export type Request = [method: string, path: string, body?: object];

export interface Duel {
  name: string;
  /** What refers, by which field, to what. */
  from: AnyResource;
  field: string;
  target: 'user' | 'tag' | 'book';
  refer: (arena: Arena) => Request;
  remove: (arena: Arena) => Request;
  /** The statuses of both: of `refer` when it was first, or when `remove` was. */
  outcomes: [string, string];
}

/** As many arenas as there are to be duels, made at once. */
export async function arenas(count: number): Promise<Arena[]> {
  const all = Array.from({ length: count }, () => ({
    user: new Types.ObjectId(),
    tag: new Types.ObjectId(),
    book: new Types.ObjectId(),
    post: new Types.ObjectId(),
    owner: new Types.ObjectId(),
    spare: new Types.ObjectId(),
  }));
  await modelOf(User).insertMany(
    all
      .flatMap(({ user, owner }) => [user, owner])
      .map((_id) => ({ ...User.defaults, _id, name: 'Name', email: `${_id.toHexString()}@example.org` })),
  );
  await modelOf(Tag).insertMany(
    all
      .flatMap(({ tag, spare }) => [tag, spare])
      .map((_id) => ({ ...Tag.defaults, _id, name: _id.toHexString() })),
  );
  await modelOf(Book).insertMany(all.map(({ book: _id }) => ({ ...Book.defaults, ...book, _id })));
  await modelOf(Post).insertMany(
    all.map(({ post: _id, owner, spare }) => ({
      ...Post.defaults,
      ...post,
      _id,
      author: owner,
      tags: [spare],
    })),
  );
  return all;
}

const post = { title: 'Post', body: 'Body' };
const book = { title: 'Book', authors: ['A. Uthor'] };

const duel = (
  name: string,
  [from, field, target]: [AnyResource, string, Duel['target']],
  outcomes: Duel['outcomes'],
  refer: Duel['refer'],
  remove: Duel['remove'] = (arena) => ['DELETE', `/${target}s/${arena[target]}`],
): Duel => ({ name, from, field, target, outcomes, refer, remove });

const author: [AnyResource, string, 'user'] = [Post, 'author', 'user'];
const books: [AnyResource, string, 'book'] = [Post, 'books', 'book'];
const tags: [AnyResource, string, 'tag'] = [Post, 'tags', 'tag'];

export const duels: Duel[] = [
  duel('a new post, and its author', author, ['201 409', '422 204'], ({ user }) => [
    'POST',
    '/posts',
    { ...post, author: user },
  ]),
  duel('a new post, and one of its tags', tags, ['201 204', '422 204'], ({ owner, spare, tag }) => [
    'POST',
    '/posts',
    { ...post, author: owner, tags: [spare, tag] },
  ]),
  duel('a new post, and its book', books, ['201 409', '422 204'], ({ owner, book }) => [
    'POST',
    '/posts',
    { ...post, author: owner, books: [book] },
  ]),
  duel('a new book, and its tag', [Book, 'tags', 'tag'], ['201 204', '422 204'], ({ tag }) => [
    'POST',
    '/books',
    { ...book, tags: [tag] },
  ]),
  duel('PATCH of an author, and the author', author, ['200 409', '422 204'], ({ post, user }) => [
    'PATCH',
    `/posts/${post}`,
    { author: user },
  ]),
  duel('PATCH of a list, and a book in it', books, ['200 409', '422 204'], ({ post, book }) => [
    'PATCH',
    `/posts/${post}`,
    { books: [book] },
  ]),
  duel('PUT of a post, and its tag', tags, ['200 204', '422 204'], ({ post: id, owner, tag }) => [
    'PUT',
    `/posts/${id}`,
    { ...post, author: owner, tags: [tag] },
  ]),
  duel('a tag that is added, and the tag', tags, ['204 204', '404 204'], ({ post, tag }) => [
    'PUT',
    `/posts/${post}/tags/${tag}`,
  ]),
  duel('a book that is added, and the book', books, ['204 409', '404 204'], ({ post, book }) => [
    'PUT',
    `/posts/${post}/books/${book}`,
  ]),
  duel('a batch, and the author it names', author, ['200 409', '422 204'], ({ user, tag }) => [
    'POST',
    '/batch',
    {
      operations: [
        { method: 'create', resource: 'posts', body: { ...post, author: user, tags: [tag] } },
        { method: 'update', resource: 'tags', id: tag, body: { description: 'In use' } },
      ],
    },
  ]),
  duel(
    'a new post, and its tag that a batch removes',
    tags,
    ['201 200', '422 200'],
    ({ owner, tag }) => ['POST', '/posts', { ...post, author: owner, tags: [tag] }],
    ({ tag }) => ['POST', '/batch', { operations: [{ method: 'remove', resource: 'tags', id: tag }] }],
  ),
  duel(
    'a new post, and its tag that becomes another one',
    tags,
    ['201 200', '422 200'],
    ({ owner, tag }) => ['POST', '/posts', { ...post, author: owner, tags: [tag] }],
    ({ tag, spare }) => ['POST', `/tags/${tag}/merge`, { into: spare }],
  ),
  duel('a tag that becomes another one, and the other', tags, ['200 204', '422 204'], ({ spare, tag }) => [
    'POST',
    `/tags/${spare}/merge`,
    { into: tag },
  ]),
  duel('posts that get another author, and the author', author, ['200 409', '422 204'], ({ owner, user }) => [
    'POST',
    `/users/${owner}/transfer`,
    { to: user },
  ]),
];
