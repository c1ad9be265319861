import { z } from 'zod';
import { command } from '../../http/command.ts';
import { create, read, remove, replace, update } from '../../http/crud.ts';
import { exportAll } from '../../http/export.ts';
import { list } from '../../http/list.ts';
import type { Route } from '../../http/route.ts';
import { DEMO_PASSWORD } from '../../auth/passwords.ts';
import { User } from './user.ts';
import { confirmPassword, currentPassword } from './own-password.ts';
import { setRole } from './admins.ts';

const listing = { filter: ['id', 'name', 'role', 'createdAt'], sort: ['name', 'createdAt'] } as const;

export const users = (): Route[] => [
  list(User, listing),
  exportAll(User, listing),
  create(User, {
    example: { name: 'Ben Writer', bio: null },
    intake: { email: 'ben@example.org', password: 'a long way home' },
  }),
  read(User),
  replace(User, { example: { name: 'Ann Reader', bio: 'Reads at night.' } }),
  update(User, { example: { bio: 'Reads at night, and in trains.' } }),
  // Owners use DELETE /me.
  {
    ...remove(User, { example: '65f000000000000000000c03' }),
    policy: { role: 'admin', scope: 'users:write' },
  },
  command(User, 'role', {
    method: 'put',
    operationId: 'setRole',
    summary: 'Give a user a role',
    description: 'Takes effect at once, for existing tokens too. The last admin cannot lose the role.',
    policy: { role: 'admin' },
    example: '65f000000000000000000c02',
    body: {
      schema: z
        .strictObject({ role: User.fields.role, currentPassword: currentPassword() })
        .meta({ id: 'RoleBody', description: 'The new role' }),
      example: { role: 'editor', currentPassword: DEMO_PASSWORD },
    },
    problems: ['last_admin'],
    prepare: async ({ body }) => {
      await confirmPassword(body.currentPassword);
      return body;
    },
    handler: ({ params, body }) => setRole(params.id, body.role),
  }),
];
