import { backfill } from '../mongo/migrate/documents.ts';
import { migration } from '../mongo/migrate/migration.ts';
import { changeField, optional, required } from '../mongo/migrate/structure.ts';

const userBefore = { bsonType: 'objectId' };

const user = { description: 'Whose login it is', bsonType: 'objectId' };

const digest = {
  bsonType: 'string',
  minLength: 1,
  maxLength: 100,
  pattern:
    '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
};

const expiresAtBefore = { bsonType: 'date' };

const expiresAt = { description: 'When it ends unless it is used before', bsonType: 'date' };

const address = {
  bsonType: ['string', 'null'],
  minLength: 1,
  maxLength: 100,
  pattern:
    '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
  description: 'The address that has used it last',
};

const agent = {
  bsonType: ['string', 'null'],
  minLength: 1,
  maxLength: 300,
  pattern:
    '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
  description: 'The User-Agent of that',
};

const tokens = {
  bsonType: 'array',
  items: {
    bsonType: 'object',
    required: ['digest', 'previous', 'since'],
    additionalProperties: false,
    properties: {
      digest: {
        bsonType: 'string',
        minLength: 1,
        maxLength: 100,
        pattern:
          '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
      },
      previous: {
        bsonType: ['string', 'null'],
        minLength: 1,
        maxLength: 100,
        pattern:
          '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
      },
      since: { bsonType: 'date' },
    },
  },
};

export const siblings = migration(import.meta.url, [
  changeField('sessions', 'user', { from: required(userBefore), to: required(user) }),
  changeField('sessions', 'expiresAt', { from: required(expiresAtBefore), to: required(expiresAt) }),
  changeField('sessions', 'address', { to: optional(address) }),
  changeField('sessions', 'agent', { to: optional(agent) }),
  changeField('sessions', 'tokens', { to: optional(tokens) }),
  changeField('sessions', 'digest', { from: required(digest), to: optional(digest) }),
  backfill('sessions', {
    where: { tokens: { $exists: false } },
    update: [
      {
        $set: {
          address: null,
          agent: null,
          tokens: [{ digest: '$digest', previous: null, since: '$updatedAt' }],
        },
      },
      { $unset: 'digest' },
    ],
    down: {
      where: { tokens: { $exists: true } },
      update: [
        // Without a token the session can only end; no digest is that of this text.
        { $set: { digest: { $ifNull: [{ $last: '$tokens.digest' }, 'none'] } } },
        { $unset: ['address', 'agent', 'tokens'] },
      ],
    },
  }),
  changeField('sessions', 'digest', { from: optional(digest) }),
  changeField('sessions', 'address', { from: optional(address), to: required(address) }),
  changeField('sessions', 'agent', { from: optional(agent), to: required(agent) }),
  changeField('sessions', 'tokens', { from: optional(tokens), to: required(tokens) }),
]);
