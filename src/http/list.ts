import type { Types } from 'mongoose';
import { z } from 'zod';
import { notFound } from '../errors.ts';
import { expanded, include, includePaths } from '../schema/include.ts';
import type { AnyResource, Index } from '../schema/resource.ts';
import { QUERY_TIME } from '../schema/store.ts';
import { readPage, type SortField } from './paging.ts';
import { filters, integer, oneOrMore, toFilter } from './query.ts';
import { byId, type Route, route } from './route.ts';

type FieldOf<R extends AnyResource> = keyof R['fields'] & string;

interface Listing<R extends AnyResource> {
  /** The fields by which a client may filter. */
  filter: readonly FieldOf<R>[];
  /** The fields by which a client may sort; each needs an index. */
  sort: readonly (FieldOf<R> | 'createdAt' | 'updatedAt')[];
}

/** GET /books. */
export const list = <R extends AnyResource>(resource: R, listing: Listing<R>): Route =>
  route({
    ...pages(resource, listing),
    path: `/${resource.collection}`,
    operationId: `list${capital(resource.collection)}`,
    tag: resource.collection,
    summary: `List ${resource.collection}`,
  });

/** GET /users/{id}/posts: those that refer to a document by one of their fields. */
export const related = <R extends AnyResource>(
  parent: AnyResource,
  resource: R,
  field: FieldOf<R>,
  listing: Listing<R>,
): Route =>
  route({
    ...pages(resource, listing, async (id) => {
      if (!(await parent.model.exists({ _id: id }).maxTimeMS(QUERY_TIME))) throw notFound();
      return { [field]: { $eq: id } };
    }),
    path: `/${parent.collection}/{id}/${resource.collection}`,
    operationId: `list${parent.name}${capital(resource.collection)}`,
    tag: parent.collection,
    summary: `List ${resource.collection} of a ${parent.name.toLowerCase()}`,
    params: byId(parent),
  });

const NEWEST = '-id';

/** What all lists of a resource have in common; `scope` narrows them to what belongs to a parent. */
function pages<R extends AnyResource>(
  resource: R,
  { filter, sort }: Listing<R>,
  scope: (parent: Types.ObjectId) => Promise<object> = async () => ({}),
) {
  const { collection } = resource;
  const declared = filters(resource, filter);
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
      ...includeParameter(resource),
      ...Object.fromEntries(declared.map(({ parameter, schema }) => [parameter, schema.optional()])),
    })
    .refine(({ after, before }) => after === undefined || before === undefined, {
      path: ['before'],
      error: 'cannot be combined with after',
    });
  return {
    method: 'get' as const,
    description: `A page of ${collection}, the newest first unless \`sort\` says otherwise. Pass \`page.next\` as \`after\` to go on.`,
    query,
    answer: {
      status: 200 as const,
      description: `A page of ${collection}`,
      schema: pageOf(resource),
      example: { items: [resource.example], page: { limit: 20, next: null, prev: null } },
    },
    problems: ['invalid_cursor' as const],
    handler: async ({ params, query }: { params: any; query: any }) => {
      const { limit = 20, after, before, sort = NEWEST, include: paths = [], ...rest } = query;
      const page = await readPage(resource, {
        filters: [await scope(params.id), toFilter(declared, rest)],
        sort: orders.get(sort) as SortField[],
        limit,
        after,
        before,
      });
      await include(resource, page.items, paths);
      return page;
    },
  };
}

/** The parameter `include`, where there is something to include. */
export function includeParameter(resource: AnyResource): { include?: z.ZodType } {
  const paths = includePaths(resource);
  if (paths.length === 0) return {};
  return { include: oneOrMore(paths, 'Documents to show in place of their ids, or beside').optional() };
}

const pageOf = (resource: AnyResource) =>
  z
    .strictObject({
      items: z.array(expanded(resource)).describe('In the order asked for'),
      page: z
        .strictObject({
          limit: z.int().describe('How many items a page has at most'),
          next: z.string().nullable().describe('The cursor of what follows, for `after`'),
          prev: z.string().nullable().describe('The cursor of what precedes, for `before`'),
        })
        .meta({ id: 'Page', description: 'Where the list goes on' }),
    })
    .meta({ id: `${resource.name}List`, description: `A page of ${resource.collection}` });

/** Whether no two documents can have the same value, so that an order needs nothing more to be total. */
const isUnique = (indexes: Index[], field: string): boolean =>
  indexes.some(({ key, unique, where }) => unique && !where && Object.keys(key).join() === field);

/** The orders that a list offers, by what stands in the URL. */
function sortOrders(
  { name, fields, indexes, document }: AnyResource,
  names: readonly string[],
): Map<string, SortField[]> {
  const orders = new Map<string, SortField[]>();
  for (const field of ['id', ...names]) {
    if (!(field in document.shape))
      throw new Error(`${name} cannot be sorted by ${field}: no answer shows it.`);
    const type = fields[field]?.def.type;
    if (type === 'array' || type === 'object')
      throw new Error(`${name} cannot be sorted by ${field}: it is not one value.`);
    for (const direction of [1, -1] as const) {
      const id: SortField = { field: '_id', direction };
      const sort = field === 'id' ? [id] : isUnique(indexes, field) ? [{ field, direction }] : [{ field, direction }, id];
      orders.set(`${direction === -1 ? '-' : ''}${field}`, sort);
    }
  }
  return orders;
}

const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);
