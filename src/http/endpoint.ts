import type { Context, Middleware } from 'koa';
import { z } from 'zod';
import { invalid, notFound, Problem } from '../errors.ts';
import { transaction } from '../mongo/transaction.ts';
import { guarded } from '../schema/references.ts';
import { shapeOf } from '../schema/shape.ts';
import { bodyReader, MAX_BODY } from './body.ts';
import { keyOf, recall, remember } from './idempotency.ts';
import { checkBody, checkQuery } from './input.ts';
import { type Route, writes } from './route.ts';

export const JSON_TYPE = 'application/json';

const NO_QUERY = z.strictObject({});

/** An answer, ready to be sent. */
export interface Reply {
  status: number;
  headers: Record<string, string>;
  body: string | null;
}

/**
 * A route as Koa runs it. All that can be decided from the route alone is decided here, once. A route that
 * writes runs as one transaction, so its handler may run several times.
 */
export function endpoint(route: Route): Middleware {
  const { answer, body, handler, holds } = route;
  const shape = answer.schema ? shapeOf(answer.schema) : undefined;
  const headers = Object.entries(answer.headers ?? {});
  const query = route.query ?? NO_QUERY;
  const readBody = body && bodyReader(body.types ?? [JSON_TYPE], body.limit ?? MAX_BODY);

  const reply = (value: unknown, params: unknown): Reply => ({
    status: answer.status,
    headers: Object.fromEntries(headers.map(([name, header]) => [name, header.value(value, params)])),
    body: shape ? JSON.stringify(shape(value)) : null,
  });

  return async (ctx) => {
    if (shape && !ctx.accepts(JSON_TYPE))
      throw new Problem('not_acceptable', `The answer is given in ${JSON_TYPE} only.`);
    const params = readParams(route, ctx.params);
    const given = await readBody?.(ctx);
    const checkedQuery = checkQuery(query, ctx.querystring);
    const checkedBody = body ? checkBody(body.schema, given) : { data: undefined };
    const faults = [...(checkedQuery.faults ?? []), ...(checkedBody.faults ?? [])];
    if (faults.length > 0) throw invalid(faults);
    const input = { params, query: checkedQuery.data, body: checkedBody.data };

    if (!writes(route)) return send(ctx, reply(await handler(input), params));

    const key = route.method === 'post' ? keyOf(ctx, given) : undefined;
    const work = async (): Promise<Reply> => {
      const earlier = key && (await recall(key));
      if (earlier) return earlier;
      const made = reply(await handler(input), params);
      if (key) await remember(key, made);
      return made;
    };
    return send(ctx, await transaction(work, holds?.(input).map(guarded)));
  };
}

function send(ctx: Context, { status, headers, body }: Reply): void {
  ctx.status = status;
  ctx.set(headers);
  if (body === null) return;
  ctx.type = JSON_TYPE;
  ctx.body = body;
}

function readParams(route: Route, given: Context['params']): unknown {
  if (!route.params) return {};
  const result = route.params.safeParse(given);
  if (!result.success) throw notFound();
  return result.data;
}
