import { migration } from '../mongo/migrate/migration.ts';
import { createCollection } from '../mongo/migrate/structure.ts';

export const initial = migration(import.meta.url, [
  createCollection('users', {
    collation: { locale: 'en', strength: 2 },
    schema: {
      title: 'User',
      description: 'Somebody who writes posts',
      bsonType: 'object',
      required: ['_id', 'name', 'email', 'role', 'bio', 'passwordHash', 'createdAt', 'updatedAt'],
      additionalProperties: false,
      properties: {
        _id: { description: 'Made by the server', bsonType: 'objectId' },
        name: {
          bsonType: 'string',
          minLength: 1,
          maxLength: 100,
          pattern:
            '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
        },
        email: {
          bsonType: 'string',
          description: 'Unique, whatever its case',
          maxLength: 254,
          pattern:
            "^(?:[A-Za-z0-9_'+\\-]+\\.)*[A-Za-z0-9_'+\\-]*[A-Za-z0-9_+-]@(?:[A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}\\z",
        },
        role: {
          bsonType: 'string',
          description: 'What the user may do',
          enum: ['member', 'editor', 'admin'],
        },
        bio: {
          bsonType: ['string', 'null'],
          minLength: 0,
          maxLength: 2000,
          pattern: '^[^\\x00]*\\z',
        },
        passwordHash: { bsonType: ['string', 'null'], maxLength: 500 },
        createdAt: { description: 'When it was created', bsonType: 'date' },
        updatedAt: { description: 'When it was last changed', bsonType: 'date' },
      },
    },
    indexes: [
      { key: { email: 1 }, unique: true },
      { key: { name: 1, _id: 1 } },
      { key: { role: 1, _id: 1 } },
      { key: { createdAt: 1, _id: 1 } },
    ],
  }),
  createCollection('tags', {
    collation: { locale: 'en', strength: 2 },
    schema: {
      title: 'Tag',
      description: 'A label for books and posts',
      bsonType: 'object',
      required: ['_id', 'name', 'description', 'createdAt', 'updatedAt'],
      additionalProperties: false,
      properties: {
        _id: { description: 'Made by the server', bsonType: 'objectId' },
        name: {
          bsonType: 'string',
          description: 'Unique, whatever its case',
          minLength: 1,
          maxLength: 60,
          pattern:
            '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
        },
        description: {
          bsonType: ['string', 'null'],
          minLength: 0,
          maxLength: 1000,
          pattern: '^[^\\x00]*\\z',
        },
        createdAt: { description: 'When it was created', bsonType: 'date' },
        updatedAt: { description: 'When it was last changed', bsonType: 'date' },
      },
    },
    indexes: [{ key: { name: 1 }, unique: true }, { key: { createdAt: 1, _id: 1 } }],
  }),
  createCollection('books', {
    schema: {
      title: 'Book',
      description: 'A published work',
      bsonType: 'object',
      required: ['_id', 'title', 'authors', 'year', 'isbn', 'language', 'tags', 'createdAt', 'updatedAt'],
      additionalProperties: false,
      properties: {
        _id: { description: 'Made by the server', bsonType: 'objectId' },
        title: {
          bsonType: 'string',
          minLength: 1,
          maxLength: 300,
          pattern:
            '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
        },
        authors: {
          bsonType: 'array',
          description: 'Names, in the order of the title page',
          minItems: 1,
          maxItems: 100,
          items: {
            bsonType: 'string',
            minLength: 1,
            maxLength: 200,
            pattern:
              '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
          },
        },
        year: {
          bsonType: ['int', 'long', 'double', 'null'],
          multipleOf: 1,
          minimum: -4000,
          maximum: 2100,
          description: 'Of first publication; negative is BC, null unknown',
        },
        isbn: {
          bsonType: ['string', 'null'],
          pattern: '^(\\d{9}[\\dX]|97[89]\\d{10})\\z',
          description: '10 or 13 characters without hyphens; unique where known',
        },
        language: {
          bsonType: ['string', 'null'],
          maxLength: 35,
          pattern: '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*\\z',
          description: 'A language tag: en, eng, en-US',
        },
        tags: {
          bsonType: 'array',
          description: 'A removed tag leaves its books',
          maxItems: 20,
          uniqueItems: true,
          items: { bsonType: 'objectId' },
        },
        createdAt: { description: 'When it was created', bsonType: 'date' },
        updatedAt: { description: 'When it was last changed', bsonType: 'date' },
      },
    },
    indexes: [
      { key: { isbn: 1 }, unique: true, partialFilterExpression: { isbn: { $gt: '' } } },
      { key: { isbn: 1, _id: 1 } },
      { key: { title: 1, _id: 1 } },
      { key: { year: 1, _id: 1 } },
      { key: { createdAt: 1, _id: 1 } },
      { key: { authors: 1, _id: 1 } },
      { key: { language: 1, _id: 1 } },
      { key: { tags: 1, _id: 1 } },
      { key: { year: -1, title: 1, _id: 1 } },
      {
        name: 'search',
        key: { authors: 'text', title: 'text' },
        default_language: 'none',
        language_override: '_none',
      },
    ],
  }),
  createCollection('posts', {
    schema: {
      title: 'Post',
      description: 'What a user writes about books',
      bsonType: 'object',
      required: [
        '_id',
        'title',
        'body',
        'status',
        'publishedAt',
        'author',
        'books',
        'tags',
        'createdAt',
        'updatedAt',
      ],
      additionalProperties: false,
      properties: {
        _id: { description: 'Made by the server', bsonType: 'objectId' },
        title: {
          bsonType: 'string',
          minLength: 1,
          maxLength: 200,
          pattern:
            '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
        },
        body: {
          bsonType: 'string',
          minLength: 1,
          maxLength: 20000,
          pattern:
            '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
        },
        status: { bsonType: 'string', enum: ['draft', 'published'] },
        publishedAt: { bsonType: ['date', 'null'] },
        author: { description: 'A user with posts cannot be removed', bsonType: 'objectId' },
        books: {
          bsonType: 'array',
          description: 'A book that posts are about cannot be removed',
          maxItems: 20,
          uniqueItems: true,
          items: { bsonType: 'objectId' },
        },
        tags: {
          bsonType: 'array',
          description: 'A removed tag leaves its posts',
          maxItems: 20,
          uniqueItems: true,
          items: { bsonType: 'objectId' },
        },
        createdAt: { description: 'When it was created', bsonType: 'date' },
        updatedAt: { description: 'When it was last changed', bsonType: 'date' },
      },
    },
    indexes: [
      { key: { author: 1, _id: 1 } },
      { key: { books: 1, _id: 1 } },
      { key: { tags: 1, _id: 1 } },
      { key: { status: 1, _id: 1 } },
      { key: { title: 1, _id: 1 } },
      { key: { publishedAt: 1, _id: 1 } },
      { key: { createdAt: 1, _id: 1 } },
      {
        name: 'search',
        key: { body: 'text', title: 'text' },
        default_language: 'none',
        language_override: '_none',
      },
    ],
  }),
  createCollection('refguards', { indexes: [] }),
  createCollection('idempotency', {
    schema: {
      title: 'Remembered answer',
      description: 'The answer to a request that had an Idempotency-Key',
      bsonType: 'object',
      properties: {
        _id: { bsonType: 'string', description: 'Made from the method, the path and the key' },
        fingerprint: { bsonType: 'string', description: 'Made from the rest of the request' },
        status: { bsonType: 'int' },
        headers: { bsonType: 'object' },
        body: { bsonType: ['string', 'null'] },
        expireAt: { bsonType: 'date', description: 'When it is forgotten' },
      },
      required: ['_id', 'fingerprint', 'status', 'headers', 'body', 'expireAt'],
      additionalProperties: false,
    },
    indexes: [{ key: { expireAt: 1 }, expireAfterSeconds: 0 }],
  }),
  createCollection('ratelimits', {
    schema: {
      title: 'Rate limit',
      description: 'How much of a limit a client has used in its current window',
      bsonType: 'object',
      properties: {
        _id: { bsonType: 'objectId' },
        key: { bsonType: 'string', description: 'The limit and the client' },
        points: { bsonType: ['int', 'long', 'double'], description: 'What is used' },
        expire: { bsonType: ['date', 'null'], description: 'When the window ends' },
      },
      required: ['key', 'points'],
      additionalProperties: false,
    },
    indexes: [
      { key: { key: 1 }, unique: true },
      { key: { expire: 1 }, expireAfterSeconds: 0 },
    ],
  }),
]);
