import type Router from '@koa/router';
import { mountAsset, sendLocal } from '../../http/assets.ts';
import type { Feed } from './feed.ts';

/** A page that shows changes as they happen, while you try writes elsewhere. Loads nothing from other servers. */

const PATH = '/docs/live';

export const livePage =
  (feeds: Feed[]) =>
  (router: Router): void => {
    const page = render(
      feeds.map(({ path }) => path),
      mountAsset(router, 'live.css', STYLE),
      mountAsset(router, 'live.js', SCRIPT),
    );
    router.get(PATH, (ctx) => sendLocal(ctx, page));
  };

const render = (feeds: string[], style: string, script: string): string => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Changes as they happen</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${style}">
<script src="${script}" defer></script>
<h1>Changes as they happen</h1>
<p>Try a write in <a href="/docs" target="_blank" rel="noopener">Swagger UI</a>: it appears here as soon as it is committed.</p>
<form id="feed">
  <label>Feed <select name="path">${feeds.map((path) => `<option>${path}</option>`).join('')}</select></label>
  <label>Filter <input name="query" placeholder="year[gte]=1960" autocomplete="off" spellcheck="false"></label>
  <label>E-mail <input name="username" type="email" autocomplete="username" placeholder="anonymous"></label>
  <label>Password <input name="password" type="password" autocomplete="current-password"></label>
  <button>Follow</button>
</form>
<p id="state" role="status">Not connected.</p>
<ol id="events" reversed aria-live="polite"></ol>
</html>
`;

const STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; }
form { display: flex; flex-wrap: wrap; gap: 0.75rem; align-items: end; }
label { display: grid; font-size: 0.8rem; }
input, select, button { font: inherit; padding: 0.3rem 0.5rem; }
ol { list-style: none; padding: 0; }
li { border-left: 4px solid gray; margin: 0.5rem 0; padding: 0.1rem 0.75rem; }
li.created { border-color: seagreen; }
li.updated { border-color: royalblue; }
li.removed { border-color: firebrick; }
li.reset { border-color: darkorange; }
time { float: right; font-size: 0.8rem; opacity: 0.7; }
pre { margin: 0.25rem 0; overflow-x: auto; font-size: 0.8rem; }
`;

/** Plain JavaScript for browsers. */
const SCRIPT = `
'use strict';
const form = document.getElementById('feed');
const state = document.getElementById('state');
const list = document.getElementById('events');
const SHOWN = 100;
let source;

form.addEventListener('submit', (event) => {
  event.preventDefault();
  follow().catch((error) => say(error.message));
});
follow().catch((error) => say(error.message));

async function follow() {
  source?.close();
  const { path, query, username, password } = Object.fromEntries(new FormData(form));
  const parameters = new URLSearchParams(query);
  if (username) parameters.set('ticket', await ticketFor(path, username, password));
  say('Connecting to ' + path + ' …');
  source = new EventSource(path + '?' + parameters);
  source.onopen = () => say('Connected to ' + path + '.');
  source.onerror = () =>
    say(source.readyState === EventSource.CLOSED ? 'Refused: look at the filter and the login.' : 'Disconnected; reconnecting …');
  for (const operation of ['created', 'updated', 'removed', 'reset', 'end']) source.addEventListener(operation, show);
}

/** EventSource cannot send a token, so it gets a ticket. */
async function ticketFor(feed, username, password) {
  const grant = new URLSearchParams({ grant_type: 'password', username, password });
  const { access_token } = await read(fetch('/auth/token', { method: 'POST', body: grant }));
  const { ticket } = await read(
    fetch('/changes/tickets', {
      method: 'POST',
      headers: { Authorization: 'Bearer ' + access_token, 'Content-Type': 'application/json' },
      body: JSON.stringify({ feed }),
    }),
  );
  return ticket;
}

async function read(asked) {
  const answer = await asked;
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail);
  return body;
}

function show({ type, data }) {
  const { resource, documentId, at, document: shown, changed, detail } = JSON.parse(data);
  const item = element('li', '', type);
  const time = element('time', new Date(at ?? Date.now()).toLocaleTimeString());
  const what = [resource, documentId, changed && '(' + changed.join(', ') + ')', detail].filter(Boolean).join(' ');
  item.append(time, element('strong', type), ' ' + what);
  if (shown) item.append(element('pre', JSON.stringify(shown, null, 2)));
  list.prepend(item);
  while (list.childElementCount > SHOWN) list.lastElementChild.remove();
}

function element(name, text, className = '') {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

function say(text) {
  state.textContent = text;
}
`;
