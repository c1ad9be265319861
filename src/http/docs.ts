import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type Router from '@koa/router';
import type { Middleware } from 'koa';
import { koaSwagger } from 'koa2-swagger-ui';

const ASSETS = '/docs/assets';

/**
 * Swagger UI at /docs from local files only. koa2-swagger-ui's page links to a font service and has inline
 * script and style, so the page is rewritten: the link goes, and what is inline gets a nonce.
 */
export function mountDocs(router: Router): void {
  const page = koaSwagger({
    routePrefix: false,
    title: 'Shelfmark',
    swaggerVersion: 'v5',
    swaggerCdnUrl: ASSETS,
    hideTopbar: true,
    favicon: `${ASSETS}/v5/favicon-32x32.png`,
    swaggerOptions: {
      url: '/openapi.json',
      validatorUrl: null,
      tryItOutEnabled: true,
      persistAuthorization: true,
      displayRequestDuration: true,
    },
  }) as unknown as Middleware;

  router.get('/docs', async (ctx, next) => {
    await page(ctx, next);
    const nonce = randomBytes(16).toString('base64');
    ctx.set({ 'Content-Security-Policy': policy(nonce), 'Cache-Control': 'no-store' });
    ctx.body = withoutInline(String(ctx.body), nonce);
  });

  const folder = (createRequire(import.meta.url)('swagger-ui-dist/absolute-path.js') as () => string)();
  for (const [name, file, type] of [
    ['swagger-ui.min.css', 'swagger-ui.css', 'css'],
    ['swagger-ui-bundle.js', 'swagger-ui-bundle.js', 'js'],
    ['swagger-ui-standalone-preset.js', 'swagger-ui-standalone-preset.js', 'js'],
    ['favicon-32x32.png', 'favicon-32x32.png', 'png'],
  ] as const) {
    let content: Buffer | undefined;
    router.get(`${ASSETS}/v5/${name}`, (ctx) => {
      content ??= readFileSync(join(folder, file));
      ctx.type = type;
      ctx.set('Cache-Control', 'public, max-age=86400');
      ctx.body = content;
    });
  }
}

const withoutInline = (html: string, nonce: string): string =>
  html
    .replace(/<link[^>]*fonts\.googleapis\.com[^>]*>/, '')
    .replace('style="position:absolute;width:0;height:0"', 'width="0" height="0" class="sprite"')
    .replace('<style>', `<style nonce="${nonce}">.sprite{position:absolute}`)
    .replace(/<script>/, `<script nonce="${nonce}">`);

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
