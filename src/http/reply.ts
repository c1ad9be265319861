import type { Context } from 'koa';
import { Problem } from '../errors.ts';
import type { Preconditions } from '../schema/etag.ts';
import { isKnown } from './preconditions.ts';
import { preference } from './prefer.ts';
import { JSON_TYPE } from './route.ts';

/** An answer that is ready to be sent. */
export interface Reply {
  status: number;
  headers: Record<string, string>;
  body: string | Buffer | null;
}

export function send(ctx: Context, { status, headers, body }: Reply): void {
  // Koa sets 204 for a null body, so the status is set after it.
  ctx.body = body;
  ctx.status = status;
  ctx.set(headers);
  if (body !== null) ctx.type = JSON_TYPE;
}

/** Answers a GET, with 304 if the client already has this version (RFC 9110, section 13.1.2). */
export function sendFresh(ctx: Context, reply: Reply, preconditions?: Preconditions): void {
  const etag = reply.headers['ETag'];
  const { match } = preconditions ?? {};
  if (match && match !== '*' && !(etag && match.includes(etag)))
    throw new Problem('precondition_failed', 'The document has another version than If-Match names.', {
      headers: etag ? { ETag: etag } : {},
    });
  if (!isKnown(preconditions, etag)) return send(ctx, reply);
  ctx.status = 304;
  ctx.set(reply.headers);
}

/** Answers a write; without the document if the client prefers that (RFC 7240). */
export function sendPreferred(ctx: Context, reply: Reply): void {
  const wanted = preference(ctx.get('Prefer'), 'return');
  const { status, headers, body } = reply;
  if (body === null || (wanted !== 'minimal' && wanted !== 'representation')) return send(ctx, reply);
  const applied = { ...headers, 'Preference-Applied': `return=${wanted}` };
  if (wanted === 'representation') return send(ctx, { status, headers: applied, body });
  return send(ctx, { status: status === 200 ? 204 : status, headers: applied, body: null });
}
