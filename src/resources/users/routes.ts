import { z } from 'zod';
import { command } from '../../http/command.ts';
import { create, read, remove, replace, update } from '../../http/crud.ts';
import { list } from '../../http/list.ts';
import type { Route } from '../../http/route.ts';
import { User } from './user.ts';
import { setRole } from './admins.ts';

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
];
