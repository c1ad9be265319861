import type Router from '@koa/router';
import { sendPage } from './page.ts';

/**
 * What a link in a mail opens: it stands behind the #, so that no log and no other server learns of it. Nothing happens
 * until somebody presses the button, because programs that check mail open links, too.
 */
export function mountAccountPage(router: Router): void {
  router.get('/account', (ctx) =>
    sendPage(ctx, {
      title: 'Your account',
      body: `
<p id="what">This page is opened by a link in a mail.</p>
<form id="form" hidden>
  <label id="label" hidden>New password <input id="password" type="password" autocomplete="new-password" minlength="10"></label>
  <button>Confirm</button>
</form>`,
      script: SCRIPT,
    }),
  );
}

const SCRIPT = `
const token = location.hash.slice(1);
const show = (text) => { document.getElementById('what').textContent = text; };
const isReset = token.startsWith('reset.');
const form = document.getElementById('form');
if (token) {
  form.hidden = false;
  document.getElementById('label').hidden = !isReset;
  show(isReset ? 'Choose a new password, of at least 10 characters.' : 'Confirm that this e-mail address is yours.');
}
form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const newPassword = document.getElementById('password').value;
  const answer = await fetch(isReset ? '/auth/password' : '/auth/verify', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token, ...(isReset && { newPassword }) }),
  });
  if (!answer.ok) return show((await answer.json()).detail);
  history.replaceState(null, '', location.pathname);
  form.hidden = true;
  show(isReset ? 'Your password is changed: you can log in with it.' : 'Your address is confirmed.');
});
`;
