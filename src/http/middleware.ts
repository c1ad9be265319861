import cors from '@koa/cors';
import type { Context, Middleware } from 'koa';
import type { Origin } from '../auth/origin.ts';
import { Problem } from '../errors.ts';
import { databaseProblem, refusalByValidator } from '../mongo/failures.ts';
import { traceOf } from './request-log.ts';
import { reportRefusal } from './security.ts';
import { toUri } from './uri.ts';

export const PROBLEM_TYPE = 'application/problem+json';
const MAX_URL = 8 * 1024;

/** The outermost layer: turns every error into a problem document. */
export const problems: Middleware = async (ctx, next) => {
  try {
    checkHead(ctx);
    await next();
    if (ctx.status >= 400 && !ctx.body) throw unanswered(ctx);
  } catch (error) {
    const problem = (ctx.state['problem'] = toProblem(error));
    if (problem.event) await reportRefusal(ctx, problem.event);
    if (problem.status === 500) ctx.app.emit('error', problem.cause ?? error, ctx);
    ctx.status = problem.status;
    ctx.set(problem.headers);
    ctx.type = problem.mediaType;
    const { request } = ctx.state['origin'] as Origin;
    ctx.body = JSON.stringify(problem.toDocument(instanceOf(ctx), request, traceOf(ctx)));
  }
};

/** Requests that Node accepts but should be refused, or that Node would refuse without a problem document. */
function checkHead(ctx: Context): void {
  if (ctx.url.length > MAX_URL)
    throw new Problem('url_too_long', `The URL may have at most ${MAX_URL} characters.`);
  if (!pathOf(ctx)) throw new Problem('malformed_request', 'The URL is malformed.');
  if (ctx.req.httpVersion === '1.1' && hostsOf(ctx).length !== 1)
    throw new Problem('malformed_request', 'The request must have one Host header.');
  const { expect } = ctx.req.headers;
  if (expect !== undefined && !/^100-continue$/i.test(expect))
    throw new Problem('expectation_failed', 'The only supported expectation is Expect: 100-continue.');
}

/** Node keeps the first of several Host headers; asking it for all headers costs more than looking for this one. */
const hostsOf = ({ req: { rawHeaders } }: Context): string[] =>
  rawHeaders.filter((name, i) => i % 2 === 0 && name.length === 4 && name.toLowerCase() === 'host');

/** undefined if the client sent an absolute URL that is malformed. */
function pathOf(ctx: Context): string | undefined {
  try {
    return ctx.path ?? undefined;
  } catch {
    return undefined;
  }
}

const instanceOf = (ctx: Context): string => toUri(pathOf(ctx) ?? '/');

/** Converts a thrown value into a problem. Unexpected errors become an internal error. */
const toProblem = (error: unknown): Problem =>
  error instanceof Problem
    ? error
    : (databaseProblem(error) ??
      new Problem('internal_error', 'The server failed. Its log has the cause under the request id.', {
        cause: refusalByValidator(error) ?? error,
      }));

/** The router leaves the answer empty if no route matches, and sets Allow if only the method does not. */
const unanswered = (ctx: Context): Problem => {
  const allow = ctx.response.get('Allow');
  if (ctx.status === 501)
    return new Problem('method_not_implemented', `The server does not implement the method ${ctx.method}.`);
  if (ctx.status === 405)
    return new Problem('method_not_allowed', `${ctx.method} is not allowed here; use ${allow}.`);
  const hint = /[^/]\/+$/.test(ctx.path)
    ? `paths end without a slash: try ${ctx.path.replace(/\/+$/, '')}`
    : 'see the links at /';
  return new Problem('route_not_found', `There is no route ${ctx.method} ${ctx.path}; ${hint}.`);
};

/** Refuses requests for unknown host names (against DNS rebinding); HTTP/1.0 need not send one. */
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

/** Security headers for answers that are data. */
export const SECURITY_HEADERS = {
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy':
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

const ALWAYS = Object.entries({
  ...SECURITY_HEADERS,
  // May be stored, but must be revalidated; routes set stricter values.
  'Cache-Control': 'no-cache',
  // The request headers that select a different answer.
  Vary: 'Authorization, Accept, Accept-Encoding',
});

/** Headers of every answer; inner layers may override them. */
export const securityHeaders: Middleware = (ctx, next) => {
  for (const [name, value] of ALWAYS) ctx.res.setHeader(name, value);
  // Only over TLS, as far as this server or its trusted proxies know; browsers ignore it elsewhere (RFC 6797).
  if (ctx.secure) ctx.set('Strict-Transport-Security', 'max-age=31536000');
  return next();
};

/** Allows web pages of other origins to call the API. There are no cookies: credentials are in a header. */
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
      'Traceparent',
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

/** OPTIONS lists the media types that PATCH accepts (RFC 5789); `OPTIONS *` lists the server's methods. */
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
