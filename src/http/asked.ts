import type { Context } from 'koa';
import type { Types } from 'mongoose';
import { invalid, notFound, Problem } from '../errors.ts';
import type { Preconditions } from '../schema/etag.ts';
import { accepted } from './accept.ts';
import { bodyReader } from './body.ts';
import { offTheClock } from './deadline.ts';
import { checkBody, queryReader } from './input.ts';
import { preconditionsOf, refusePreconditions } from './preconditions.ts';
import { JSON_TYPE, queryOf, type Route, writes } from './route.ts';

export type Params = { id?: Types.ObjectId };

/** The first of the four values of a request: what was asked, parsed and checked. */
export interface Asked {
  input: { params: Params; query: Record<string, any>; body: any };
  /** The body as JSON, before it was checked. */
  json: unknown;
  /** The media type of the answer. */
  type: string;
  preconditions: Preconditions | undefined;
}

/** Refuses a request that is malformed or does not fit its route, and names every fault. */
export function asking(route: Route): (ctx: Context) => Promise<Asked> {
  const { about, alternative, answer, body, forms = {} } = route;
  const types = [...new Set([...(answer.schema ? [JSON_TYPE] : []), ...Object.keys(forms)])];
  const typeOf = (ctx: Context, format: unknown): string | false =>
    (format !== undefined && types.find((type) => forms[type]?.format === format)) ||
    (types.length > 0 ? accepted(ctx, types) : JSON_TYPE);
  const readQuery = queryReader(queryOf(route));
  const readBody = bodyReader([body, alternative].filter((taken) => taken !== undefined));

  return async (ctx) => {
    const checkedQuery = readQuery(ctx.querystring);
    const query = checkedQuery.data as Asked['input']['query'];
    const type = typeOf(ctx, query?.['format']);
    if (!type) throw new Problem('not_acceptable', `This operation answers in ${types.join(' or ')} only.`);
    const params = readParams(route, ctx.params);
    const preconditions = preconditionsOf(ctx);
    if (writes(route) && !about) refusePreconditions(preconditions);
    const given = body && (await offTheClock(ctx, readBody(ctx)));
    const checkedBody = given ? checkBody(given.schema, given.json) : { data: undefined };
    const faults = [...(checkedQuery.faults ?? []), ...(checkedBody.faults ?? [])];
    if (faults.length > 0) throw invalid(faults);
    return { input: { params, query, body: checkedBody.data }, json: given?.json, type, preconditions };
  };
}

function readParams(route: Route, given: Context['params']): Params {
  if (!route.params) return {};
  const result = route.params.safeParse(given);
  if (!result.success) throw notFound();
  return result.data as Params;
}
