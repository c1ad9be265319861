import { RATE_LIMITS } from './budget.ts';
import { GUARDS } from './guards.ts';
import type { Collection } from './layout.ts';
import { GUESSES } from './patience.ts';
import { JOURNAL } from './migrate/journal.ts';
import { LOCK } from './migrate/lock.ts';

/** Collections that belong to no resource. */
export const OWN: Collection[] = [
  // No validator: a removal may write tens of thousands of guards, and nothing else writes them.
  { collection: GUARDS, indexes: [] },
  {
    collection: 'idempotency',
    indexes: [{ key: { expireAt: 1 }, expireAfterSeconds: 0 }],
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
  },
  {
    collection: RATE_LIMITS,
    indexes: [
      { key: { key: 1 }, unique: true },
      { key: { expire: 1 }, expireAfterSeconds: 0 },
    ],
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
  },
  {
    collection: GUESSES,
    indexes: [{ key: { expireAt: 1 }, expireAfterSeconds: 0 }],
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
  },
  JOURNAL,
  LOCK,
];
