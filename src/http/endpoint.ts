import type { Context, Middleware } from 'koa';
import type { Types } from 'mongoose';
import { caller, runAs } from '../auth/caller.ts';
import { requireAccess } from '../schema/policy.ts';
import { invalid, notFound, Problem, unauthenticated } from '../errors.ts';
import { transaction } from '../mongo/transaction.ts';
import { sendMails } from '../auth/mail.ts';
import { logEvents } from './security.ts';
import { type Done, recording } from '../schema/changes.ts';
import { digest, requireMatch } from '../schema/etag.ts';
import { guarded } from '../schema/references.ts';
import { shapeOf } from '../schema/shape.ts';
import { requireVersion } from '../schema/store.ts';
import { accepted } from './accept.ts';
import { record } from './audit.ts';
import { bodyReader } from './body.ts';
import type { Confirm } from './entrance.ts';
import { keyOf, recall, remember } from './idempotency.ts';
import { checkBody, queryReader } from './input.ts';
import { routeLimits } from './limits.ts';
import { asOAuth } from './oauth.ts';
import { preconditionsOf, refusePreconditions } from './preconditions.ts';
import { type Reply, send, sendFresh, sendPreferred } from './reply.ts';
import { Created, isIdempotent, isPreferable, JSON_TYPE, queryOf, type Route, writes } from './route.ts';
import { wantsSocket } from './upgrade.ts';

/**
 * A route as Koa runs it. All that can be decided from the route alone is decided here, once. A route that
 * writes runs as one transaction, so its handler may run several times.
 */
export function endpoint(route: Route, confirm: Confirm): Middleware {
  const { about, answer, body, handler, holds, forms = {}, socket } = route;
  const shape = answer.schema ? shapeOf(answer.schema) : undefined;
  const headers = Object.entries(answer.headers ?? {});
  const types = [...new Set([...(shape ? [JSON_TYPE] : []), ...Object.keys(forms)])];
  const typeOf = (format: unknown) =>
    format === undefined ? undefined : types.find((type) => forms[type]?.format === format);
  const readQuery = queryReader(queryOf(route));
  const countRequest = routeLimits(route.limits);
  const readBody = bodyReader([body, route.alternative].filter((taken) => taken !== undefined));

  const reply = (ctx: Context, result: unknown, query: unknown): Reply => {
    const isNew = result instanceof Created;
    const value = isNew ? result.document : result;
    const text = shape ? JSON.stringify(shape(value)) : null;
    const made: Record<string, string> = {};
    for (const [name, header] of headers) {
      const content = header.value(value, ctx);
      if (content !== undefined) made[name] = content;
    }
    const etag =
      answer.etag?.(value, query) ?? (writes(route) || text === null ? undefined : `W/"${digest(text)}"`);
    return {
      status: isNew ? 201 : answer.status,
      headers: { ...made, ...(etag && { ETag: etag }) },
      body: text,
    };
  };

  const answerTo = async (ctx: Context): Promise<void> => {
    const checkedQuery = readQuery(ctx.querystring);
    const query = checkedQuery.data as Record<string, unknown>;
    const type = typeOf(query?.['format']) ?? (types.length > 0 ? accepted(ctx, types) : JSON_TYPE);
    if (!type) throw new Problem('not_acceptable', `The answer is given in ${types.join(' or ')} only.`);
    const params = readParams(route, ctx.params);
    const preconditions = preconditionsOf(ctx);
    if (writes(route) && !about) refusePreconditions(preconditions);
    const given = body && (await readBody(ctx));
    const checkedBody = given ? checkBody(given.schema, given.json) : { data: undefined };
    const faults = [...(checkedQuery.faults ?? []), ...(checkedBody.faults ?? [])];
    if (faults.length > 0) throw invalid(faults);
    // It would tell anybody what is there, and leave no trace.
    if (query['dryRun'] && caller().kind === 'anonymous') throw unauthenticated();
    const input = { params, query, body: checkedBody.data };

    await countRequest(ctx, input.body);
    if (socket && wantsSocket(ctx.req)) return socket(ctx, input);
    const form = forms[type];
    if (form) {
      ctx.vary('Accept');
      return form.send(ctx, input);
    }
    if (!writes(route)) return sendFresh(ctx, reply(ctx, await handler(input), query), preconditions);

    if (route.prepare) input.body = await route.prepare(input);
    const key = isIdempotent(route) && !query['dryRun'] ? keyOf(ctx, given?.json) : undefined;
    let noted: Done | undefined;
    const work = async (): Promise<Reply | Problem> => {
      // Who has waited for a turn may have lost his rights meanwhile.
      const who = await confirm(caller());
      requireAccess(route.policy, who);
      return runAs(who, workAs);
    };
    const workAs = async (): Promise<Reply | Problem> => {
      const earlier = key && (await recall(key));
      if (earlier) return earlier;
      if (about && preconditions) {
        if (route.current) requireMatch(about, await route.current(params), preconditions);
        else await requireVersion(about, params.id as Types.ObjectId, preconditions);
      }
      const { value, done } = await recording(() => handler(input));
      await record({ operation: route.operationId, method: ctx.method, path: ctx.path }, done);
      noted = done;
      if (value instanceof Problem) return value;
      const made = reply(ctx, value, query);
      if (key) remember(key, made);
      return made;
    };
    const outcome = await transaction(work, {
      holds: holds?.(input).map(guarded),
      changes: itemOf(route, params),
      dry: query['dryRun'] === true,
    });
    if (noted && !query['dryRun']) {
      logEvents(ctx, noted.events);
      sendMails(noted.mails, ctx.req.log);
    }
    if (outcome instanceof Problem) throw outcome;
    return isPreferable(route) ? sendPreferred(ctx, outcome) : send(ctx, outcome);
  };

  if (!route.oauth) return answerTo;
  return async (ctx) => {
    try {
      await answerTo(ctx);
    } catch (error) {
      throw error instanceof Problem ? asOAuth(error) : error;
    }
  };
}

type Params = { id?: Types.ObjectId };

/** The document that a request is about, if it is about one. */
const itemOf = ({ path }: Route, { id }: Params): string | undefined =>
  id && `${path.split('/', 2)[1]}:${id.toHexString()}`;

function readParams(route: Route, given: Context['params']): Params {
  if (!route.params) return {};
  const result = route.params.safeParse(given);
  if (!result.success) throw notFound();
  return result.data as Params;
}
