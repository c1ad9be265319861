import type { Seed } from '../../../src/seed.ts';
import { Book } from './book.ts';

export const seeds: Seed[] = [
  [
    Book,
    [
      Book.example,
      { id: '65f000000000000000000b02', title: 'The Iliad', authors: ['Homer'], year: -750, language: 'grc' },
      {
        id: '65f000000000000000000b03',
        title: 'Solaris',
        authors: ['Stanisław Lem'],
        year: 1961,
        isbn: '9780156027601',
        language: 'pl',
        tags: ['65f000000000000000000a02'],
      },
      { title: 'Middlemarch', authors: ['George Eliot'], year: 1871, isbn: '9780141439549', language: 'en' },
      { title: 'Kindred', authors: ['Octavia E. Butler'], year: 1979, isbn: '9780807083697', language: 'en' },
      {
        title: 'Good Omens',
        authors: ['Terry Pratchett', 'Neil Gaiman'],
        year: 1990,
        isbn: '9780060853983',
        language: 'en',
      },
    ],
  ],
];
