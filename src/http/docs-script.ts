/**
 * What the page adds to Swagger UI: login with e-mail and password, a search box for operations, collapsed filters of
 * lists, and dark mode. Tokens are kept in memory, not in the browser's storage.
 */
export const SCRIPT = `
const dark = matchMedia('(prefers-color-scheme: dark)');
const paint = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', paint);
paint();

const demo = JSON.parse(document.querySelector('meta[name=demo]')?.content ?? '{}');

/** The current login: { name, refreshToken, renewAt }; only the name if a token was pasted. */
let session;
let renewal;

async function getToken(parameters) {
  const answer = await fetch('/auth/token', { method: 'POST', body: new URLSearchParams(parameters) });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error_description ?? body.detail);
  return body;
}

const authorize = (token) =>
  ui.authActions.authorize({ bearer: { name: 'bearer', schema: { type: 'http', scheme: 'bearer' }, value: token } });

function begin(name, { access_token, refresh_token, expires_in }) {
  session = { name, refreshToken: refresh_token, renewAt: Date.now() + (expires_in - 60) * 1000 };
  authorize(access_token);
  return access_token;
}

/** A token lasts 15 minutes. The next one is fetched when a request needs it, once for all concurrent requests. */
async function renewed(request) {
  if (!session?.refreshToken || Date.now() < session.renewAt || !request.headers?.Authorization) return request;
  const { name, refreshToken } = session;
  renewal ??= getToken({ grant_type: 'refresh_token', refresh_token: refreshToken })
    .then((tokens) => begin(name, tokens))
    .catch(logout)
    .finally(() => (renewal = undefined));
  const token = await renewal;
  if (token) request.headers.Authorization = 'Bearer ' + token;
  return request;
}

function logout() {
  const token = session?.refreshToken;
  session = undefined;
  ui.authActions.logout(['bearer']);
  if (token) void fetch('/auth/revoke', { method: 'POST', body: new URLSearchParams({ token }) });
}

const page = ({ React }) => {
  const { createElement: h, useState } = React;

  const field = (label, props) => h('label', null, label, h('input', { required: true, ...props }));

  const Login = ({ close }) => {
    const [fault, setFault] = useState('');
    const submit = (act) => async (event) => {
      event.preventDefault();
      try {
        await act(Object.fromEntries(new FormData(event.target)));
        close();
      } catch (error) {
        setFault(error.message);
      }
    };
    const byPassword = async ({ username, password }) =>
      begin(username, await getToken({ grant_type: 'password', username, password }));
    const byToken = ({ token }) => {
      session = { name: 'a token' };
      authorize(token.trim());
    };
    return h(React.Fragment, null,
      h('form', { onSubmit: submit(byPassword) },
        field('E-mail', { name: 'username', type: 'email', autoComplete: 'username', defaultValue: demo.username, autoFocus: true }),
        field('Password', { name: 'password', type: 'password', autoComplete: 'current-password', defaultValue: demo.password }),
        demo.username && h('p', null, 'A demo login with a well-known password.'),
        h('p', { role: 'alert' }, fault),
        h('button', { className: 'btn authorize' }, 'Log in')),
      h('details', null,
        h('summary', null, 'With an access token or an API key'),
        h('form', { onSubmit: submit(byToken) },
          field('Token or key', { name: 'token', autoComplete: 'off', spellCheck: false }),
          h('button', { className: 'btn' }, 'Use it'))));
  };

  const Popup = ({ authActions }) => {
    const close = () => authActions.showDefinitions(false);
    const leave = () => (logout(), close());
    return h('div', { className: 'dialog-ux', onKeyDown: ({ key }) => key === 'Escape' && close() },
      h('div', { className: 'backdrop-ux', onClick: close }),
      h('div', { className: 'modal-ux', role: 'dialog', 'aria-modal': true, 'aria-label': 'Log in' },
        h('div', { className: 'modal-dialog-ux' },
          h('div', { className: 'modal-ux-inner login' },
            h('h3', null, session ? 'Logged in as ' + session.name : 'Log in'),
            session ? h('button', { className: 'btn', onClick: leave }, 'Log out') : h(Login, { close }),
            h('button', { className: 'btn close', onClick: close }, 'Close')))));
  };

  const Filter = ({ layoutSelectors, layoutActions }) => {
    const phrase = layoutSelectors.currentFilter();
    return h('input', {
      className: 'find', type: 'search', placeholder: 'Find an operation', 'aria-label': 'Find an operation',
      value: isPhrase(phrase) ? phrase : '',
      onChange: ({ target }) => layoutActions.updateFilter(target.value || true),
    });
  };

  /** A list with many filters shows only the equality filters at first. */
  const Folded = ({ Parameters, given }) => {
    const [isOpen, open] = useState(false);
    const more = given.parameters.filter((parameter) => parameter.get('name').includes('[')).size;
    if (more < 4) return h(Parameters, given);
    return h('div', { className: isOpen ? 'filters open' : 'filters' },
      h(Parameters, given),
      h('button', { className: 'btn more', onClick: () => open(!isOpen) }, isOpen ? 'Fewer filters' : more + ' more filters'));
  };

  return {
    fn: { opsFilter: (tagged, phrase) => tagged.map((tag) => narrowed(tag, phrase)).filter((tag) => tag.get('operations').size > 0) },
    wrapComponents: {
      authorizationPopup: (_, { authActions }) => () => h(Popup, { authActions }),
      FilterContainer: () => Filter,
      parameters: (Parameters) => (given) => h(Folded, { Parameters, given }),
      // Operations that need no login have no lock.
      OperationSummary: (Summary) => (given) => h(Summary, { ...given, operationProps: withoutLock(given.operationProps) }),
    },
    statePlugins: {
      layout: {
        wrapSelectors: {
          isShown: (isShown, { layoutSelectors }) => (_, thing, ...rest) =>
            (thing[0] === 'operations-tag' && isPhrase(layoutSelectors.currentFilter())) || isShown(thing, ...rest),
        },
      },
    },
  };
};

const isPhrase = (filter) => typeof filter === 'string' && filter !== '' && filter !== 'true';

const narrowed = (tag, phrase) =>
  tag.update('operations', (operations) =>
    operations.filter((one) => {
      const operation = one.get('operation');
      const text = [one.get('method'), one.get('path'), operation.get('summary'), operation.get('operationId'), ...operation.get('tags')];
      return phrase.toLowerCase().split(/\\s+/).every((word) => text.join(' ').toLowerCase().includes(word));
    }));

const withoutLock = (props) => {
  const security = props.get('security');
  return security?.some((one) => one.size === 0) ? props.set('security', security.clear()) : props;
};

const ui = SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#ui',
  plugins: [page],
  docExpansion: 'none',
  defaultModelsExpandDepth: 0,
  filter: true,
  deepLinking: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  validatorUrl: null,
  requestInterceptor: renewed,
});
`;
