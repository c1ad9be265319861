import { z } from 'zod';
import { create, links, read, remove, replace, update } from '../../../src/http/crud.ts';
import { command } from '../../../src/http/command.ts';
import { exportAll } from '../../../src/http/export.ts';
import { groups } from '../../../src/http/groups/groups.ts';
import { list, related } from '../../../src/http/list.ts';
import type { Route } from '../../../src/http/route.ts';
import { objectId } from '../../../src/schema/fields.ts';
import { Book } from '../books/book.ts';
import { Tag } from '../tags/tag.ts';
import { User } from '../../../src/resources/users/user.ts';
import { Post } from './post.ts';
import { publish } from './publish.ts';
import { transfer } from './transfer.ts';

export const listing = {
  filter: ['author', 'author.name', 'books', 'tags', 'tags.name', 'status', 'title', 'publishedAt'],
  sort: ['title', 'publishedAt', 'createdAt'],
  groups: ['status', 'author', 'tags', 'books', 'publishedAt'],
  measures: ['publishedAt'],
} as const;

export const routes = (): Route[] => [
  list(Post, listing),
  exportAll(Post, listing),
  groups(Post, listing),
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
  related(User, Post, 'author', listing),
  related(Book, Post, 'books', listing),
  related(Tag, Post, 'tags', listing),
  command(Post, 'publish', {
    summary: 'Publish a draft',
    description: 'Everybody can read it from then on. A published post stays as it is.',
    example: '65f000000000000000000d03',
    handler: ({ params }) => publish(params.id),
  }),
  command(User, 'transfer', {
    operationId: 'transferPosts',
    summary: 'Give all posts to another user',
    description: 'Makes another user the author of all posts of this user, so that this user can be removed.',
    policy: { role: 'admin', scope: 'posts:write' },
    body: {
      schema: z
        .strictObject({ to: objectId().describe('The new author') })
        .meta({ id: 'Transfer', description: 'The new author of the posts' }),
      example: { to: '65f000000000000000000c02' },
    },
    answer: {
      status: 200,
      description: 'Done',
      schema: z
        .strictObject({ changed: z.int().describe('The number of transferred posts') })
        .meta({ id: 'Transferred', description: 'The result' }),
      example: { changed: 1 },
    },
    problems: ['reference_not_found', 'too_many_references'],
    holds: ({ body }) => [{ resource: User, id: body.to }],
    handler: ({ params, body }) => transfer(params.id, body.to),
  }),
];
