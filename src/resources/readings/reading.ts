import { z } from 'zod';
import { day, ref } from '../../schema/fields.ts';
import { resource } from '../../schema/resource.ts';
import { Book } from '../books/book.ts';
import { User } from '../users/user.ts';

export const Reading = resource('Reading', {
  collection: 'readings',
  description: 'A book on the reading list of a user',
  fields: {
    user: ref(User, 'cascade').describe('The user whose list it is on'),
    book: ref(Book, 'cascade').describe('The book, once per list'),
    status: z.enum(['wants', 'reading', 'read']).describe('Wants to read, is reading, or has read the book'),
    rating: z.int().min(1).max(5).nullable().describe('From 1 (worst) to 5 (best)'),
    finishedOn: day().nullable().describe('The day on which the user finished the book'),
  },
  link: ['user', 'book'],
  policy: {
    owner: 'user',
    read: ['owner', 'admin'],
    create: ['owner', 'admin'],
    update: ['owner', 'admin'],
    remove: ['owner', 'admin'],
  },
  defaults: { status: 'wants', rating: null, finishedOn: null },
  indexes: [
    { key: { user: 1, book: 1 }, unique: true },
    { key: { user: 1, _id: 1 } },
    { key: { book: 1, _id: 1 } },
    { key: { status: 1, _id: 1 } },
    { key: { rating: 1, _id: 1 } },
    { key: { finishedOn: 1, _id: 1 } },
    { key: { createdAt: 1, _id: 1 } },
  ],
  changes: true,
  example: {
    id: '65f000000000000000000701',
    user: '65f000000000000000000c01',
    book: '65f000000000000000000b01',
    status: 'read',
    rating: 5,
    finishedOn: '2026-01-30',
  },
});
