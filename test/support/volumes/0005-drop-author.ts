import { backfill } from '../../../src/mongo/migrate/documents.ts';
import { migration } from '../../../src/mongo/migrate/migration.ts';
import { changeField, optional } from '../../../src/mongo/migrate/structure.ts';

const author = {
  bsonType: 'string',
  minLength: 1,
  maxLength: 400,
  pattern:
    '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
};

/** Contract: the versions that knew an author are gone, and the authors go, too. */
export const dropAuthor = migration(import.meta.url, [
  backfill('volumes', {
    where: { author: { $exists: true } },
    update: [{ $unset: 'author' }],
    down: {
      where: { author: { $exists: false } },
      update: [{ $set: { author: { $trim: { input: { $concat: ['$name.given', ' ', '$name.family'] } } } } }],
    },
  }),
  changeField('volumes', 'author', { from: optional(author) }),
]);
