import { z } from 'zod';
import { caller, hasRole, ROLES } from '../../auth/caller.ts';
import { hashPassword } from '../../auth/passwords.ts';
import { password, refuseOwnWords } from '../../schema/password.ts';
import { invalid } from '../../errors.ts';
import { instant, text } from '../../schema/fields.ts';
import { email } from '../../schema/formats.ts';
import { resource } from '../../schema/resource.ts';

const address = () => email().describe('Unique, ignoring case');

export const User = resource('User', {
  collection: 'users',
  description: 'A user of the API',
  fields: {
    name: text(1, 100),
    email: address(),
    role: z.enum(ROLES).describe('The rights of the user'),
    bio: text(0, 2000).nullable(),
    passwordHash: z.string().max(500).nullable(),
    verifiedAt: instant().nullable().describe('When the user confirmed the address'),
    lockedAt: instant().nullable().describe('When an admin locked the account'),
  },
  policy: {
    owner: 'id',
    read: ['anyone'],
    create: ['anyone'],
    update: ['owner', 'admin'],
    remove: ['owner', 'admin'],
  },
  intake: {
    // Afterwards only commands that ask for the password change it: it is the login name.
    fields: { email: address(), password: password().optional() },
    toStored: async ({ email, password }, { name }) => {
      if (typeof password !== 'string') return { email, passwordHash: withoutPassword() };
      refuseOwnWords(password, [String(name), String(email)], '/password');
      return { email, passwordHash: await hashPassword(password) };
    },
  },
  access: {
    email: { read: ['owner', 'admin'], write: [] },
    role: { read: ['owner', 'admin'], write: [] },
    passwordHash: { read: [], write: [] },
    verifiedAt: { read: ['owner', 'admin'], write: [] },
    lockedAt: { read: ['owner', 'admin'], write: [] },
  },
  defaults: { role: 'member', bio: null, passwordHash: null, verifiedAt: null, lockedAt: null },
  indexes: [
    { key: { email: 1 }, unique: true },
    { key: { name: 1, _id: 1 } },
    { key: { role: 1, _id: 1 } },
    { key: { createdAt: 1, _id: 1 } },
  ],
  collation: { locale: 'en', strength: 2 },
  changes: true,
  example: { id: '65f000000000000000000c01', name: 'Ann Reader', bio: 'Reads at night.' },
});

/** Registration requires a password; admins may create accounts that get one later. */
function withoutPassword(): null {
  if (hasRole(caller(), 'admin')) return null;
  throw invalid([{ in: 'body', pointer: '/password', code: 'required', message: 'is required' }]);
}
