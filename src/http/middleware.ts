import { randomUUID } from 'node:crypto';
import cors from '@koa/cors';
import type { Context, Middleware } from 'koa';
import type { Logger } from 'pino';
import { pinoHttp } from 'pino-http';
import type { Caller } from '../auth/caller.ts';
import { comingFrom } from '../auth/origin.ts';
import { Problem } from '../errors.ts';
import { databaseProblem, refusalByValidator } from '../mongo/failures.ts';
import { type Tally, tallying } from '../mongo/traffic.ts';
import { reportRefusal } from './security.ts';
import { addressOf, networksOf } from './address.ts';
import { toUri } from './uri.ts';

export const PROBLEM_TYPE = 'application/problem+json';
const MAX_URL = 8 * 1024;

/**
 * Gives each request an id of the server's own, notes where it comes from, and writes one line to the log when it ends.
 * What the client calls the request is kept beside that: two clients may choose the same id.
 */
export function requestLog(logger: Logger): Middleware {
  const log = pinoHttp({
    logger,
    genReqId: (_req, res) => {
      const id = randomUUID();
      res.setHeader('X-Request-Id', id);
      return id;
    },
    quietReqLogger: true,
    // 501 is the answer to a client's odd method, no failure of ours.
    customLogLevel: (_req, { statusCode }) => (statusCode >= 500 && statusCode !== 501 ? 'error' : 'info'),
    customSuccessObject: (_req, res, entry) => ({ ...entry, ...detailsOf(res) }),
    // pino-http would add an error of its own, whose stack says nothing; what failed is logged by the application.
    customErrorObject: (_req, res, error, { err, ...entry }) => ({
      ...entry,
      ...detailsOf(res),
      ...(!error.message.startsWith('failed with status code') && { err }),
    }),
    serializers: {
      req: ({ id, method, url, headers }: LoggedRequest) => {
        const clientId = harmless(headers['x-request-id']);
        return { id, ...(clientId && { clientId }), method, path: url.split('?', 1)[0] };
      },
      res: ({ statusCode }: { statusCode: number }) => ({ status: statusCode }),
    },
  });
  return (ctx, next) => {
    contexts.set(ctx.res, ctx);
    log(ctx.req, ctx.res);
    const address = addressOf(ctx);
    const origin = {
      request: ctx.response.get('X-Request-Id'),
      clientRequest: harmless(ctx.req.headers['x-request-id']),
      address: address ?? 'unknown',
      networks: networksOf(address),
      agent: ctx.get('User-Agent').trim().slice(0, 300) || undefined,
    };
    const tally: Tally = (ctx.state['database'] = { count: 0, milliseconds: 0 });
    return comingFrom(origin, () => tallying(tally, next));
  };
}

const contexts = new WeakMap<object, Context>();

/** What the line of a request says beside the request and its status. */
function detailsOf(response: object): object {
  const ctx = contexts.get(response);
  if (!ctx) return {};
  const { operation, caller: who, problem, database } = ctx.state as LoggedState;
  const trace = /^00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/.exec(ctx.get('traceparent'))?.[1];
  return {
    operation,
    route: (ctx as { _matchedRoute?: unknown })._matchedRoute,
    ...(who?.id && { caller: { id: who.id, role: who.role, key: who.key } }),
    address: addressOf(ctx),
    ...(trace && { trace }),
    ...(problem && { problem: problem.code }),
    ...(problem?.cause !== undefined && { cause: inShort(problem.cause) }),
    database: { count: database.count, time: Math.round(database.milliseconds * 10) / 10 },
  };
}

interface LoggedState {
  operation?: string;
  caller?: Caller;
  problem?: Problem;
  database: Tally;
}

/** The stack of a driver's error says nothing of this program. */
const inShort = (cause: unknown): string =>
  cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);

interface LoggedRequest {
  id: string;
  method: string;
  url: string;
  headers: Record<string, unknown>;
}

/** A client's own id of its request, unless it could harm a log. */
const harmless = (given: unknown): string | undefined =>
  typeof given === 'string' && /^[\w.-]{1,64}$/.test(given) ? given : undefined;

/** The outermost layer: whatever goes wrong further in becomes a problem document. */
export const problems: Middleware = async (ctx, next) => {
  try {
    checkHead(ctx);
    await next();
    if (ctx.status >= 400 && !ctx.body) throw unanswered(ctx);
  } catch (error) {
    const problem = (ctx.state['problem'] = toProblem(error));
    if (problem.event) await reportRefusal(ctx, problem.event);
    if (problem.status === 500) ctx.app.emit('error', refusalByValidator(error) ?? error, ctx);
    ctx.status = problem.status;
    ctx.set(problem.headers);
    ctx.type = problem.mediaType;
    ctx.body = JSON.stringify(problem.toDocument(instanceOf(ctx), ctx.response.get('X-Request-Id')));
  }
};

/** What Node leaves to us, or would itself refuse without a problem document. */
function checkHead(ctx: Context): void {
  if (ctx.url.length > MAX_URL)
    throw new Problem('url_too_long', `The URL may have at most ${MAX_URL} characters.`);
  if (!pathOf(ctx)) throw new Problem('malformed_request', 'The URL cannot be understood.');
  if (ctx.req.httpVersion === '1.1' && ctx.req.headersDistinct['host']?.length !== 1)
    throw new Problem('malformed_request', 'The request must have one Host header.');
  if (!/^(100-continue)?$/i.test(ctx.get('Expect')))
    throw new Problem('expectation_failed', 'Only Expect: 100-continue is met.');
}

/** undefined where the client sent an absolute URL that is none. */
function pathOf(ctx: Context): string | undefined {
  try {
    return ctx.path ?? undefined;
  } catch {
    return undefined;
  }
}

const instanceOf = (ctx: Context): string => toUri(pathOf(ctx) ?? '/');

/** Whatever was thrown, as the problem that the client is told. What nobody foresaw is an internal error. */
const toProblem = (error: unknown): Problem =>
  error instanceof Problem
    ? error
    : (databaseProblem(error) ??
      new Problem('internal_error', 'The server failed; the request id finds the reason in its log.'));

/** The router leaves an empty answer where no route fits; it has set Allow where only the method does not. */
const unanswered = (ctx: Context): Problem => {
  const allow = ctx.response.get('Allow');
  if (ctx.status === 501)
    return new Problem('method_not_implemented', `The server does not know the method ${ctx.method}.`);
  if (ctx.status === 405)
    return new Problem('method_not_allowed', `${ctx.method} is not a method of this route; it has ${allow}.`);
  const hint = /[^/]\/+$/.test(ctx.path)
    ? `paths end without a slash: try ${ctx.path.replace(/\/+$/, '')}`
    : 'the root (/) links to what there is';
  return new Problem('route_not_found', `There is nothing at ${ctx.method} ${ctx.path}; ${hint}.`);
};

/** Refuses requests for hosts that are not ours; HTTP/1.0 need not name one. */
export const onlyFor =
  (isOwn: (host: string) => boolean): Middleware =>
  (ctx, next) => {
    const { host } = ctx.req.headers;
    if (host !== undefined && !isOwn(host))
      throw new Problem('misdirected_request', 'This server answers to its own name and address only.');
    return next();
  };

/** Answers with the problem that `requireReady` throws, if it throws one. */
export const whenReady =
  (requireReady: () => void): Middleware =>
  (_ctx, next) => {
    requireReady();
    return next();
  };

/** What a browser must not do with an answer that is data. */
export const SECURITY_HEADERS = {
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy':
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

export const securityHeaders: Middleware = (ctx, next) => {
  ctx.set(SECURITY_HEADERS);
  // May be kept, but is asked for again each time; routes say more where they know more.
  ctx.set('Cache-Control', 'no-cache');
  // Only where it came by TLS, as far as we or our proxies know; elsewhere it would mean nothing (RFC 6797).
  if (ctx.secure) ctx.set('Strict-Transport-Security', 'max-age=31536000');
  return next();
};

/** Lets web pages from elsewhere call the API. Without cookies: whoever may act says so in a header. */
export const crossOrigin = (origins: string[]): Middleware =>
  cors({
    origin: (ctx) =>
      origins.includes('*') ? '*' : (origins.find((origin) => origin === ctx.get('Origin')) ?? ''),
    allowMethods: METHODS.join(),
    allowHeaders: [
      'Content-Type',
      'Authorization',
      'Idempotency-Key',
      'If-Match',
      'If-None-Match',
      'Prefer',
      'X-Request-Id',
      'Last-Event-ID',
    ],
    exposeHeaders: [
      'Accept-Patch',
      'Allow',
      'ETag',
      'Link',
      'Location',
      'Retry-After',
      'WWW-Authenticate',
      'X-Request-Id',
      'Idempotency-Replayed',
      'Preference-Applied',
      'RateLimit',
      'RateLimit-Policy',
    ],
    maxAge: 600,
    keepHeadersOnError: false,
  });

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];

/** OPTIONS says in which media types a PATCH is taken (RFC 5789); of the server as a whole, which methods it knows. */
export const options: Middleware = async (ctx, next) => {
  if (ctx.method === 'OPTIONS' && ctx.url === '*') {
    ctx.status = 204;
    ctx.set('Allow', METHODS.join(', '));
    return;
  }
  await next();
  if (ctx.method === 'OPTIONS' && /PATCH/.test(ctx.response.get('Allow')))
    ctx.set('Accept-Patch', 'application/merge-patch+json, application/json-patch+json, application/json');
};
