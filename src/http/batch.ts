import { Types } from 'mongoose';
import { z } from 'zod';
import { ENOUGH_FAULTS, Problem } from '../errors.ts';
import { databaseProblem, isTransient } from '../mongo/failures.ts';
import { explaining } from '../mongo/collected.ts';
import type { Tags } from '../schema/etag.ts';
import { objectId } from '../schema/fields.ts';
import { demandDefaults } from '../schema/access.ts';
import { targetsOf } from '../schema/references.ts';
import { formerPath } from '../schema/renamed.ts';
import type { AnyResource } from '../schema/resource.ts';
import * as store from '../schema/store.ts';
import { words } from '../schema/words.ts';
import * as writes from '../schema/writes.ts';
import { mergeDocument } from './merge-patch.ts';
import { parseTags, TAGS_EXPECTED } from './preconditions.ts';
import { type Route, route } from './route.ts';

const MAX_OPERATIONS = 100;
const MAX_BYTES = 1024 * 1024;
/** Creates that are more expensive than others, such as those that hash a password. */
const MAX_TAKEN = 10;

type Method = 'create' | 'replace' | 'update' | 'remove';

/** An operation whose input has been checked. */
interface Planned {
  method: Method;
  resource: AnyResource;
  /** Set for a create too, so that later operations can refer to the new document. */
  id: Types.ObjectId;
  body: Record<string, unknown>;
  ifMatch: Tags | undefined;
}

/**
 * POST /batch: operations across resources, in order and in one transaction: all take effect, or none. A create may
 * give its document a local name; later operations write `$name` in place of its id.
 */
export function batch(resources: AnyResource[], { example }: { example: Example }): Route {
  resources.forEach(demandDefaults);
  const planning = z
    .strictObject({ operations: z.array(operation(resources)).min(1).max(MAX_OPERATIONS) })
    .meta({ id: 'Batch', description: 'Operations, in the order in which they run' })
    .transform(({ operations }, ctx) => plan(resources, operations, ctx));
  return route({
    method: 'post',
    path: '/batch',
    operationId: 'batch',
    tag: 'batch',
    summary: 'Perform several operations in one transaction',
    description: `Up to ${MAX_OPERATIONS} operations across resources, in order: all take effect, or none. A create may be named by \`as\`; later operations then write \`$name\` for its id.`,
    policy: { role: 'member', scope: 'each' },
    body: { schema: planning, limit: MAX_BYTES, example },
    answer: {
      status: 200,
      description: 'All operations took effect',
      schema: z.strictObject({ results: z.array(result(resources)) }).meta({ id: 'BatchResults' }),
      example: {
        results: [{ resource: 'tags', status: 204, id: '65f000000000000000000a09', document: null }],
      },
    },
    problems: ['batch_operation_failed'],
    holds: ({ body }) => {
      const made = new Set(body.map(({ method, id }) => (method === 'create' ? id.toHexString() : '')));
      const targets = body.flatMap(({ resource, body }) => targetsOf(resource, body));
      return targets.filter(({ id }) => !made.has(id.toHexString()));
    },
    prepare: async ({ body }) => {
      for (const operation of body)
        if (operation.method === 'create')
          operation.body = await store.takeIn(operation.resource, operation.body);
      return body;
    },
    handler: async ({ body }) => {
      const results = [];
      for (const [index, operation] of body.entries()) results.push(await performAt(operation, index));
      return { results } as never;
    },
  });
}

type Example = { operations: z.input<ReturnType<typeof operation>>[] };

const operation = (resources: AnyResource[]) => {
  const resource = z.enum(resources.map(({ collection }) => collection));
  const id = z.string().describe('An id, or $name of an earlier create');
  const body = z.record(z.string(), z.unknown()).describe('The body of the same request to the resource');
  const as = z
    .string()
    .regex(/^[A-Za-z]\w{0,39}$/, 'must be a letter, followed by up to 39 letters, digits or _')
    .describe('A name for the new document, by which later operations refer to it');
  const ifMatch = z
    .string()
    .refine((tags) => parseTags(tags) !== undefined, TAGS_EXPECTED)
    .describe('Only if the document still has this entity tag (its `ETag`)');
  return z.discriminatedUnion('method', [
    z
      .strictObject({ method: z.literal('create'), resource, as: as.optional(), body })
      .meta({ id: 'CreateOperation' }),
    z
      .strictObject({ method: z.literal('replace'), resource, id, body, ifMatch: ifMatch.optional() })
      .meta({ id: 'ReplaceOperation' }),
    z
      .strictObject({ method: z.literal('update'), resource, id, body, ifMatch: ifMatch.optional() })
      .meta({ id: 'UpdateOperation' }),
    z
      .strictObject({ method: z.literal('remove'), resource, id, ifMatch: ifMatch.optional() })
      .meta({ id: 'RemoveOperation' }),
  ]);
};

type Operation = z.output<ReturnType<typeof operation>>;

const result = (resources: AnyResource[]) =>
  z.discriminatedUnion(
    'resource',
    resources.map(({ name, collection, document }) =>
      z
        .strictObject({
          resource: z.literal(collection),
          status: z.int().describe('The status of the same request on its own'),
          id: objectId(),
          document: z
            .union([document, z.null()])
            .describe('The document after the operation; null if it was removed'),
        })
        .meta({ id: `${name}Result` }),
    ) as unknown as [z.ZodObject, z.ZodObject],
  );

type Context = Parameters<Parameters<z.ZodObject['transform']>[0]>[1];

/** Checks all operations before the first one runs, so that all faults are reported at once. */
function plan(resources: AnyResource[], operations: Operation[], ctx: Context): Planned[] {
  const names = new Map<string, Types.ObjectId>();
  const taken = operations.filter(
    ({ method, resource }) =>
      method === 'create' && resources.some(({ collection, intake }) => collection === resource && intake),
  );
  if (taken.length > MAX_TAKEN)
    fault(ctx, ['operations'], 'too_many', `may have at most ${MAX_TAKEN} creates of ${taken[0]?.resource}`);
  const planned = operations.map((operation, index) => {
    // Further faults are not reported.
    if (ctx.issues.length >= ENOUGH_FAULTS) return z.NEVER;
    const path = ['operations', index];
    const resource = resources.find(({ collection }) => collection === operation.resource) as AnyResource;
    const id =
      operation.method === 'create'
        ? new Types.ObjectId()
        : identify(operation.id, names, [...path, 'id'], ctx);
    const body =
      operation.method === 'remove' ? {} : checkBody(resource, operation, names, [...path, 'body'], ctx);
    if (operation.method === 'create' && operation.as) {
      if (names.has(operation.as))
        fault(ctx, [...path, 'as'], 'repeated', 'is already the name of an earlier create');
      names.set(operation.as, id);
    }
    const ifMatch = 'ifMatch' in operation ? parseTags(operation.ifMatch ?? '') : undefined;
    return { method: operation.method, resource, id, body, ifMatch };
  });
  return planned;
}

function identify(
  given: string,
  names: Map<string, Types.ObjectId>,
  path: PropertyKey[],
  ctx: Context,
): Types.ObjectId {
  const id = names.get(given.slice(1));
  if (given.startsWith('$') && id) return id;
  if (/^[0-9a-fA-F]{24}$/.test(given)) return Types.ObjectId.createFromHexString(given);
  fault(ctx, path, 'invalid_id', 'must be an id, or $ and the name of an earlier create');
  return z.NEVER;
}

function checkBody(
  resource: AnyResource,
  { method, body }: Extract<Operation, { body: unknown }>,
  names: Map<string, Types.ObjectId>,
  path: PropertyKey[],
  ctx: Context,
): Record<string, unknown> {
  const checked = resource.bodies[method].safeParse(resolve(resource, body, names), { error: words });
  if (checked.success) return checked.data as Record<string, unknown>;
  for (const issue of checked.error.issues)
    ctx.issues.push({ ...issue, path: [...path, ...issue.path], input: body } as z.core.$ZodRawIssue);
  return z.NEVER;
}

/** Replaces local names by ids, only in fields that are references: any other text stays as it is. */
const resolve = (
  resource: AnyResource,
  body: Record<string, unknown>,
  names: Map<string, Types.ObjectId>,
): Record<string, unknown> => {
  const fields = new Set(
    resource.references.flatMap(({ field }) => [field, formerPath(resource.formerly, field)]),
  );
  const within = (value: unknown, path: string): unknown => {
    if (typeof value === 'string' && fields.has(path) && value.startsWith('$'))
      return names.get(value.slice(1))?.toHexString() ?? value;
    if (Array.isArray(value)) return value.map((entry) => within(entry, path));
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => [name, within(inner, path ? `${path}.${name}` : name)]),
    );
  };
  return within(body, '') as Record<string, unknown>;
};

const fault = (ctx: Context, path: PropertyKey[], code: string, message: string) =>
  ctx.addIssue({ code: 'custom', path, message, params: { code } });

/** Some of its writes may be sent, and refused, while a later operation runs. */
async function performAt(operation: Planned, index: number) {
  const explain = (error: unknown) => (isTransient(error) ? error : failed(error, index));
  try {
    return await explaining(explain, () => perform(operation));
  } catch (error) {
    throw explain(error);
  }
}

async function perform({ method, resource, id, body, ifMatch }: Planned) {
  const done = { resource: resource.collection, _id: id };
  if (ifMatch)
    await store.requireVersion(resource, id, { match: ifMatch }, method === 'remove' ? 'remove' : 'update');
  switch (method) {
    case 'create':
      return { ...done, status: 201, document: await writes.create(resource, body, id) };
    case 'replace':
      return { ...done, status: 200, document: await writes.replace(resource, id, body) };
    case 'update':
      return { ...done, status: 200, document: await mergeDocument(resource, id, body) };
    case 'remove':
      await store.remove(resource, id);
      return { ...done, status: 204, document: null };
  }
}

/** Wraps the problem of the operation that was refused, and names that operation. */
function failed(error: unknown, operation: number): unknown {
  const problem = error instanceof Problem ? error : databaseProblem(error);
  // The problem of another operation, whose writes were sent only now.
  if (problem?.code === 'batch_operation_failed') return problem;
  if (!problem || problem.status >= 500) return error;
  return new Problem(
    'batch_operation_failed',
    `Operation ${operation} was refused, so none took effect: ${problem.message}`,
    {
      operation,
      problem: problem.describe(),
      event: problem.event,
    },
  );
}
