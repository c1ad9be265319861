import { backfill } from '../../../src/mongo/migrate/documents.ts';
import { migration } from '../../../src/mongo/migrate/migration.ts';
import { changeField, optional, required } from '../../../src/mongo/migrate/structure.ts';

const notBlank =
  '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z';
const name = {
  bsonType: 'object',
  properties: {
    given: { bsonType: 'string', minLength: 0, maxLength: 200, pattern: '^[^\\x00]*\\z' },
    family: { bsonType: 'string', minLength: 1, maxLength: 200, pattern: notBlank },
  },
  required: ['given', 'family'],
  additionalProperties: false,
};

/** Backfill: every volume gets a name, and must have one from now on. */
export const splitAuthor = migration(import.meta.url, [
  backfill('volumes', {
    where: { name: { $exists: false } },
    each: ({ author }) => {
      const words = author.split(' ');
      return { name: { given: words.slice(0, -1).join(' '), family: words.at(-1) } };
    },
    down: 'Nobody can tell the names that were there before from those that were made.',
  }),
  changeField('volumes', 'name', { from: optional(name), to: required(name) }),
]);
