import { z } from 'zod';
import { instant, ref, text } from '../../schema/fields.ts';
import { resource } from '../../schema/resource.ts';
import { User } from '../users/user.ts';

/** Lets a program act as a user, within its scopes. Only a digest of its secret is stored. */
export const ApiKey = resource('ApiKey', {
  collection: 'keys',
  description: 'Lets a program act as its user, within its scopes',
  fields: {
    user: ref(User, 'cascade').describe('The user that the key acts as'),
    name: text(1, 100).describe('The purpose of the key'),
    scopes: z
      .array(z.string().regex(/^[a-z]+:(read|write)$/))
      .min(1)
      .describe('What the key may do; write includes read'),
    expiresAt: instant().describe('When the key becomes invalid'),
    digest: text(1, 100),
  },
  policy: { owner: 'user', read: ['owner'], create: ['owner'], update: [], remove: ['owner'] },
  access: { digest: { read: [], write: [] } },
  indexes: [{ key: { user: 1, _id: 1 } }, { key: { expiresAt: 1 }, expireAfterSeconds: 0 }],
  example: {
    id: '65f000000000000000000e01',
    user: '65f000000000000000000c04',
    name: 'Nightly report',
    scopes: ['books:read'],
    expiresAt: '2026-03-02T12:00:00Z',
  },
});
