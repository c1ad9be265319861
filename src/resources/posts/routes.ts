import { create, links, read, remove, replace, update } from '../../http/crud.ts';
import { command } from '../../http/command.ts';
import { list } from '../../http/list.ts';
import type { Route } from '../../http/route.ts';
import { Post } from './post.ts';
import { publish } from './publish.ts';

export const listing = {
  filter: ['author', 'books', 'tags', 'status', 'title', 'publishedAt'],
  sort: ['title', 'publishedAt', 'createdAt'],
} as const;

export const routes = (): Route[] => [
  list(Post, listing),
  create(Post, {
    example: {
      title: 'Anarchy on the moon',
      body: 'What would you miss?',
      author: '65f000000000000000000c01',
      books: ['65f000000000000000000b01'],
      tags: ['65f000000000000000000a01'],
    },
  }),
  read(Post),
  replace(Post),
  update(Post, { example: { title: 'Winter, and a longer walk' } }),
  remove(Post, { example: '65f000000000000000000d02' }),
  ...links(Post, 'tags'),
  ...links(Post, 'books'),
  command(Post, 'publish', {
    summary: 'Publish a draft',
    description: 'From now on everybody can read it. A post that is published already stays as it is.',
    example: '65f000000000000000000d03',
    handler: ({ params }) => publish(params.id),
  }),
];
