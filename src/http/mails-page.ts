import type Router from '@koa/router';
import type { Mail, Mailer } from '../auth/mail.ts';
import { escapeHtml, sendPage } from './page.ts';

/** The mails of a development setup: printed, and shown at /mails instead of being sent. */

const MOST = 50;

export function localMails(say: (line: string) => void) {
  const mails: Mail[] = [];
  const mailer: Mailer = async (mail) => {
    mails.unshift(mail);
    mails.length = Math.min(mails.length, MOST);
    say(`A mail to ${mail.to} (also shown at /mails):\n  ${mail.text.trim().replaceAll('\n', '\n  ')}`);
  };
  const mount = (router: Router): void =>
    void router.get('/mails', (ctx) =>
      sendPage(ctx, {
        title: 'Mails',
        body:
          mails.map(toHtml).join('\n') ||
          '<p>No mails yet. Mails that the server would send appear here: try POST /auth/reset in <a href="/docs">/docs</a>.</p>',
      }),
    );
  return { mailer, mount };
}

const toHtml = ({ to, subject, text }: Mail): string => `
<h2>${escapeHtml(subject)}</h2>
<p>To ${escapeHtml(to)}</p>
<pre>${escapeHtml(text).replace(/https?:\/\/[\w.:[\]-]+\/account#[\w.-]+/g, '<a href="$&">$&</a>')}</pre>`;
