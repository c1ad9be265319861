import { createHash } from 'node:crypto';
import { extname } from 'node:path';
import type Router from '@koa/router';
import type { Context } from 'koa';

/** Pages that load only scripts and styles of this server (enforced by a Content-Security-Policy). */

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ');

/** Serves a file and returns its path, which contains the file's digest, so the file can be cached forever. */
export function mountAsset(router: Router, name: string, content: string | Buffer): string {
  const digest = createHash('sha256').update(content).digest('hex').slice(0, 12);
  const address = `/docs/assets/${digest}/${name}`;
  router.get(address, (ctx) => {
    ctx.set('Cache-Control', 'public, max-age=31536000, immutable');
    ctx.type = extname(name);
    ctx.body = content;
  });
  return address;
}

/** Sends a page that loads such files. Escape everything in it that came from a client. */
export function sendLocal(ctx: Context, html: string): void {
  ctx.set({ 'Content-Security-Policy': POLICY, 'Cache-Control': 'no-cache' });
  ctx.type = 'html';
  ctx.body = html;
}
