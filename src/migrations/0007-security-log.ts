import { backfill } from '../mongo/migrate/documents.ts';
import { migration } from '../mongo/migrate/migration.ts';
import { changeField, createIndex, optional, required } from '../mongo/migrate/structure.ts';

const address = {
  bsonType: ['string', 'null'],
  minLength: 1,
  maxLength: 100,
  pattern:
    '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
  description: 'The address of the client, as far as TRUST_PROXY believes the proxies; null for a script',
};

const clientRequest = {
  bsonType: ['string', 'null'],
  minLength: 1,
  maxLength: 64,
  pattern:
    '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
  description: 'What the client called the request',
};

const events = {
  bsonType: 'array',
  description: 'What of it concerns the security of accounts',
  items: {
    bsonType: 'string',
    minLength: 1,
    maxLength: 50,
    pattern:
      '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
  },
};

const reason = {
  bsonType: ['string', 'null'],
  minLength: 1,
  maxLength: 200,
  pattern:
    '^[^\\x00]*[^\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}\\x00][^\\x00]*\\z',
  description: 'The reason of that, or the details',
};

export const securityLog = migration(import.meta.url, [
  changeField('audit', 'address', { to: optional(address) }),
  changeField('audit', 'clientRequest', { to: optional(clientRequest) }),
  changeField('audit', 'events', { to: optional(events) }),
  changeField('audit', 'reason', { to: optional(reason) }),
  backfill('audit', {
    where: { events: { $exists: false } },
    update: [{ $set: { address: null, clientRequest: null, events: [], reason: null } }],
    down: {
      where: { events: { $exists: true } },
      update: [{ $unset: ['address', 'clientRequest', 'events', 'reason'] }],
    },
  }),
  changeField('audit', 'address', { from: optional(address), to: required(address) }),
  changeField('audit', 'clientRequest', { from: optional(clientRequest), to: required(clientRequest) }),
  changeField('audit', 'events', { from: optional(events), to: required(events) }),
  changeField('audit', 'reason', { from: optional(reason), to: required(reason) }),
  createIndex('audit', { key: { events: 1, _id: 1 } }),
]);
