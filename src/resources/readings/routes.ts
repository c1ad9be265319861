import { create, read, remove, replace, update } from '../../http/crud.ts';
import { exportAll } from '../../http/export.ts';
import { groups } from '../../http/groups/groups.ts';
import { linked } from '../../http/linked.ts';
import { list } from '../../http/list.ts';
import type { Route } from '../../http/route.ts';
import { Reading } from './reading.ts';

const listing = {
  filter: ['id', 'user', 'book', 'status', 'rating', 'finishedOn', 'createdAt'],
  sort: ['rating', 'finishedOn', 'createdAt'],
  groups: ['status', 'rating', 'book', 'finishedOn'],
  measures: ['rating', 'finishedOn'],
} as const;

export const routes = (): Route[] => [
  list(Reading, listing),
  exportAll(Reading, listing),
  groups(Reading, listing),
  create(Reading, {
    example: { user: '65f000000000000000000c01', book: '65f000000000000000000b02', status: 'wants' },
  }),
  read(Reading),
  replace(Reading),
  update(Reading, { example: { rating: 4 } }),
  remove(Reading, { example: '65f000000000000000000702' }),
  ...linked(Reading, { listing, example: { status: 'read', rating: 5, finishedOn: '2026-01-30' } }),
];
