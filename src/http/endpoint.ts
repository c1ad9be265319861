import type { Context, Middleware } from 'koa';
import { invalid, notFound, Problem } from '../errors.ts';
import { shapeOf } from '../schema/shape.ts';
import { readBody } from './body.ts';
import { checkBody, checkQuery } from './input.ts';
import type { Route } from './route.ts';
import { z } from 'zod';

export const JSON_TYPE = 'application/json';

const NO_QUERY = z.strictObject({});

/** A route as Koa runs it. All that can be decided from the route alone is decided here, once. */
export function endpoint(route: Route): Middleware {
  const { answer, body, handler } = route;
  const shape = answer.schema ? shapeOf(answer.schema) : undefined;
  const headers = Object.entries(answer.headers ?? {});
  const query = route.query ?? NO_QUERY;
  const types = body?.types ?? [JSON_TYPE];

  return async (ctx) => {
    if (shape && !ctx.accepts(JSON_TYPE))
      throw new Problem('not_acceptable', `The answer is given in ${JSON_TYPE} only.`);
    const params = readParams(route, ctx.params);
    const given = body ? await readBody(ctx, types) : undefined;
    const checkedQuery = checkQuery(query, ctx.querystring);
    const checkedBody = body ? checkBody(body.schema, given) : { data: undefined };
    const faults = [...(checkedQuery.faults ?? []), ...(checkedBody.faults ?? [])];
    if (faults.length > 0) throw invalid(faults);

    const value = await handler({ params, query: checkedQuery.data, body: checkedBody.data });

    ctx.status = answer.status;
    for (const [name, header] of headers) ctx.set(name, header.value(value, params));
    if (shape) {
      ctx.type = JSON_TYPE;
      ctx.body = JSON.stringify(shape(value));
    }
  };
}

function readParams(route: Route, given: Context['params']): unknown {
  if (!route.params) return {};
  const result = route.params.safeParse(given);
  if (!result.success) throw notFound();
  return result.data;
}
