import { z } from 'zod';
import { instant, ref, setOf, text } from '../../../src/schema/fields.ts';
import { resource } from '../../../src/schema/resource.ts';
import { Book } from '../books/book.ts';
import { Tag } from '../tags/tag.ts';
import { User } from '../../../src/resources/users/user.ts';

export const Post = resource('Post', {
  collection: 'posts',
  description: 'What a user writes about books',
  fields: {
    title: text(1, 200),
    body: text(1, 20_000),
    status: z.enum(['draft', 'published']),
    publishedAt: instant().nullable(),
    author: ref(User, 'restrict').describe('A user with posts cannot be removed'),
    books: setOf(ref(Book, 'restrict'), 20).describe('A book that posts are about cannot be removed'),
    tags: setOf(ref(Tag, 'detach'), 20).describe('A removed tag leaves its posts'),
  },
  policy: {
    owner: 'author',
    read: ['owner', 'editor', { status: 'published' }],
    create: ['owner', 'editor'],
    update: ['owner', 'editor'],
    remove: ['owner', 'editor'],
  },
  access: { status: { write: [] }, publishedAt: { write: [] } },
  defaults: { status: 'draft', publishedAt: null, books: [], tags: [] },
  indexes: [
    { key: { author: 1, _id: 1 } },
    { key: { books: 1, _id: 1 } },
    { key: { tags: 1, _id: 1 } },
    { key: { status: 1, _id: 1 } },
    { key: { title: 1, _id: 1 } },
    { key: { publishedAt: 1, _id: 1 } },
    { key: { createdAt: 1, _id: 1 } },
  ],
  search: ['title', 'body'],
  changes: true,
  example: {
    id: '65f000000000000000000d01',
    title: 'Winter, and a long walk',
    body: 'Two people cross the ice, and learn to see each other.',
    status: 'published',
    publishedAt: '2026-01-31T12:00:00.000Z',
    author: '65f000000000000000000c01',
    books: ['65f000000000000000000b01'],
    tags: ['65f000000000000000000a01'],
  },
});
