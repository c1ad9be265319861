import type Router from '@koa/router';

const DAY = 24 * 60 * 60 * 1000;
/** RFC 9116 wants less than a year; each answer starts anew. */
const GOOD_FOR = 180 * DAY;

/** GET /.well-known/security.txt: the contact for reports of vulnerabilities (RFC 9116). */
export function mountSecurityTxt(router: Router, contact: string): void {
  router.get('/.well-known/security.txt', (ctx) => {
    const expires = new Date(Math.ceil((Date.now() + GOOD_FOR) / DAY) * DAY).toISOString();
    ctx.type = 'text/plain; charset=utf-8';
    ctx.set('Cache-Control', 'public, max-age=86400');
    ctx.body = `Contact: ${contact}\nExpires: ${expires}\nPreferred-Languages: en\n`;
  });
}
