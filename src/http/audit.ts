import { randomUUID } from 'node:crypto';
import { Types } from 'mongoose';
import { z } from 'zod';
import { caller } from '../auth/caller.ts';
import { origin } from '../auth/origin.ts';
import { collect } from '../mongo/collected.ts';
import { isInTransaction } from '../mongo/session.ts';
import type { Done } from '../schema/changes.ts';
import { objectId, text } from '../schema/fields.ts';
import { resource } from '../schema/resource.ts';
import { modelOf } from '../schema/model.ts';

/** How long an entry is kept, in seconds. */
const KEPT = 90 * 24 * 60 * 60;
/** The most changes that one entry lists; a cascade may make thousands. */
const MAX_NAMED = 100;

/**
 * The audit trail: one entry per request that changed something, written in the transaction of the change, so neither
 * exists without the other; and one per security event of an account, such as a failed login. Document contents are
 * not recorded.
 */
export const AuditEntry = resource('AuditEntry', {
  collection: 'audit',
  description: 'What a request changed, and on whose behalf',
  fields: {
    // Not a reference: the entry outlives the user.
    actor: objectId().nullable().describe('The user; null for requests without a login'),
    key: objectId().nullable().describe('The API key, if one was used'),
    operation: text(1, 100).describe('The operationId'),
    method: text(1, 10),
    path: text(1, 8192),
    address: text(1, 100)
      .nullable()
      .describe('The address of the client, as far as TRUST_PROXY trusts the proxies; null for scripts'),
    request: text(1, 64).describe('The X-Request-Id, which identifies the request in the log'),
    clientRequest: text(1, 64).nullable().describe('The id that the client gave the request'),
    events: z.array(text(1, 50)).describe('Security events of accounts'),
    reason: text(1, 200).nullable().describe('The reason or details of the events'),
    changed: z.int().describe('How many documents were created, updated or removed'),
    changes: z
      .array(
        z.strictObject({
          resource: text(1, 100),
          document: objectId(),
          action: z.enum(['create', 'update', 'remove']),
        }),
      )
      .describe(`The changes, at most the first ${MAX_NAMED}`),
    /** Includes the id of the account that an event is about. */
    documents: z.array(objectId()).describe('The ids of the documents, for filters'),
  },
  policy: { create: [], update: [], remove: [] },
  // Identifiers and numbers: alphabetical order has no use here.
  collation: { locale: 'simple' },
  indexes: [
    { key: { createdAt: 1 }, expireAfterSeconds: KEPT },
    { key: { actor: 1, _id: 1 } },
    { key: { operation: 1, _id: 1 } },
    { key: { request: 1, _id: 1 } },
    { key: { documents: 1, _id: 1 } },
    { key: { events: 1, _id: 1 } },
  ],
  example: {
    id: '65f000000000000000000f01',
    actor: '65f000000000000000000c04',
    key: null,
    operation: 'updateBook',
    method: 'PATCH',
    path: '/books/65f000000000000000000b01',
    address: '203.0.113.7',
    request: 'b4c8e7a2-5a0f-4a63-9a0e-6a3b6a1c2d3e',
    clientRequest: null,
    events: [],
    reason: null,
    changed: 1,
    changes: [{ resource: 'books', document: '65f000000000000000000b01', action: 'update' }],
    documents: ['65f000000000000000000b01'],
  },
});

/** The operation: a route's id, or a command typed in a shell. */
export interface Operation {
  operation: string;
  method: string;
  path: string;
}

/** Records what a request or script did, inside its transaction if it changed something. */
export async function record(
  operation: Operation,
  { changes, events }: Pick<Done, 'changes' | 'events'>,
): Promise<void> {
  if (changes.length === 0 && events.length === 0) return;
  const { id, key } = caller();
  const { address = null, request = randomUUID(), clientRequest = null } = origin() ?? {};
  const named = changes.slice(0, MAX_NAMED);
  const concerned = events.flatMap(({ account }) => account ?? []);
  const now = new Date();
  const entry = {
    _id: new Types.ObjectId(),
    // At a login the caller is still anonymous when the request begins.
    actor: id ?? changes.at(-1)?.by ?? null,
    key: key ?? null,
    ...operation,
    address,
    request,
    clientRequest,
    events: events.map(({ event }) => event),
    reason: events.find(({ reason }) => reason)?.reason ?? null,
    changed: changes.length,
    changes: named.map(({ resource, document, action }) => ({ resource, document, action })),
    documents: [
      ...new Map(
        [...named.map(({ document }) => document), ...concerned].map((one) => [String(one), one]),
      ).values(),
    ],
    createdAt: now,
    updatedAt: now,
  };
  // Stored without Mongoose's casting: the entry is made here, and casting would be a large part of a write's cost.
  if (isInTransaction()) collect({ collection: AuditEntry.collection, statement: { insert: entry } });
  else await modelOf(AuditEntry).insertMany([entry], { lean: true });
}
