import { randomBytes } from 'node:crypto';
import type { Context } from 'koa';

/** Small pages of the server itself: they load nothing, and run only the script that is sent with them. */

const STYLE = `
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
  body { max-width: 40rem; margin: 10vh auto; padding: 0 1rem }
  form { display: grid; gap: .75rem; max-width: 22rem }
  label { display: grid }
  input, button { font: inherit; padding: .5rem }
  [hidden] { display: none !important }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid; border-radius: .3rem; padding: 1rem }
`;

/** Sends a page. `body` is HTML: escape everything in it that came from a client. */
export function sendPage(
  ctx: Context,
  { title, body, script = '' }: { title: string; body: string; script?: string },
): void {
  const nonce = randomBytes(16).toString('base64url');
  ctx.set({
    'Cache-Control': 'no-store',
    'Content-Security-Policy': [
      "default-src 'none'",
      `script-src 'nonce-${nonce}'`,
      `style-src 'nonce-${nonce}'`,
      "connect-src 'self'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "base-uri 'none'",
    ].join('; '),
  });
  ctx.type = 'html';
  ctx.body = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title>
<style nonce="${nonce}">${STYLE}</style>
<h1>${title}</h1>
${body}
${script && `<script nonce="${nonce}">${script}</script>`}
</html>`;
}

export const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
