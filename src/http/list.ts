import type { Types } from 'mongoose';
import { z } from 'zod';
import type { ProblemCode } from '../errors.ts';
import { isRestricting, requireReadable } from '../schema/access.ts';
import { capital } from '../schema/capital.ts';
import { accessTo, visible } from '../schema/policy.ts';
import { demand } from '../schema/definition.ts';
import { text } from '../schema/fields.ts';
import { expanded, showing } from '../schema/include.ts';
import { modelOf } from '../schema/model.ts';
import { memoized } from '../schema/memoized.ts';
import type { PathOf } from '../schema/paths.ts';
import type { AnyResource, Reference } from '../schema/resource.ts';
import { requireVisible } from '../schema/store.ts';
import { BEST_FIRST, sortOrders } from './order.ts';
import { type OwnParameter, ownFilters } from './own-parameters.ts';
import { all, MAX_RANKED, readPage, type SortField, timeFor } from './paging.ts';
import { COUNT_CAP, PAGING, refuseContradictions, refuseOutOfReach, shapeParameters } from './parameters.ts';
import { askedBy, EXPRESSION, toConditions } from './filter/conditions.ts';
import { filters } from './filter/filters.ts';
import { filterParameter } from './filter/parameter.ts';
import { FACETS, facetParameters, facetsOf, facetsSchema } from './groups/facets.ts';
import { groupables } from './groups/keys.ts';
import { byId, Json, type Route, route } from './route.ts';
import { toUri } from './uri.ts';

type FieldOf<R extends AnyResource> = PathOf<R['fields']>;
type Stamp = 'createdAt' | 'updatedAt';

export interface Listing<R extends AnyResource> {
  /**
   * The fields that clients may filter by, also across a reference (`author.name`). `id` supports only the operator
   * `in`.
   */
  filter: readonly (FieldOf<R> | Stamp | 'id' | `${FieldOf<R>}.${string}`)[];
  /** The sort orders, each one field or several as in a URL: '-year,title'. Each needs an index. */
  sort: readonly (FieldOf<R> | Stamp | `${string},${string}`)[];
  /** The fields that documents can be grouped and counted by: `groups()` and `facets=`. */
  groups?: readonly (FieldOf<R> | Stamp)[];
  /** The fields for which groups offer sums, averages, extremes and distinct counts. */
  measures?: readonly (FieldOf<R> | Stamp)[];
  /** Its own parameters, in addition to those derived from `filter`. */
  parameters?: Record<string, OwnParameter>;
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

/** GET /users/{id}/posts: the documents that refer to a document by one of their fields. */
export const related = <R extends AnyResource>(
  parent: AnyResource,
  resource: R,
  field: FieldOf<R>,
  listing: Listing<R>,
  { name = resource.collection, along = [] }: { name?: string; along?: Reference[] } = {},
): Route =>
  route({
    ...pages(resource, listing, {
      along,
      scope: async (id) => {
        requireReadable(resource, [{ parameter: 'id', paths: [field] }]);
        await requireVisible(parent, id);
        return [{ [field]: { $eq: id } }];
      },
    }),
    path: `/${parent.collection}/{id}/${name}`,
    operationId: `list${parent.name}${capital(name)}`,
    tag: parent.collection,
    summary: `List ${resource.collection} of a ${parent.name.toLowerCase()}`,
    params: byId(parent),
  });

const NEWEST = '-id';
/**
 * The parameters and sort orders for documents of a resource. Its list, export, groups and the lists of its referrers
 * share one, because making a schema per parameter takes most of the start-up time.
 */
export const search = <R extends AnyResource>(resource: R, listing: Listing<R>) =>
  searches(resource)(listing);

const searches = memoized((resource: AnyResource) =>
  memoized((listing: Listing<any>) => searchOf(resource, listing)),
);

function searchOf(resource: AnyResource, listing: Listing<any>) {
  demand(`The list of ${resource.name}`, listing, ['filter', 'sort']);
  const orders = sortOrders(resource, listing.sort);
  const derived = filters(resource, listing.filter);
  const standard = {
    ...(resource.search.length > 0 && {
      q: text(1, 200)
        .describe(
          `Words to search for in ${resource.search.join(' and ')}; best matches first unless \`sort\` is given; newest first if more than ${MAX_RANKED} documents match`,
        )
        .optional(),
    }),
    sort: z
      .enum([...orders.keys()])
      .meta({
        default: NEWEST,
        description: 'The order; `-` is descending. Ties are sorted by id',
      })
      .optional(),
    ...shapeParameters(resource),
  };
  const taken = [
    EXPRESSION,
    FACETS,
    ...Object.keys({ ...PAGING, ...standard }),
    ...derived.map(({ parameter }) => parameter),
  ];
  const declared = [...derived, ...ownFilters(resource, listing.parameters ?? {}, taken)];
  const problems: ProblemCode[] = [
    ...(isRestricting(resource) ? (['forbidden'] as const) : []),
    ...(resource.search.length > 0 ? (['search_unavailable'] as const) : []),
  ];
  return {
    declared,
    standard,
    problems,
    filtering: {
      ...Object.fromEntries(declared.map(({ parameter, schema }) => [parameter, schema.optional()])),
      [EXPRESSION]: filterParameter(resource, declared),
    },
    orderOf: ({ sort, q }: any): SortField[] => {
      if (sort === undefined) return q === undefined ? (orders.get(NEWEST) as SortField[]) : BEST_FIRST;
      const order = orders.get(sort) as SortField[];
      requireReadable(
        resource,
        order.map(({ field }) => ({ parameter: 'sort', paths: [field] })),
      );
      return order;
    },
    conditionsOf: async (asked: any): Promise<object[]> => [
      ...(asked.q === undefined ? [] : [{ $text: { $search: asked.q } }]),
      ...(await toConditions(askedBy(resource, declared, asked))),
      ...[visible(resource)].filter((condition) => condition !== undefined),
    ],
  };
}

/** How a list differs from the list of all documents. */
interface Scope {
  /** Restricts it to the documents of a parent. */
  scope?: (parent: Types.ObjectId) => Promise<object[]>;
  /** Includes that are always present. */
  along?: Reference[];
}

/** The common parts of all lists of a resource. */
function pages<R extends AnyResource>(
  resource: R,
  listing: Listing<R>,
  { scope = async () => [], along = [] }: Scope = {},
) {
  const { collection } = resource;
  const { declared, standard, filtering, problems, orderOf, conditionsOf } = search(resource, listing);
  const known = groupables(resource, listing.groups ?? []);
  const always = along.map(({ field }) => field);
  const show = showing(resource, always);
  /** The identity of the list that its cursors are bound to; the conditions may depend on the time. */
  const questionOf = ({ id }: any, asked: any): unknown => [
    id,
    asked.q,
    asked[EXPRESSION]?.source,
    declared.map(({ parameter }) => asked[parameter]),
    visible(resource),
  ];

  return {
    method: 'get' as const,
    policy: accessTo('read', resource),
    description: `A page of ${collection}.`,
    query: z
      .strictObject({ ...standard, ...PAGING, ...facetParameters(known), ...filtering })
      .superRefine(refuseContradictions)
      .superRefine(refuseOutOfReach(resource, always)),
    answer: {
      status: 200 as const,
      description: `A page of ${collection}`,
      schema: pageOf(resource),
      headers: { Link: LINK },
    },
    problems: ['invalid_cursor' as const, ...problems],
    lists: { resource, filters: declared },
    handler: async ({ params, query: asked }: { params: any; query: any }) => {
      const conditions = [...(await scope(params.id)), ...(await conditionsOf(asked))];
      const { limit = 20, after, before, offset } = asked;
      const [{ items, page }, total, facets] = await Promise.all([
        readPage(resource, {
          question: questionOf(params, asked),
          conditions,
          sort: orderOf(asked),
          limit,
          after,
          before,
          offset,
          showing: show(asked),
        }),
        count(resource, conditions, asked.count),
        facetsOf(resource, known, asked.facets, conditions),
      ]);
      return new PageAsJson(items, { ...page, ...total }, facets);
    },
  };
}

/** A page whose items are already JSON. */
class PageAsJson extends Json {
  readonly page: { next: string | null; prev: string | null };
  constructor(items: Buffer[], page: PageAsJson['page'], facets: object | undefined) {
    super(
      Buffer.concat([
        Buffer.from('{"items":['),
        ...items.flatMap((item, i) => (i === 0 ? [item] : [COMMA, item])),
        Buffer.from(JSON.stringify({ page, facets }).replace('{', '],')),
      ]),
    );
    this.page = page;
  }
}

const COMMA = Buffer.from(',');

async function count(resource: AnyResource, conditions: object[], how = 'none'): Promise<{ total?: number }> {
  if (how === 'none') return {};
  const limit = how === 'capped' ? COUNT_CAP : Number.MAX_SAFE_INTEGER;
  const maxTimeMS = timeFor(conditions);
  return { total: await modelOf(resource).countDocuments(all(conditions), { limit, maxTimeMS }) };
}

const LINK = {
  description: 'The next and previous page (RFC 8288)',
  example: '</books?after=WyJ4Il0>; rel="next"',
  optional: true as const,
  value: (
    { page }: any,
    { path, querystring }: { path: string; querystring: string },
  ): string | undefined => {
    const rest = querystring
      .split('&')
      .filter((pair) => pair !== '' && !/^(after|before|offset)=/.test(pair));
    const to = (name: string, cursor: string, rel: string) =>
      `<${toUri(`${path}?${[...rest, `${name}=${cursor}`].join('&')}`)}>; rel="${rel}"`;
    const links = [
      ...(page.next ? [to('after', page.next, 'next')] : []),
      ...(page.prev ? [to('before', page.prev, 'prev')] : []),
    ];
    return links.join(', ') || undefined;
  },
};

const pageOf = (resource: AnyResource) =>
  z
    .strictObject({
      items: z.array(expanded(resource)).describe('In the requested order'),
      page: z
        .strictObject({
          limit: z.int().describe('The maximum number of items per page'),
          next: z.string().nullable().describe('The cursor of the next page, for `after`'),
          prev: z.string().nullable().describe('The cursor of the previous page, for `before`'),
          total: z.int().optional().describe('The number of documents on all pages, if `count` asks for it'),
        })
        .meta({ id: 'Page', description: 'The position of this page' }),
      facets: facetsSchema.optional(),
    })
    .meta({ id: `${resource.name}List`, description: `A page of ${resource.collection}` });
