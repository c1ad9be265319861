import { backfill } from '../mongo/migrate/documents.ts';
import { migration } from '../mongo/migrate/migration.ts';
import { changeField, optional, required } from '../mongo/migrate/structure.ts';

const verifiedAt = {
  bsonType: ['date', 'null'],
  description: 'When the user has shown that the address is theirs',
};

const lockedAt = { bsonType: ['date', 'null'], description: 'Since when an admin has locked the account' };

export const accountStates = migration(import.meta.url, [
  changeField('users', 'verifiedAt', { to: optional(verifiedAt) }),
  changeField('users', 'lockedAt', { to: optional(lockedAt) }),
  // Nobody who could log in before must confirm an address for that.
  backfill('users', {
    where: { verifiedAt: { $exists: false } },
    update: [{ $set: { verifiedAt: '$createdAt', lockedAt: null } }],
    down: {
      where: { verifiedAt: { $exists: true } },
      update: [{ $unset: ['verifiedAt', 'lockedAt'] }],
    },
  }),
  changeField('users', 'verifiedAt', { from: optional(verifiedAt), to: required(verifiedAt) }),
  changeField('users', 'lockedAt', { from: optional(lockedAt), to: required(lockedAt) }),
]);
