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
      description: 'The answer to a request with an Idempotency-Key',
      bsonType: 'object',
      properties: {
        _id: { bsonType: 'string', description: 'A hash of the caller, method, path and key' },
        fingerprint: { bsonType: 'string', description: 'A keyed hash of the rest of the request' },
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
      description: 'The points of a limit that a client has used in the current window',
      bsonType: 'object',
      properties: {
        _id: { bsonType: 'objectId' },
        key: { bsonType: 'string', description: 'The limit and the client' },
        points: { bsonType: ['int', 'long', 'double'], description: 'The used points' },
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
      description: 'The wrong passwords from a network or for an account, and how long to wait',
      bsonType: 'object',
      properties: {
        _id: { bsonType: 'string', description: 'A hash of the network or account' },
        level: {
          bsonType: ['int', 'long', 'double'],
          description: 'Wrong passwords that are not forgiven yet',
        },
        at: { bsonType: 'date', description: 'When they were counted' },
        next: { bsonType: 'date', description: 'The earliest time of the next attempt' },
        granted: { bsonType: 'bool', description: 'Whether the last attempt was admitted' },
        expireAt: { bsonType: 'date', description: 'When it is forgotten' },
      },
      required: ['_id', 'level', 'at', 'next', 'granted', 'expireAt'],
      additionalProperties: false,
    },
  },
  JOURNAL,
  LOCK,
];
