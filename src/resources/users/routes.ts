import { z } from 'zod';
import { command } from '../../http/command.ts';
import { create, read, remove, replace, update } from '../../http/crud.ts';
import { list, related } from '../../http/list.ts';
import type { Route } from '../../http/route.ts';
import { objectId } from '../../schema/fields.ts';
import { Post } from '../posts/post.ts';
import { User } from './user.ts';
import { listing as posts } from '../posts/routes.ts';
import { setRole } from './admins.ts';
import { transfer } from './transfer.ts';

export const users = (): Route[] => [
  list(User, { filter: ['name', 'role'], sort: ['name', 'createdAt'] }),
  create(User, {
    example: { name: 'Ben Writer', email: 'ben@example.org', bio: null },
    intake: { password: 'a long way home' },
  }),
  read(User),
  replace(User, { example: { name: 'Ann Reader', email: 'ann@example.org', bio: 'Reads at night.' } }),
  update(User, { example: { bio: 'Reads at night, and in trains.' } }),
  remove(User, { example: '65f000000000000000000c03' }),
  related(User, Post, 'author', posts),
  command(User, 'role', {
    method: 'put',
    operationId: 'setRole',
    summary: 'Give a user a role',
    description: 'It holds at once, also for tokens that were given out before. The last admin stays one.',
    policy: { role: 'admin' },
    example: '65f000000000000000000c02',
    body: {
      schema: z
        .strictObject({ role: User.fields.role })
        .meta({ id: 'RoleBody', description: 'What the user may do' }),
      example: { role: 'editor' },
    },
    problems: ['last_admin'],
    handler: ({ params, body }) => setRole(params.id, body.role),
  }),
  command(User, 'transfer', {
    operationId: 'transferPosts',
    summary: 'Give all posts to another user',
    description: 'All posts of this user become posts of another, so that this one can be removed.',
    policy: { role: 'admin', scope: 'posts:write' },
    body: {
      schema: z
        .strictObject({ to: objectId().describe('The user who gets them') })
        .meta({ id: 'Transfer', description: 'Who gets the posts' }),
      example: { to: '65f000000000000000000c02' },
    },
    answer: {
      status: 200,
      description: 'Done',
      schema: z
        .strictObject({ changed: z.int().describe('How many posts changed hands') })
        .meta({ id: 'Transferred', description: 'What was done' }),
      example: { changed: 1 },
    },
    problems: ['reference_not_found', 'too_many_references'],
    holds: ({ body }) => [{ resource: User, id: body.to }],
    handler: ({ params, body }) => transfer(params.id, body.to),
  }),
];
