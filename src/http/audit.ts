import type { Context } from 'koa';
import { z } from 'zod';
import { caller } from '../auth/caller.ts';
import type { Change } from '../schema/changes.ts';
import { objectId, text } from '../schema/fields.ts';
import { resource } from '../schema/resource.ts';
import type { Route } from './route.ts';
import { modelOf } from '../schema/model.ts';

/** How long an entry is kept, in seconds. */
const KEPT = 90 * 24 * 60 * 60;
/** An entry names so many changes; a cascade may have made thousands. */
const MAX_NAMED = 100;

/**
 * The audit trail: one entry for each request that has changed something, written by the transaction of the change,
 * so that there is never one without the other. What the documents contained is not in it.
 */
export const AuditEntry = resource('AuditEntry', {
  collection: 'audit',
  description: 'What a request has changed, and on whose behalf',
  fields: {
    // Not a reference: the entry outlives the user.
    actor: objectId().nullable().describe('The user; null where nobody had logged in'),
    key: objectId().nullable().describe('The API key that was used, if one was'),
    operation: text(1, 100).describe('The operationId'),
    method: text(1, 10),
    path: text(1, 8192),
    request: text(1, 64).describe('The X-Request-Id, which finds the request in the log'),
    changed: z.int().describe('How many documents were created, updated or removed'),
    changes: z
      .array(
        z.strictObject({
          resource: text(1, 100),
          document: objectId(),
          action: z.enum(['create', 'update', 'remove']),
        }),
      )
      .describe(`Which, the first ${MAX_NAMED} of them`),
    documents: z.array(objectId()).describe('Their ids, to filter by'),
  },
  policy: { read: 'admin' },
  indexes: [
    { key: { createdAt: 1 }, expireAfterSeconds: KEPT },
    { key: { actor: 1, _id: 1 } },
    { key: { operation: 1, _id: 1 } },
    { key: { request: 1, _id: 1 } },
    { key: { documents: 1, _id: 1 } },
  ],
  example: {
    id: '65f000000000000000000f01',
    actor: '65f000000000000000000c04',
    key: null,
    operation: 'updateBook',
    method: 'PATCH',
    path: '/books/65f000000000000000000b01',
    request: 'b4c8e7a2-5a0f-4a63-9a0e-6a3b6a1c2d3e',
    changed: 1,
    changes: [{ resource: 'books', document: '65f000000000000000000b01', action: 'update' }],
    documents: ['65f000000000000000000b01'],
  },
});

/** Writes down what a request has changed, inside its transaction. */
export async function record({ operationId }: Route, ctx: Context, changes: Change[]): Promise<void> {
  if (changes.length === 0) return;
  const { id, key } = caller();
  const named = changes.slice(0, MAX_NAMED);
  const now = new Date();
  const entry = {
    // Who logs in is nobody when the request begins.
    actor: id ?? changes.at(-1)?.by ?? null,
    key: key ?? null,
    operation: operationId,
    method: ctx.method,
    path: ctx.path,
    request: ctx.response.get('X-Request-Id'),
    changed: changes.length,
    changes: named.map(({ resource, document, action }) => ({ resource, document, action })),
    documents: named.map(({ document }) => document),
    createdAt: now,
    updatedAt: now,
  };
  // As it is: all of it is ours, and Mongoose's casting would be a good part of what a write costs.
  await modelOf(AuditEntry).insertMany([entry], { lean: true });
}
