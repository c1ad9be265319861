import { instant, ref, text } from '../../schema/fields.ts';
import { resource } from '../../schema/resource.ts';
import { User } from '../users/user.ts';

/** A login. Its tokens are good as long as it is there: to end it, remove it. */
export const Session = resource('Session', {
  collection: 'sessions',
  description: 'A login',
  fields: {
    user: ref(User, 'cascade'),
    /** Of the secret that all refresh tokens of this session have in common. */
    origin: text(1, 100),
    /** Of the secret in the refresh token that is good at the moment. */
    digest: text(1, 100),
    expiresAt: instant(),
  },
  policy: { owner: 'user', read: 'owner' },
  access: { user: 'readonly', origin: 'hidden', digest: 'hidden', expiresAt: 'readonly' },
  indexes: [{ key: { user: 1, _id: 1 } }, { key: { expiresAt: 1 }, expireAfterSeconds: 0 }],
  example: {
    id: '65f000000000000000000e51',
    user: '65f000000000000000000c04',
    expiresAt: '2026-03-02T12:00:00Z',
  },
});
