import { migration } from '../../../src/mongo/migrate/migration.ts';
import { createCollection } from '../../../src/mongo/migrate/structure.ts';

const notBlank =
  '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z';

export const initial = migration(import.meta.url, [
  createCollection('volumes', {
    schema: {
      title: 'Volume',
      description: 'A volume',
      bsonType: 'object',
      properties: {
        _id: { bsonType: 'objectId', description: 'Made by the server' },
        title: { bsonType: 'string', minLength: 1, maxLength: 300, pattern: notBlank },
        author: { bsonType: 'string', minLength: 1, maxLength: 400, pattern: notBlank },
        createdAt: { bsonType: 'date', description: 'When it was created' },
        updatedAt: { bsonType: 'date', description: 'When it was last changed' },
      },
      required: ['_id', 'title', 'author', 'createdAt', 'updatedAt'],
      additionalProperties: false,
    },
    indexes: [{ key: { title: 1, _id: 1 }, collation: { locale: 'en' } }],
  }),
]);
