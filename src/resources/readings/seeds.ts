import type { Seed } from '../../seed.ts';
import { Reading } from './reading.ts';

export const seeds: Seed[] = [
  [
    Reading,
    [
      Reading.example,
      {
        id: '65f000000000000000000702',
        user: '65f000000000000000000c01',
        book: '65f000000000000000000b03',
        status: 'reading',
      },
      { user: '65f000000000000000000c02', book: '65f000000000000000000b03', status: 'wants' },
    ],
  ],
];
