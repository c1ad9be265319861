import { randomUUID } from 'node:crypto';
import type { Context, Middleware } from 'koa';
import type { Logger } from 'pino';
import type { Caller } from '../auth/caller.ts';
import { comingFrom, origin, type Origin } from '../auth/origin.ts';
import type { Problem } from '../errors.ts';
import { roundTrips } from '../measures.ts';
import { addressOf, networksOf } from './address.ts';

/**
 * Assigns each request an id, notes its trace and address, and logs one line when it ends. The client's own id
 * (X-Request-Id) is logged beside it: two clients may send the same one.
 *
 * Not pino-http, which creates a logger per request: that costs more than routing.
 */
export function requestLog(logger: Logger): Middleware {
  // Created once, however many applications a process has.
  roundTrips.unsubscribe(tally);
  roundTrips.subscribe(tally);
  return (ctx, next) => {
    const start = performance.now();
    const address = addressOf(ctx);
    const own: Origin = {
      request: randomUUID(),
      clientRequest: harmless(ctx.req.headers['x-request-id']),
      address: address ?? 'unknown',
      networks: networksOf(address),
      agent: ctx.req.headers['user-agent']?.trim().slice(0, 300) || undefined,
      database: { count: 0, milliseconds: 0 },
    };
    ctx.state['origin'] = own;
    ctx.state['logger'] = logger;
    ctx.res.setHeader('X-Request-Id', own.request);
    ctx.res.once('close', () => {
      const { statusCode, writableFinished } = ctx.res;
      // 501 answers a client's unusual method; it is not a failure of the server.
      const level = statusCode >= 500 && statusCode !== 501 ? 'error' : 'info';
      if (!logger.isLevelEnabled(level)) return;
      const message = writableFinished ? 'request completed' : 'request aborted';
      logger[level](lineOf(ctx, own, performance.now() - start), message);
    });
    return comingFrom(own, next);
  };
}

/** Counts a database command of this request, when its reply has arrived. */
function tally({ seconds }: { seconds: number }): void {
  const database = origin()?.database;
  if (!database) return;
  database.count++;
  database.milliseconds += seconds * 1_000;
}

/** The logger whose lines belong to this request. */
export const logOf = ({ state }: Context): Logger =>
  (state['logger'] as Logger).child({ reqId: (state['origin'] as Origin).request });

/** W3C Trace Context: version, trace, parent and flags. */
const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The request's trace id: from the active trace, or else from the client's traceparent. */
export const traceOf = (ctx: Context): string | undefined =>
  (ctx.state['trace'] as string | undefined) ?? TRACEPARENT.exec(ctx.get('traceparent'))?.[1];

/**
 * The fields of a request's log line; `time` in milliseconds. No query strings or headers: they may contain secrets.
 */
function lineOf(ctx: Context, { request, clientRequest, address, database }: Origin, time: number): object {
  const { operation, route, caller: who, problem } = ctx.state as LoggedState;
  const trace = traceOf(ctx);
  return {
    req: {
      id: request,
      ...(clientRequest && { clientId: clientRequest }),
      method: ctx.method,
      path: ctx.url.split('?', 1)[0],
    },
    res: { status: ctx.res.headersSent ? ctx.res.statusCode : null },
    responseTime: Math.round(time * 10) / 10,
    operation,
    route,
    ...(who?.id && { caller: { id: who.id, role: who.role, key: who.key } }),
    address,
    ...(trace && { trace }),
    ...(problem && { problem: problem.code }),
    ...(problem && problem.status >= 500 && { cause: inShort(problem.cause ?? problem.message) }),
    database: { count: database.count, time: Math.round(database.milliseconds * 10) / 10 },
  };
}

interface LoggedState {
  operation?: string;
  /** The path pattern of the matched route. */
  route?: string;
  caller?: Caller;
  problem?: Problem;
}

/** A driver error's stack contains no frames of this program. */
const inShort = (cause: unknown): string =>
  cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);

/** The client's own request id, if it is safe to log. */
const harmless = (given: unknown): string | undefined =>
  typeof given === 'string' && /^[\w.-]{1,64}$/.test(given) ? given : undefined;
