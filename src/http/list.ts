import mongoose, { type Query, type Types } from 'mongoose';
import { z } from 'zod';
import { toRead, visible } from '../schema/policy.ts';
import { Problem } from '../errors.ts';
import { database } from '../mongo/connect.ts';
import { demand } from '../schema/definition.ts';
import { text } from '../schema/fields.ts';
import { expanded, include, partial } from '../schema/include.ts';
import { includable, reverseName } from '../schema/references.ts';
import { modelOf } from '../schema/model.ts';
import type { AnyResource, Reference } from '../schema/resource.ts';
import { requireVisible } from '../schema/store.ts';
import { projectionOf, selectionOf } from '../schema/selection.ts';
import { BEST_FIRST, sortOrders } from './order.ts';
import { type OwnParameter, ownFilters } from './own-parameters.ts';
import {
  all,
  type Found,
  isSearch,
  MAX_RANKED,
  query,
  readPage,
  SCORE,
  type SortField,
  timeFor,
} from './paging.ts';
import {
  COUNT_CAP,
  PAGING,
  refuseContradictions,
  refuseInStream,
  refuseOutOfReach,
  shapeParameters,
} from './parameters.ts';
import { filters, toConditions } from './query.ts';
import { byId, type Route, route } from './route.ts';
import { streams } from './stream.ts';
import { toUri } from './uri.ts';

type FieldOf<R extends AnyResource> = keyof R['fields'] & string;
type Stamp = 'createdAt' | 'updatedAt';

export interface Listing<R extends AnyResource> {
  /** The fields by which a client may filter. */
  filter: readonly (FieldOf<R> | Stamp)[];
  /** The fields by which a client may sort, or several as in a URL: '-year,title'. Each needs an index. */
  sort: readonly (FieldOf<R> | Stamp | `${string},${string}`)[];
  /** Parameters of its own, beside those that follow from `filter`. */
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

/** GET /users/{id}/posts: those that refer to a document by one of their fields. */
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
/** How long MongoDB may work on a stream of a whole collection, in milliseconds. */
const STREAM_TIME = 10 * 60_000;
const STREAM_BATCH = 500;

/** What makes a list another than that of all documents. */
interface Scope {
  /** Narrows it to what belongs to a parent. */
  scope?: (parent: Types.ObjectId) => Promise<object[]>;
  /** What is included without being asked for. */
  along?: Reference[];
}

/** What all lists of a resource have in common. */
function pages<R extends AnyResource>(
  resource: R,
  listing: Listing<R>,
  { scope = async () => [], along = [] }: Scope = {},
) {
  const { collection } = resource;
  const always = along.map(({ field }) => field);
  const included = ({ include: asked = [] }: { include?: string[] }) => [...always, ...asked];
  demand(`The list of ${resource.name}`, listing, ['filter', 'sort']);
  const orders = sortOrders(resource, listing.sort);
  const derived = filters(resource, listing.filter);
  const standard = {
    ...(resource.search.length > 0 && {
      q: text(1, 200)
        .describe(
          `Words to search for in ${resource.search.join(' and ')}; the best fit comes first, unless \`sort\` is given. Where more than ${MAX_RANKED} documents have one of them, that many are compared`,
        )
        .optional(),
    }),
    ...PAGING,
    sort: z
      .enum([...orders.keys()])
      .meta({
        default: NEWEST,
        description: 'The order; `-` is descending. Equal documents go by their ids',
      })
      .optional(),
    ...shapeParameters(resource),
  };
  const taken = [...Object.keys(standard), ...derived.map(({ parameter }) => parameter)];
  const declared = [...derived, ...ownFilters(resource, listing.parameters ?? {}, taken)];

  const conditionsOf = async (params: any, asked: any): Promise<object[]> => [
    ...(asked.q === undefined ? [] : [{ $text: { $search: asked.q } }]),
    ...(await scope(params.id)),
    ...toConditions(declared, asked),
    ...[visible(resource)].filter((condition) => condition !== undefined),
  ];
  /** What makes it the same list, to which its cursors are bound; the conditions may depend on the time. */
  const questionOf = ({ id }: any, asked: any): unknown => [
    id,
    asked.q,
    declared.map(({ parameter }) => asked[parameter]),
    visible(resource),
  ];
  const orderOf = ({ sort, q }: any): SortField[] =>
    sort === undefined && q !== undefined ? BEST_FIRST : (orders.get(sort ?? NEWEST) as SortField[]);

  return {
    method: 'get' as const,
    policy: toRead(resource),
    description: `A page of ${collection}, the newest first unless \`sort\` says otherwise. Pass \`page.next\` as \`after\` to go on. With \`Accept: application/x-ndjson\` or \`text/csv\` all of them as a stream.`,
    query: z
      .strictObject({
        ...standard,
        ...Object.fromEntries(declared.map(({ parameter, schema }) => [parameter, schema.optional()])),
      })
      .superRefine(refuseContradictions)
      .superRefine(refuseOutOfReach(resource, always)),
    answer: {
      status: 200 as const,
      description: `A page of ${collection}`,
      schema: pageOf(resource),
      example: {
        items: [{ ...resource.example, ...examplesOf(along) }],
        page: { limit: 20, next: null, prev: null },
      },
      headers: { Link: LINK },
    },
    problems: ['invalid_cursor' as const, 'too_many_streams' as const],
    lists: { resource, filters: declared },
    handler: async ({ params, query: asked }: { params: any; query: any }) => {
      const selection = selectionOf(asked.fields);
      const sort = orderOf(asked);
      const conditions = await conditionsOf(params, asked);
      const { limit = 20, after, before, offset } = asked;
      const projection = withSort(projectionOf(resource, selection), sort);
      const [page, total] = await Promise.all([
        readPage(resource, {
          question: questionOf(params, asked),
          conditions,
          sort,
          limit,
          after,
          before,
          offset,
          projection,
        }),
        count(resource, conditions, asked.count),
      ]);
      await include(resource, page.items, included(asked), selection);
      return { ...page, page: { ...page.page, ...total } };
    },
    forms: streams({
      item: z.union([expanded(resource), partial(resource)]),
      batches: async ({ params, query: asked }: { params: any; query: any }, signal: AbortSignal) => {
        refuseInStream(asked);
        if (underWay >= MAX_STREAMS)
          throw new Problem('too_many_streams', 'Too many streams are under way; try again soon.');
        // Not the best first: MongoDB would have to find all before it could give the first.
        const order = orderOf({ ...asked, q: undefined });
        const wanted = { ...asked, include: included(asked) };
        return batches(resource, await conditionsOf(params, asked), order, wanted, signal);
      },
      columns: ({ fields, include: paths = [] }: { fields?: string[]; include?: string[] }): string[] => {
        const shown = selectionOf(fields)?.get('');
        const all = [
          ...Object.keys(resource.document.shape),
          ...includable(resource)
            .map(reverseName)
            .filter((name) => paths.includes(name)),
        ];
        return all.filter((field) => shown?.has(field) ?? true);
      },
    }),
  };
}

const examplesOf = (references: Reference[]): object =>
  Object.fromEntries(references.map(({ field, target }) => [field, target.example]));

/** Streams that a process may have under way. */
const MAX_STREAMS = 50;
let underWay = 0;

/** All documents that meet the conditions, with what is to be included. */
async function* batches(
  resource: AnyResource,
  conditions: object[],
  order: SortField[],
  asked: any,
  gone: AbortSignal,
) {
  const selection = selectionOf(asked.fields);
  const limits = { limit: asked.limit, time: isSearch(conditions) ? STREAM_TIME / 10 : STREAM_TIME };
  const found = query(resource, {
    conditions,
    order,
    projection: projectionOf(resource, selection),
    ...limits,
  });
  const session = await mongoose.startSession();
  const cursor = (found as Query<Found[], Found>).session(session).cursor({ batchSize: STREAM_BATCH });
  // MongoDB would go on looking for somebody who has gone.
  const stop = () =>
    void database()
      .admin()
      .command({ killSessions: [session.id] })
      .catch(() => {});
  gone.addEventListener('abort', stop, { once: true });
  let batch: Found[] = [];
  const complete = async () => {
    await include(resource, batch, asked.include, selection);
    const done = batch;
    batch = [];
    return done;
  };
  underWay++;
  try {
    if (gone.aborted) return;
    for await (const document of cursor) if (batch.push(document) === STREAM_BATCH) yield await complete();
    if (batch.length > 0) yield await complete();
  } finally {
    underWay--;
    gone.removeEventListener('abort', stop);
    // Mongoose leaves the cursor open when its loop is left.
    await cursor.close();
    await session.endSession();
  }
}

/** What a cursor is made of is read, too. */
const withSort = (projection: Record<string, 1> | undefined, sort: SortField[]) =>
  projection && {
    ...projection,
    ...Object.fromEntries(
      sort.filter(({ field }) => field !== SCORE).map(({ field }) => [field, 1 as const]),
    ),
  };

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
      items: z.array(z.union([expanded(resource), partial(resource)])).describe('In the order asked for'),
      page: z
        .strictObject({
          limit: z.int().describe('How many items a page has at most'),
          next: z.string().nullable().describe('The cursor of what follows, for `after`'),
          prev: z.string().nullable().describe('The cursor of what precedes, for `before`'),
          total: z.int().optional().describe('How many there are on all pages, if `count` asks for it'),
        })
        .meta({ id: 'Page', description: 'Where the list goes on' }),
    })
    .meta({ id: `${resource.name}List`, description: `A page of ${resource.collection}` });

const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);
