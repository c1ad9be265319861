import { migration } from '../mongo/migrate/migration.ts';
import { createCollection } from '../mongo/migrate/structure.ts';

export const guesses = migration(import.meta.url, [
  createCollection('guesses', {
    schema: {
      title: 'Guess',
      description:
        'How many wrong passwords have come from somewhere, or for an account, and until when to wait',
      bsonType: 'object',
      properties: {
        _id: { bsonType: 'string', description: 'What is counted' },
        level: {
          bsonType: ['int', 'long', 'double'],
          description: 'How many were wrong and are not forgiven',
        },
        at: { bsonType: 'date', description: 'When that was so' },
        next: { bsonType: 'date', description: 'Before then no further one is let in' },
        granted: { bsonType: 'bool', description: 'Whether the last one was let in' },
        expireAt: { bsonType: 'date', description: 'When it is forgotten' },
      },
      required: ['_id', 'level', 'at', 'next', 'granted', 'expireAt'],
      additionalProperties: false,
    },
    indexes: [{ key: { expireAt: 1 }, expireAfterSeconds: 0 }],
  }),
]);
