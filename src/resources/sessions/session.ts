import { z } from 'zod';
import { instant, ref, text } from '../../schema/fields.ts';
import { resource } from '../../schema/resource.ts';
import { User } from '../users/user.ts';

/** A login. Its tokens are valid as long as the document exists: removing it ends the session. */
export const Session = resource('Session', {
  collection: 'sessions',
  description: 'A login',
  fields: {
    user: ref(User, 'cascade').describe('The user who is logged in'),
    address: text(1, 100).nullable().describe('The address of the last use'),
    agent: text(1, 300).nullable().describe('The User-Agent of the last use'),
    /** The digest of the secret that all refresh tokens of this session share. */
    origin: text(1, 100),
    /** The valid refresh tokens: one, or one per tab that has refreshed at once. */
    tokens: z.array(
      z.strictObject({
        /** The digest of its secret. */
        digest: text(1, 100),
        /** The digest of its predecessor's secret. */
        previous: text(1, 100).nullable(),
        since: instant(),
      }),
    ),
    expiresAt: instant().describe('When it ends, unless it is used before'),
  },
  policy: { owner: 'user', read: ['owner'], create: ['owner'], update: [], remove: ['owner'] },
  access: { origin: { read: [], write: [] }, tokens: { read: [], write: [] } },
  defaults: { address: null, agent: null },
  indexes: [{ key: { user: 1, _id: 1 } }, { key: { expiresAt: 1 }, expireAfterSeconds: 0 }],
  example: {
    id: '65f000000000000000000e51',
    user: '65f000000000000000000c04',
    address: '203.0.113.7',
    agent: 'Mozilla/5.0',
    expiresAt: '2026-03-02T12:00:00Z',
  },
});
