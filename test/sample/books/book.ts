import { z } from 'zod';
import { ref, setOf, text } from '../../../src/schema/fields.ts';
import { languageTag } from '../../../src/schema/formats.ts';
import { resource } from '../../../src/schema/resource.ts';
import { Tag } from '../tags/tag.ts';
import { isbn } from './isbn.ts';

export const Book = resource('Book', {
  collection: 'books',
  description: 'A published work',
  fields: {
    title: text(1, 300),
    authors: z.array(text(1, 200)).min(1).max(100).describe('Names, in the order of the title page'),
    year: z
      .int()
      .min(-4000)
      .max(2100)
      .nullable()
      .describe('Of first publication; negative is BC, null unknown'),
    isbn: isbn().nullable().describe('10 or 13 characters without hyphens; unique where known'),
    language: languageTag().nullable().describe('A language tag (BCP 47): en, pt-BR, zh-Hant'),
    tags: setOf(ref(Tag, 'detach'), 20).describe('A removed tag leaves its books'),
  },
  policy: { read: ['anyone'], create: ['editor'], update: ['editor'], remove: ['editor'] },
  defaults: { year: null, isbn: null, language: null, tags: [] },
  indexes: [
    { key: { isbn: 1 }, unique: true, where: { isbn: { $gt: '' } } },
    { key: { isbn: 1, _id: 1 } },
    { key: { title: 1, _id: 1 } },
    { key: { year: 1, _id: 1 } },
    { key: { createdAt: 1, _id: 1 } },
    { key: { authors: 1, _id: 1 } },
    { key: { language: 1, _id: 1 } },
    { key: { tags: 1, _id: 1 } },
    { key: { year: -1, title: 1, _id: 1 } },
  ],
  search: ['title', 'authors'],
  changes: true,
  example: {
    id: '65f000000000000000000b01',
    title: 'The Left Hand of Darkness',
    authors: ['Ursula K. Le Guin'],
    year: 1969,
    isbn: '9780441478125',
    language: 'en',
    tags: ['65f000000000000000000a01'],
  },
});
