import { z } from 'zod';
import { callerId } from '../../auth/caller.ts';
import { AuditEntry } from '../../http/audit.ts';
import { type Route, route } from '../../http/route.ts';
import { streams } from '../../http/stream.ts';
import { expanded } from '../../schema/include.ts';
import { modelOf, QUERY_TIME } from '../../schema/model.ts';
import type { AnyResource } from '../../schema/resource.ts';
import { type Shape, shapeOf } from '../../schema/shape.ts';
import { User } from './user.ts';

/** How many documents the JSON contains; the stream contains all. */
const MOST = 200;
const BATCH = 200;

/** All data about a user: the account, documents that refer to it, and its audit entries. */
const sources = (): [AnyResource, string][] => [
  [User, '_id'],
  ...User.referrers.map(({ from, field }): [AnyResource, string] => [from, field]),
  [AuditEntry, 'actor'],
];

/** An audit entry as its list shows it, so that OpenAPI has one schema. */
const shownAs = (resource: AnyResource): z.ZodObject =>
  resource === AuditEntry ? expanded(resource) : resource.document;

export const data = (): Route[] => {
  const resources = [...new Set(sources().map(([resource]) => resource))];
  const item = z
    .discriminatedUnion(
      'resource',
      resources.map((resource) =>
        z
          .strictObject({ resource: z.literal(resource.collection), document: shownAs(resource) })
          .meta({ id: `${resource.name}Data` }),
      ) as unknown as [z.ZodObject, z.ZodObject],
    )
    .meta({
      id: 'OwnDocument',
      description: 'A document about the caller, and its collection',
    });
  const shape = shapeOf(item);
  const { 'application/x-ndjson': ndjson } = streams('me', {
    rows: async () => asJson(inBatches(), shape),
    columns: () => [],
  });
  return [
    route({
      method: 'get',
      path: '/me/data',
      operationId: 'downloadMe',
      tag: 'auth',
      summary: 'Download your data',
      description: `Your account, and everything that refers to it: posts, sessions, API keys, and your entries in the audit trail. The JSON has the first ${MOST} documents; \`Accept: application/x-ndjson\` streams all of them.`,
      policy: { role: 'member' },
      secret: true,
      limits: [{ name: 'data', points: 20, seconds: 60 * 60, by: ({ account }) => [account as string] }],
      answer: {
        status: 200,
        description: 'Your data',
        schema: z
          .strictObject({
            items: z.array(item),
            isComplete: z.boolean().describe('Whether these are all documents'),
          })
          .meta({ id: 'OwnData', description: 'The stored data about the caller' }),
        example: {
          items: [{ resource: 'users', document: User.example }],
          isComplete: true,
        } as never,
      },
      forms: ndjson ? { 'application/x-ndjson': ndjson } : {},
      handler: async () => {
        const items: object[] = [];
        for await (const batch of inBatches()) {
          items.push(...batch);
          if (items.length > MOST) break;
        }
        return { items: items.slice(0, MOST), isComplete: items.length <= MOST } as never;
      },
    }),
  ];
};

async function* asJson(batches: AsyncIterable<object[]>, shape: Shape) {
  for await (const batch of batches)
    yield batch.map((one) => ({ json: Buffer.from(JSON.stringify(shape(one))) }));
}

async function* inBatches(): AsyncGenerator<{ resource: string; document: object }[]> {
  const id = callerId();
  for (const [resource, field] of sources()) {
    let last: unknown;
    for (;;) {
      const found: { _id: unknown }[] = await modelOf(resource)
        .find({ [field]: id, ...(last !== undefined && { _id: { $gt: last } }) })
        .sort({ _id: 1 })
        .limit(BATCH)
        .maxTimeMS(QUERY_TIME)
        .lean<{ _id: unknown }[]>();
      if (found.length > 0) yield found.map((document) => ({ resource: resource.collection, document }));
      if (found.length < BATCH) break;
      last = found.at(-1)?._id;
    }
  }
}
