import { migration } from '../mongo/migrate/migration.ts';
import { createCollection } from '../mongo/migrate/structure.ts';

export const readings = migration(import.meta.url, [
  createCollection('readings', {
    schema: {
      title: 'Reading',
      description: 'A book on the reading list of a user',
      bsonType: 'object',
      required: ['_id', 'user', 'book', 'status', 'rating', 'finishedOn', 'createdAt', 'updatedAt'],
      properties: {
        _id: { description: 'Made by the server', bsonType: 'objectId' },
        user: { description: 'Whose list it is on', bsonType: 'objectId' },
        book: { description: 'Once on each list', bsonType: 'objectId' },
        status: {
          bsonType: 'string',
          description: 'Wants to read it, is reading it, has read it',
          enum: ['wants', 'reading', 'read'],
        },
        rating: {
          bsonType: ['int', 'long', 'double', 'null'],
          multipleOf: 1,
          minimum: 1,
          maximum: 5,
          description: 'From 1, do not read it, to 5, read it twice',
        },
        finishedOn: {
          bsonType: ['string', 'null'],
          pattern:
            '^(?:(?:\\d\\d[2468][048]|\\d\\d[13579][26]|\\d\\d0[48]|[02468][048]00|[13579][26]00)-02-29|\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|(?:02)-(?:0[1-9]|1\\d|2[0-8])))\\z',
          description: 'The day on which the last page was read',
        },
        createdAt: { description: 'When it was created', bsonType: 'date' },
        updatedAt: { description: 'When it was last changed', bsonType: 'date' },
      },
      additionalProperties: false,
    },
    indexes: [
      { key: { user: 1, book: 1 }, unique: true },
      { key: { user: 1, _id: 1 } },
      { key: { book: 1, _id: 1 } },
      { key: { status: 1, _id: 1 } },
      { key: { rating: 1, _id: 1 } },
      { key: { finishedOn: 1, _id: 1 } },
      { key: { createdAt: 1, _id: 1 } },
    ],
  }),
]);
