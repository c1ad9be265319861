import { randomUUID } from 'node:crypto';
import type { Context, Middleware } from 'koa';
import type { Logger } from 'pino';
import type { Caller } from '../auth/caller.ts';
import { comingFrom, origin, type Origin } from '../auth/origin.ts';
import type { Problem } from '../errors.ts';
import { roundTrips } from '../measures.ts';
import { addressOf, networksOf } from './address.ts';

/**
 * Gives each request an id of the server's own, notes where it comes from, and writes one line to the log when it ends.
 * What the client calls the request is kept beside that: two clients may choose the same id.
 *
 * By hand, because pino-http makes a logger for each request, which costs more than the router does.
 */
export function requestLog(logger: Logger): Middleware {
  // Once, however many applications a process has.
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
      // 501 is the answer to a client's odd method, no failure of ours.
      const level = statusCode >= 500 && statusCode !== 501 ? 'error' : 'info';
      if (!logger.isLevelEnabled(level)) return;
      const message = writableFinished ? 'request completed' : 'request aborted';
      logger[level](lineOf(ctx, own, performance.now() - start), message);
    });
    return comingFrom(own, next);
  };
}

/** A command of this request has come back from the database. */
function tally({ seconds }: { seconds: number }): void {
  const database = origin()?.database;
  if (!database) return;
  database.count++;
  database.milliseconds += seconds * 1_000;
}

/** Writes lines that belong to this request. */
export const logOf = ({ state }: Context): Logger =>
  (state['logger'] as Logger).child({ reqId: (state['origin'] as Origin).request });

/** W3C Trace Context: version, trace, parent and flags. */
const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The id of the trace that a request belongs to: as traces are made of it, or else as its client says. */
export const traceOf = (ctx: Context): string | undefined =>
  (ctx.state['trace'] as string | undefined) ?? TRACEPARENT.exec(ctx.get('traceparent'))?.[1];

/** What the line of a request says; `time` in milliseconds. Neither query strings nor headers: they may be secret. */
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
  /** The path of the route that answers. */
  route?: string;
  caller?: Caller;
  problem?: Problem;
}

/** The stack of a driver's error says nothing of this program. */
const inShort = (cause: unknown): string =>
  cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);

/** A client's own id of its request, unless it could harm a log. */
const harmless = (given: unknown): string | undefined =>
  typeof given === 'string' && /^[\w.-]{1,64}$/.test(given) ? given : undefined;
