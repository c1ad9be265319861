import mongoose from 'mongoose';
import { z } from 'zod';
import { database } from '../mongo/connect.ts';
import { columnsOf } from '../schema/columns.ts';
import { type Showing, showing } from '../schema/include.ts';
import type { Row } from '../schema/json/read.ts';
import { accessTo } from '../schema/policy.ts';
import { includable, reverseName } from '../schema/references.ts';
import type { AnyResource } from '../schema/resource.ts';
import { isShown, selectionOf, showsTag } from '../schema/selection.ts';
import { capital } from '../schema/capital.ts';
import { type Listing, search } from './list.ts';
import { isSearch, query, type SortField } from './paging.ts';
import { refuseOutOfReach } from './parameters.ts';
import { flag } from './query.ts';
import { type Route, route } from './route.ts';
import { streams } from './stream.ts';

/** How long MongoDB may work on an export of a whole collection, in milliseconds. */
const STREAM_TIME = 10 * 60_000;

/** GET /books/export: streams all documents that the list would show on its pages. */
export function exportAll<R extends AnyResource>(resource: R, listing: Listing<R>): Route {
  const { collection } = resource;
  const { declared, standard, filtering, problems, orderOf, conditionsOf } = search(resource, listing);
  const show = showing(resource);
  return route({
    method: 'get',
    path: `/${collection}/export`,
    operationId: `export${capital(collection)}`,
    tag: collection,
    summary: `Export ${collection}`,
    description:
      'The whole list as NDJSON or CSV. Not a snapshot: documents written meanwhile may be missing.',
    policy: accessTo('read', resource),
    query: z
      .strictObject({ ...standard, ...filtering, ...CSV_PARAMETERS })
      .superRefine(refuseOutOfReach(resource))
      .superRefine(refuseWithoutCsv),
    lists: { resource, filters: declared },
    answer: { status: 200, description: `All ${collection}` },
    problems: ['too_many_streams', ...problems],
    forms: streams(collection, {
      rows: async ({ query: asked }, signal) => {
        // Not sorted by score: MongoDB would have to find all matches before it could return the first.
        const order = orderOf({ ...asked, q: undefined });
        return rows(resource, await conditionsOf(asked), order, show(asked), signal);
      },
      columns: ({ fields, include: paths = [] }): string[] => {
        const selection = selectionOf(resource, fields, paths);
        const all = [
          ...Object.keys(columnsOf(resource.document)),
          ...includable(resource)
            .map(reverseName)
            .filter((name) => paths.includes(name)),
        ];
        return [...all.filter((path) => isShown(selection, path)), ...(showsTag(selection) ? ['etag'] : [])];
      },
    }),
    handler: async () => {},
  });
}

const CSV_PARAMETERS = {
  format: z
    .enum(['ndjson', 'csv'])
    .describe('The format; takes precedence over the header Accept')
    .optional(),
  // No default in its schema: Swagger UI would send it even when the format is not CSV.
  formulas: z
    .enum(['keep', 'escape'])
    .describe(
      'In CSV: spreadsheets read values that start with `=`, `+`, `-` or `@` as formulas. `escape` puts an apostrophe in front; otherwise they are kept',
    )
    .optional(),
  bom: flag()
    .describe('In CSV: start with a byte order mark, by which spreadsheets recognise UTF-8')
    .optional(),
};

function refuseWithoutCsv(asked: Record<string, unknown>, ctx: z.core.$RefinementCtx): void {
  for (const name of ['formulas', 'bom'])
    if (asked[name] !== undefined && asked['format'] !== 'csv')
      ctx.addIssue({ code: 'custom', path: [name], message: 'can only be used with format=csv' });
}

/** All documents that meet the conditions, with their includes. */
async function* rows(
  resource: AnyResource,
  conditions: object[],
  order: SortField[],
  { projection, joins, answer }: Showing,
  gone: AbortSignal,
): AsyncGenerator<Row[]> {
  const session = await mongoose.startSession();
  // Otherwise MongoDB would go on working for a client that has disconnected.
  const stop = () =>
    void database()
      .admin()
      .command({ killSessions: [session.id] })
      .catch(() => {});
  gone.addEventListener('abort', stop, { once: true });
  try {
    if (gone.aborted) return;
    yield* query(resource, conditions, order, projection)
      .maxTimeMS(isSearch(conditions) ? STREAM_TIME / 10 : STREAM_TIME)
      .populate(joins)
      .stream(answer, session);
  } finally {
    gone.removeEventListener('abort', stop);
    await session.endSession();
  }
}
