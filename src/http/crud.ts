import type { Types } from 'mongoose';
import { z } from 'zod';
import { demandDefaults } from '../schema/access.ts';
import { accessTo } from '../schema/policy.ts';
import type { ProblemCode } from '../errors.ts';
import type { objectId } from '../schema/fields.ts';
import { constantsOf } from '../schema/defaults.ts';
import { etagOf, strong } from '../schema/etag.ts';
import { expanded, type Showing, showing } from '../schema/include.ts';
import type { Row } from '../schema/json/read.ts';
import { removalProblems } from '../schema/integrity.ts';
import { isClosed } from '../schema/grants.ts';
import { isEntry } from '../schema/places.ts';
import { type Target, targetsOf } from '../schema/references.ts';
import { demand } from '../schema/definition.ts';
import { type AnyResource, noun } from '../schema/resource.ts';
import * as store from '../schema/store.ts';
import { jsonPatch, patchDocument } from './json-patch.ts';
import * as writes from '../schema/writes.ts';
import type { Limit } from './limits.ts';
import { mergeDocument } from './merge-patch.ts';
import { refuseOutOfReach, shapeParameters } from './parameters.ts';
import { byId, Json, type Route, route } from './route.ts';

/**
 * The routes that most resources have. Where a resource differs, write that route by hand with `route()` in the same
 * list.
 */

type WireOf<R extends AnyResource> = Partial<{ [K in keyof R['fields']]: z.input<R['fields'][K]> }>;
type Id = ReturnType<typeof objectId>;

export interface Example<R extends AnyResource> {
  /** The body that Swagger UI sends. */
  example: WireOf<R>;
}

/** POST /books. */
export const create = <R extends AnyResource>(
  resource: R,
  options: Example<R> & { intake?: object; limits?: Limit<unknown>[] },
): Route => {
  demand(`create(${resource.name}, …)`, options, ['example']);
  demandDefaults(resource);
  const { example, intake, limits } = options;
  return route({
    method: 'post',
    path: `/${resource.collection}`,
    operationId: `create${resource.name}`,
    tag: resource.collection,
    summary: `Create ${a(resource)}`,
    description: `Stores a new ${noun(resource)} and returns it with its id; \`Location\` is its path.`,
    policy: accessTo('create', resource),
    body: { schema: resource.bodies.create, example: { ...example, ...intake } },
    answer: {
      status: 201,
      ...theDocument(resource, { ...constantsOf(resource), ...example }),
      headers: {
        Location: {
          description: 'Its path',
          example: `/${resource.collection}/${resource.example.id}`,
          value: (created) => `/${resource.collection}/${String(created['_id'])}`,
        },
      },
    },
    problems: refusals(resource),
    holds: holds(resource),
    ...(limits && { limits }),
    prepare: ({ body }) => store.takeIn(resource, body),
    shares: true,
    handler: ({ body }) => writes.create(resource, body),
  });
};

/** GET /books/{id}. */
export const read = (resource: AnyResource): Route =>
  route({
    ...item(resource),
    method: 'get',
    operationId: `read${resource.name}`,
    summary: `Read ${a(resource)}`,
    description: `One ${noun(resource)} by its id.`,
    policy: accessTo('read', resource),
    ...reading(resource, ({ params }, showing) => store.readAs(resource, params.id, showing)),
  });

/** The query, answer and handler of a route that reads one document in the shape that the client chooses. */
export function reading(
  resource: AnyResource,
  find: (input: { params: any }, showing: Showing) => Promise<Row>,
) {
  const show = showing(resource);
  return {
    query: z.strictObject(shapeParameters(resource)).superRefine(refuseOutOfReach(resource)),
    answer: {
      status: 200 as const,
      description: `The ${noun(resource)}`,
      schema: expanded(resource),
      example: resource.example as any,
      // A shape with `fields` or `include` is not what a write would replace, so it has no strong tag. Whole documents
      // use etagOf().
      etag: ({ text }: Json, { include, fields }: any) => (include || fields ? undefined : strong(text)),
    },
    handler: async ({ params, query }: { params: any; query: any }) => {
      const { json } = await find({ params }, show(query));
      return new Json(json);
    },
  };
}

/** PUT /books/{id}. */
export const replace = <R extends AnyResource>(
  resource: R,
  { example }: Example<R> = { example: written(resource) as WireOf<R> },
): Route =>
  route({
    ...item(resource),
    method: 'put',
    operationId: `replace${resource.name}`,
    summary: `Replace ${a(resource)}`,
    description:
      'Replaces every field that a client may write; a field that the body leaves out gets its default.',
    policy: accessTo('update', resource),
    body: { schema: resource.bodies.replace, example },
    answer: { status: 200, ...theDocument(resource, example) },
    problems: refusals(resource),
    holds: holds(resource),
    handler: ({ params, body }) => writes.replace(resource, params.id, body),
  });

/** PATCH /books/{id}. */
export const update = <R extends AnyResource>(resource: R, options: Example<R>): Route => {
  demand(`update(${resource.name}, …)`, options, ['example']);
  const { example } = options;
  return route({
    ...item(resource),
    method: 'patch',
    operationId: `update${resource.name}`,
    summary: `Change ${a(resource)}`,
    description:
      'A JSON Merge Patch (RFC 7396): only the fields in the body change; null clears a nullable field. Or a JSON Patch (RFC 6902).',
    policy: accessTo('update', resource),
    body: {
      schema: resource.bodies.update,
      types: ['application/json', 'application/merge-patch+json'],
      example,
    },
    alternative: jsonPatch(example),
    answer: { status: 200, ...theDocument(resource, example) },
    problems: refusals(resource),
    holds: holds(resource),
    handler: ({ params, body }) =>
      Array.isArray(body)
        ? patchDocument(resource, params.id, body)
        : mergeDocument(resource, params.id, body),
  });
};

/** DELETE /books/{id}. The example is the id of a seed to which no other seed refers. */
export const remove = (resource: AnyResource, options: { example: string }): Route => {
  demand(`remove(${resource.name}, …)`, options, ['example']);
  return route({
    ...item(resource),
    params: byId(resource, options.example),
    method: 'delete',
    operationId: `remove${resource.name}`,
    summary: `Remove ${a(resource)}`,
    description: [`Removes a ${noun(resource)} for good.`, ...resource.referrers.map(consequence)].join(' '),
    policy: accessTo('remove', resource),
    answer: { status: 204, description: 'Removed' },
    problems: removalProblems(resource),
    handler: ({ params }) => store.remove(resource, params.id),
  });
};

/** PUT and DELETE /posts/{id}/tags/{tagId}: one entry of a list of references. */
export function links<R extends AnyResource>(resource: R, field: keyof R['fields'] & string): Route[] {
  const reference = resource.references.find((reference) => reference.field === field && isEntry(reference));
  if (!reference)
    throw new Error(`${resource.name}.${field} is not a list of references, so links() cannot be used.`);
  const { target } = reference;
  const name = `${noun(target)}Id`;
  const common = {
    path: `/${resource.collection}/{id}/${field}/{${name}}`,
    tag: resource.collection,
    about: resource,
    params: z.strictObject({ ...byId(resource).shape, [name]: byId(target).shape.id } as Record<string, Id>),
    policy: accessTo('update', resource),
    answer: { status: 204 as const, description: 'Done, whether or not anything changed' },
  };
  return [
    route({
      ...common,
      method: 'put',
      operationId: `add${resource.name}${target.name}`,
      summary: `Add ${a(target)} to ${a(resource)}`,
      description: `Adds the ${noun(target)} to \`${field}\`, unless it is there already.`,
      problems: ['validation_failed'],
      holds: ({ params }) => [{ resource: target, id: params[name] as Types.ObjectId }],
      handler: async ({ params }) => {
        const id = params['id'] as Types.ObjectId;
        await writes.requireWritable(resource, id, field);
        return store.addToSet(reference, id, params[name] as Types.ObjectId);
      },
    }),
    route({
      ...common,
      method: 'delete',
      operationId: `remove${resource.name}${target.name}`,
      summary: `Remove ${a(target)} from ${a(resource)}`,
      description: `Removes the ${noun(target)} from \`${field}\`, if it is there.`,
      handler: async ({ params }) => {
        const id = params['id'] as Types.ObjectId;
        await writes.requireWritable(resource, id, field);
        return store.pull(reference, id, params[name] as Types.ObjectId);
      },
    }),
  ];
}

const item = (resource: AnyResource) => ({
  about: resource,
  path: `/${resource.collection}/{id}`,
  tag: resource.collection,
  params: byId(resource),
});

/** The answer of routes that show a document of a resource. */
export const theDocument = (resource: AnyResource, changes: object) => ({
  description: `The ${noun(resource)}`,
  schema: resource.document,
  example: { ...resource.example, ...shownBy(resource.document, changes) },
  etag: (stored: unknown) => etagOf(resource, stored),
});

/** The part of the example that a client may write. */
const written = ({ example, body, restrictions: { write } }: AnyResource): object =>
  Object.fromEntries(
    Object.entries(shownBy(body, example)).filter(([field]) => {
      const grant = write.grants.get(field);
      return !grant || !isClosed(grant);
    }),
  );

/** The members of an example that a schema has. */
const shownBy = (schema: z.ZodObject, example: object): object =>
  Object.fromEntries(Object.entries(example).filter(([field]) => field in schema.shape));

const holds =
  (resource: AnyResource) =>
  ({ body }: { body: Record<string, unknown> }): Target[] =>
    targetsOf(resource, body);

/** The problems that a write may be refused with because of the resource's indexes and references. */
export const refusals = ({ indexes, references, restrictions }: AnyResource): ProblemCode[] => [
  ...(restrictions.write.grants.size > 0 ? (['forbidden'] as const) : []),
  ...(indexes.some(({ unique }) => unique) ? (['duplicate_key'] as const) : []),
  ...(references.length > 0 ? (['reference_not_found'] as const) : []),
];

/** What removing a document means for the documents that refer to it. */
const consequence = ({ from, field, policy }: AnyResource['referrers'][number]): string =>
  ({
    restrict: `Refused while any of the ${from.collection} refer to it by \`${field}\`.`,
    detach: `The ${from.collection} that refer to it by \`${field}\` lose that reference.`,
    cascade: `The ${from.collection} that refer to it by \`${field}\` are removed too.`,
  })[policy];

/** 'a book', 'an author'. */
export const a = (resource: AnyResource): string =>
  `${/^[aeio]/i.test(resource.name) ? 'an' : 'a'} ${noun(resource)}`;
