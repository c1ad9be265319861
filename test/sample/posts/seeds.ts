import type { Seed } from '../../../src/seed.ts';
import { Post } from './post.ts';

export const seeds: Seed[] = [
  [
    Post,
    [
      Post.example,
      {
        id: '65f000000000000000000d02',
        title: 'Notes for later',
        body: 'Read the other translation too.',
        author: '65f000000000000000000c01',
      },
      {
        id: '65f000000000000000000d03',
        title: 'A draft, to be published',
        body: 'Only its author and editors see it.',
        author: '65f000000000000000000c01',
      },
      {
        title: 'An ocean that thinks',
        body: 'What if the other one does not want to talk?',
        status: 'published',
        publishedAt: '2026-01-31T12:00:00Z',
        author: '65f000000000000000000c02',
        books: ['65f000000000000000000b03', '65f000000000000000000b01'],
        tags: ['65f000000000000000000a01', '65f000000000000000000a02'],
      },
    ],
  ],
];
