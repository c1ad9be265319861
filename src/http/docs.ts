import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { extname } from 'node:path';
import type Router from '@koa/router';
import type { Context } from 'koa';

const require = createRequire(import.meta.url);
const { version } = require('swagger-ui-dist/package.json') as { version: string };

const ASSETS = '/docs/assets';
/** What the page loads, and where swagger-ui-dist has it. */
const FILES = new Map([
  [`${ASSETS}/${version}/swagger-ui.min.css`, 'swagger-ui.css'],
  [`${ASSETS}/${version}/swagger-ui-bundle.js`, 'swagger-ui-bundle.js'],
  [`${ASSETS}/${version}/swagger-ui-standalone-preset.js`, 'swagger-ui-standalone-preset.js'],
  [`${ASSETS}/${version}/favicon-32x32.png`, 'favicon-32x32.png'],
]);

/** Swagger UI at /docs, from local files only. */
export function mountDocs(router: Router): void {
  let page: string | undefined;
  router.get('/docs', async (ctx) => {
    page ??= withoutInline(await render());
    // Not plain base64, whose slashes could make the page look as if it loaded something from elsewhere.
    const nonce = randomBytes(16).toString('base64url');
    ctx.set({ 'Content-Security-Policy': policy(nonce), 'Cache-Control': 'no-store' });
    ctx.type = 'html';
    ctx.body = page.replaceAll(NONCE, nonce);
  });

  for (const [path, file] of FILES) {
    const content = readFileSync(require.resolve(`swagger-ui-dist/${file}`));
    router.get(path, (ctx) => {
      // The path has the version, so what is there never changes.
      ctx.set('Cache-Control', 'public, max-age=31536000, immutable');
      ctx.type = extname(file);
      ctx.body = content;
    });
  }
}

/** koa2-swagger-ui's page; it does not depend on the request. Loaded only here: a tenth of the time of a start. */
async function render(): Promise<string> {
  const { koaSwagger } = await import('koa2-swagger-ui');
  const ctx = { path: '/docs', body: '' };
  const swagger = koaSwagger({
    routePrefix: false,
    title: 'Shelfmark',
    swaggerVersion: version,
    swaggerCdnUrl: ASSETS,
    hideTopbar: true,
    favicon: `${ASSETS}/${version}/favicon-32x32.png`,
    swaggerOptions: {
      url: '/openapi.json',
      validatorUrl: null,
      tryItOutEnabled: true,
      persistAuthorization: true,
      displayRequestDuration: true,
    },
  });
  await swagger(ctx as Context, async () => {});
  return ctx.body;
}

const NONCE = '{nonce}';
const REWRITES: [string | RegExp, string][] = [
  [/<link[^>]*fonts\.googleapis\.com[^>]*>/, ''],
  ['style="position:absolute;width:0;height:0"', 'width="0" height="0" class="sprite"'],
  ['<style>', `<style nonce="${NONCE}">.sprite{position:absolute}`],
  ['<script>', `<script nonce="${NONCE}">`],
];

/**
 * The page links to a font service and has inline script and style: the link goes, what is inline gets a nonce.
 * Another version of the package may have another page, and would be blank: that is an error.
 */
function withoutInline(html: string): string {
  for (const [from, to] of REWRITES) {
    if (html.split(from).length !== 2)
      throw new Error(`The page of koa2-swagger-ui has changed: it does not have ${from} once.`);
    html = html.replace(from, to);
  }
  for (const [, address = ''] of html.matchAll(/(?:href|src)="([^"]*)"/g))
    if (!FILES.has(address))
      throw new Error(`The page of koa2-swagger-ui has changed: it loads ${address}, which is not served.`);
  return html;
}

const policy = (nonce: string): string =>
  [
    "default-src 'none'",
    `script-src 'self' 'nonce-${nonce}'`,
    `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self' data:",
    "connect-src 'self'",
    "font-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join('; ');
