import type Router from '@koa/router';
import { sendPage } from './page.ts';

/**
 * The page that links in mails open. The token is in the fragment (#), so it reaches no log and no other server.
 * Nothing happens until a button is pressed, because mail scanners open links too.
 */
export function mountAccountPage(router: Router): void {
  router.get('/account', (ctx) =>
    sendPage(ctx, {
      title: 'Your account',
      body: `
<p id="what">Open this page by the link in your mail.</p>
<p id="fault" role="alert" hidden></p>
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
const isReset = token.startsWith('reset.');
const [what, fault, form, label, password] = ['what', 'fault', 'form', 'label', 'password'].map((id) => document.getElementById(id));
const button = form.querySelector('button');
if (token) {
  form.hidden = false;
  label.hidden = !isReset;
  password.required = isReset;
  what.textContent = isReset ? 'Choose a new password of at least 10 characters.' : 'Confirm that this e-mail address is yours.';
}
const send = async () => {
  const answer = await fetch(isReset ? '/auth/password' : '/auth/verify', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token, ...(isReset && { newPassword: password.value }) }),
  });
  if (answer.ok) return undefined;
  const { detail, errors: [first] = [] } = await answer.json();
  return first ? 'The password ' + first.message + '.' : detail;
};
form.addEventListener('submit', async (event) => {
  event.preventDefault();
  button.disabled = true;
  const failure = await send().catch(() => 'The server cannot be reached. Try again.');
  button.disabled = false;
  fault.hidden = !failure;
  fault.textContent = failure ?? '';
  if (failure) return;
  history.replaceState(null, '', location.pathname);
  form.remove();
  what.textContent = isReset ? 'Your password has been changed. You can log in with it now.' : 'Your address is confirmed.';
});
`;
