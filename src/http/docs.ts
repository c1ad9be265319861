import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type Router from '@koa/router';
import { mountAsset, sendLocal } from './assets.ts';
import { SCRIPT } from './docs-script.ts';
import { STYLE } from './docs-style.ts';
import { escapeHtml } from './page.ts';

const require = createRequire(import.meta.url);

/** A login that the page offers because its password is well known anyway. */
export interface DemoLogin {
  username: string;
  password: string;
}

/** Swagger UI at /docs, from local files only. */
export function mountDocs(router: Router, demo?: DemoLogin): void {
  const ofSwagger = (file: string) =>
    mountAsset(router, file, readFileSync(require.resolve(`swagger-ui-dist/${file}`)));
  const page = render({
    icon: ofSwagger('favicon-32x32.png'),
    styles: [ofSwagger('swagger-ui.css'), mountAsset(router, 'docs.css', STYLE)],
    scripts: [ofSwagger('swagger-ui-bundle.js'), mountAsset(router, 'docs.js', SCRIPT)],
    demo,
  });
  router.get('/docs', (ctx) => sendLocal(ctx, page));
}

interface Parts {
  icon: string;
  styles: string[];
  scripts: string[];
  demo: DemoLogin | undefined;
}

const render = ({ icon, styles, scripts, demo }: Parts): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
${demo ? `<meta name="demo" content="${escapeHtml(JSON.stringify(demo))}">` : ''}
<title>Shelfmark</title>
<link rel="icon" href="${icon}">
${styles.map((address) => `<link rel="stylesheet" href="${address}">`).join('\n')}
${scripts.map((address) => `<script src="${address}" defer></script>`).join('\n')}
<nav><a href="/docs/model">Model</a> <a href="/docs/live">Changes as they happen</a> <a href="/openapi.json">OpenAPI</a></nav>
<div id="ui"></div>
<noscript>This page needs JavaScript. The document that it shows is at <a href="/openapi.json">/openapi.json</a>.</noscript>
</html>
`;
