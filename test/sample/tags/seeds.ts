import type { Seed } from '../../../src/seed.ts';
import { Tag } from './tag.ts';

export const seeds: Seed[] = [
  [
    Tag,
    [
      Tag.example,
      { id: '65f000000000000000000a02', name: 'sci-fi' },
      { id: '65f000000000000000000a03', name: 'comedy', description: 'To laugh' },
      { id: '65f000000000000000000a04', name: 'epic', description: 'Long, and in verse' },
      { name: 'classic' },
    ],
  ],
];
