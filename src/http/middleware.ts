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

/** The outermost layer: whatever goes wrong further in becomes a problem document. */
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

/** What Node leaves to us, or would itself refuse without a problem document. */
function checkHead(ctx: Context): void {
  if (ctx.url.length > MAX_URL)
    throw new Problem('url_too_long', `The URL may have at most ${MAX_URL} characters.`);
  if (!pathOf(ctx)) throw new Problem('malformed_request', 'The URL cannot be understood.');
  if (ctx.req.httpVersion === '1.1' && hostsOf(ctx).length !== 1)
    throw new Problem('malformed_request', 'The request must have one Host header.');
  const { expect } = ctx.req.headers;
  if (expect !== undefined && !/^100-continue$/i.test(expect))
    throw new Problem('expectation_failed', 'Only Expect: 100-continue is met.');
}

/** Node keeps the first of several, and to have it tell all apart costs more than to look for this one. */
const hostsOf = ({ req: { rawHeaders } }: Context): string[] =>
  rawHeaders.filter((name, i) => i % 2 === 0 && name.length === 4 && name.toLowerCase() === 'host');

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
      new Problem('internal_error', 'The server failed; the request id finds the reason in its log.', {
        cause: refusalByValidator(error) ?? error,
      }));

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

const ALWAYS = Object.entries({
  ...SECURITY_HEADERS,
  // May be kept, but is asked for again each time; routes say more where they know more.
  'Cache-Control': 'no-cache',
  // Each of them may make another answer of the same resource.
  Vary: 'Authorization, Accept, Accept-Encoding',
});

/** What every answer says, unless a layer further in knows better. */
export const securityHeaders: Middleware = (ctx, next) => {
  for (const [name, value] of ALWAYS) ctx.res.setHeader(name, value);
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
