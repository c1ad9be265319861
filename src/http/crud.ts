import { z } from 'zod';
import type { ProblemCode } from '../errors.ts';
import { objectId } from '../schema/fields.ts';
import { type AnyResource, noun } from '../schema/resource.ts';
import * as store from '../schema/store.ts';
import { readPage, type SortField } from './paging.ts';
import { filters, integer, toFilter } from './query.ts';
import { type Route, route } from './route.ts';

/** The routes that most resources have. Where one differs, write it by hand with `route()` in the same list. */

type FieldOf<R extends AnyResource> = keyof R['fields'] & string;
type WireOf<R extends AnyResource> = z.input<R['patch']>;

/** GET /books. */
export function list<R extends AnyResource>(
  resource: R,
  { filter, sort }: { filter: FieldOf<R>[]; sort: (FieldOf<R> | 'createdAt' | 'updatedAt')[] },
): Route {
  const { collection } = resource;
  const declared = filters(resource.fields, filter);
  const orders = sortOrders(resource, sort);
  const query = z
    .strictObject({
      limit: integer(1, 100).meta({ default: 20, description: 'How many documents at most' }).optional(),
      after: z.string().describe('Only what follows this cursor, the `next` of a page').optional(),
      before: z.string().describe('Only what precedes this cursor, the `prev` of a page').optional(),
      sort: z
        .enum([...orders.keys()])
        .meta({
          default: NEWEST,
          description: 'The order; `-` is descending. Equal documents go by their ids',
        })
        .optional(),
      ...Object.fromEntries(declared.map(({ parameter, schema }) => [parameter, schema.optional()])),
    })
    .refine(({ after, before }) => after === undefined || before === undefined, {
      path: ['before'],
      error: 'cannot be combined with after',
    });
  return route({
    method: 'get',
    path: `/${collection}`,
    operationId: `list${capital(collection)}`,
    tag: collection,
    summary: `List ${collection}`,
    description: `A page of ${collection}, the newest first unless \`sort\` says otherwise. Pass \`page.next\` as \`after\` to go on.`,
    query,
    answer: {
      status: 200,
      description: `A page of ${collection}`,
      schema: pageOf(resource),
      example: { items: [resource.example], page: { limit: 20, next: null, prev: null } },
    },
    problems: ['invalid_cursor'],
    handler: ({ query: { limit = 20, after, before, sort = NEWEST, ...rest } }) =>
      readPage(resource, {
        filter: toFilter(declared, rest),
        sort: orders.get(sort) as SortField[],
        limit,
        after,
        before,
      }),
  });
}

/** POST /books. */
export const create = <R extends AnyResource>(resource: R, { example }: { example: WireOf<R> }): Route =>
  route({
    method: 'post',
    path: `/${resource.collection}`,
    operationId: `create${resource.name}`,
    tag: resource.collection,
    summary: `Create ${a(resource)}`,
    description: `Stores a new ${noun(resource)}; the answer tells its id, and Location where it is.`,
    body: { schema: resource.body, example },
    answer: {
      status: 201,
      ...theDocument(resource),
      headers: {
        Location: {
          description: 'Where it is',
          example: `/${resource.collection}/${resource.example.id}`,
          value: (created) => `/${resource.collection}/${String(created['_id'])}`,
        },
      },
    },
    problems: conflicts(resource),
    handler: ({ body }) => store.create(resource, body),
  });

/** GET /books/{id}. */
export const read = (resource: AnyResource): Route =>
  route({
    ...item(resource),
    method: 'get',
    operationId: `read${resource.name}`,
    summary: `Read ${a(resource)}`,
    description: `One ${noun(resource)} by its id.`,
    answer: { status: 200, ...theDocument(resource) },
    handler: ({ params }) => store.read(resource, params.id),
  });

/** PUT /books/{id}. */
export function replace(resource: AnyResource): Route {
  const { id, createdAt, updatedAt, ...example } = resource.example;
  return route({
    ...item(resource),
    method: 'put',
    operationId: `replace${resource.name}`,
    summary: `Replace ${a(resource)}`,
    description:
      'All that a client may write becomes what the body says; what it leaves out gets its default.',
    body: { schema: resource.body, example },
    answer: { status: 200, ...theDocument(resource) },
    problems: conflicts(resource),
    handler: ({ params, body }) => store.replace(resource, params.id, body),
  });
}

/** PATCH /books/{id}. */
export const update = <R extends AnyResource>(resource: R, { example }: { example: WireOf<R> }): Route =>
  route({
    ...item(resource),
    method: 'patch',
    operationId: `update${resource.name}`,
    summary: `Change ${a(resource)}`,
    description:
      'A JSON Merge Patch (RFC 7396): only the fields in the body change; null empties one that may be empty.',
    body: { schema: resource.patch, types: ['application/merge-patch+json', 'application/json'], example },
    answer: { status: 200, ...theDocument(resource) },
    problems: conflicts(resource),
    handler: ({ params, body }) => store.update(resource, params.id, body),
  });

/** DELETE /books/{id}. */
export const remove = (resource: AnyResource): Route =>
  route({
    ...item(resource),
    method: 'delete',
    operationId: `remove${resource.name}`,
    summary: `Remove ${a(resource)}`,
    description: `Removes a ${noun(resource)} for good.`,
    answer: { status: 204, description: 'It is gone' },
    handler: ({ params }) => store.remove(resource, params.id),
  });

const NEWEST = '-id';

const item = ({ collection, example }: AnyResource) => ({
  path: `/${collection}/{id}`,
  tag: collection,
  params: z.strictObject({ id: objectId().meta({ description: 'Its id', example: example.id }) }),
});

const theDocument = (resource: AnyResource) => ({
  description: `The ${noun(resource)}`,
  schema: resource.document,
  example: resource.example,
});

const pageOf = ({ name, document }: AnyResource) =>
  z
    .strictObject({
      items: z.array(document),
      page: z
        .strictObject({
          limit: z.int(),
          next: z.string().nullable().describe('The cursor of what follows, for `after`'),
          prev: z.string().nullable().describe('The cursor of what precedes, for `before`'),
        })
        .meta({ id: 'Page', description: 'Where the list goes on' }),
    })
    .meta({ id: `${name}List` });

const conflicts = ({ indexes }: AnyResource): ProblemCode[] =>
  indexes.some(({ unique }) => unique) ? ['duplicate_key'] : [];

/** The orders that a list offers, by what stands in the URL. */
function sortOrders({ name, fields }: AnyResource, names: string[]): Map<string, SortField[]> {
  const orders = new Map<string, SortField[]>();
  for (const field of ['id', ...names]) {
    const type = fields[field]?.def.type;
    if (type === 'array' || type === 'object')
      throw new Error(`${name} cannot be sorted by ${field}: it is not one value.`);
    for (const direction of [1, -1] as const) {
      const id: SortField = { field: '_id', direction, nullable: false };
      const sort = field === 'id' ? [id] : [{ field, direction, nullable: type === 'nullable' }, id];
      orders.set(`${direction === -1 ? '-' : ''}${field}`, sort);
    }
  }
  return orders;
}

const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);

const a = (resource: AnyResource): string =>
  `${/^[aeio]/i.test(resource.name) ? 'an' : 'a'} ${noun(resource)}`;
