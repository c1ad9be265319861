import { migration } from '../mongo/migrate/migration.ts';
import { createCollection } from '../mongo/migrate/structure.ts';

export const accounts = migration(import.meta.url, [
  createCollection('sessions', {
    schema: {
      title: 'Session',
      description: 'A login',
      bsonType: 'object',
      required: ['_id', 'user', 'origin', 'digest', 'expiresAt', 'createdAt', 'updatedAt'],
      additionalProperties: false,
      properties: {
        _id: { description: 'Made by the server', bsonType: 'objectId' },
        user: { bsonType: 'objectId' },
        origin: {
          bsonType: 'string',
          minLength: 1,
          maxLength: 100,
          pattern:
            '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
        },
        digest: {
          bsonType: 'string',
          minLength: 1,
          maxLength: 100,
          pattern:
            '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
        },
        expiresAt: { bsonType: 'date' },
        createdAt: { description: 'When it was created', bsonType: 'date' },
        updatedAt: { description: 'When it was last changed', bsonType: 'date' },
      },
    },
    indexes: [{ key: { user: 1, _id: 1 } }, { key: { expiresAt: 1 }, expireAfterSeconds: 0 }],
  }),
  createCollection('keys', {
    schema: {
      title: 'ApiKey',
      description: 'Lets a program act as its user, within its scopes',
      bsonType: 'object',
      required: ['_id', 'user', 'name', 'scopes', 'expiresAt', 'digest', 'createdAt', 'updatedAt'],
      additionalProperties: false,
      properties: {
        _id: { description: 'Made by the server', bsonType: 'objectId' },
        user: { description: 'Whose key it is', bsonType: 'objectId' },
        name: {
          bsonType: 'string',
          description: 'What it is for',
          minLength: 1,
          maxLength: 100,
          pattern:
            '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
        },
        scopes: {
          bsonType: 'array',
          description: 'What it is good for; who may write may read',
          minItems: 1,
          items: { bsonType: 'string', pattern: '^[a-z]+:(read|write)\\z' },
        },
        expiresAt: { description: 'From then on it is not good any more', bsonType: 'date' },
        digest: {
          bsonType: 'string',
          minLength: 1,
          maxLength: 100,
          pattern:
            '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
        },
        createdAt: { description: 'When it was created', bsonType: 'date' },
        updatedAt: { description: 'When it was last changed', bsonType: 'date' },
      },
    },
    indexes: [{ key: { user: 1, _id: 1 } }, { key: { expiresAt: 1 }, expireAfterSeconds: 0 }],
  }),
  createCollection('audit', {
    schema: {
      title: 'AuditEntry',
      description: 'What a request has changed, and on whose behalf',
      bsonType: 'object',
      required: [
        '_id',
        'actor',
        'key',
        'operation',
        'method',
        'path',
        'request',
        'changed',
        'changes',
        'documents',
        'createdAt',
        'updatedAt',
      ],
      additionalProperties: false,
      properties: {
        _id: { description: 'Made by the server', bsonType: 'objectId' },
        actor: {
          bsonType: ['objectId', 'null'],
          description: 'The user; null where nobody had logged in',
        },
        key: {
          bsonType: ['objectId', 'null'],
          description: 'The API key that was used, if one was',
        },
        operation: {
          bsonType: 'string',
          description: 'The operationId',
          minLength: 1,
          maxLength: 100,
          pattern:
            '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
        },
        method: {
          bsonType: 'string',
          minLength: 1,
          maxLength: 10,
          pattern:
            '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
        },
        path: {
          bsonType: 'string',
          minLength: 1,
          maxLength: 8192,
          pattern:
            '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
        },
        request: {
          bsonType: 'string',
          description: 'The X-Request-Id, which finds the request in the log',
          minLength: 1,
          maxLength: 64,
          pattern:
            '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
        },
        changed: {
          bsonType: ['int', 'long', 'double'],
          multipleOf: 1,
          description: 'How many documents were created, updated or removed',
          minimum: -9007199254740991,
          maximum: 9007199254740991,
        },
        changes: {
          bsonType: 'array',
          description: 'Which, the first 100 of them',
          items: {
            bsonType: 'object',
            required: ['resource', 'document', 'action'],
            additionalProperties: false,
            properties: {
              resource: {
                bsonType: 'string',
                minLength: 1,
                maxLength: 100,
                pattern:
                  '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
              },
              document: { bsonType: 'objectId' },
              action: { bsonType: 'string', enum: ['create', 'update', 'remove'] },
            },
          },
        },
        documents: {
          bsonType: 'array',
          description: 'Their ids, to filter by',
          items: { bsonType: 'objectId' },
        },
        createdAt: { description: 'When it was created', bsonType: 'date' },
        updatedAt: { description: 'When it was last changed', bsonType: 'date' },
      },
    },
    indexes: [
      { key: { createdAt: 1 }, expireAfterSeconds: 7776000 },
      { key: { actor: 1, _id: 1 } },
      { key: { operation: 1, _id: 1 } },
      { key: { request: 1, _id: 1 } },
      { key: { documents: 1, _id: 1 } },
    ],
  }),
]);
