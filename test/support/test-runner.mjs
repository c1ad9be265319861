import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import circus from 'jest-circus/runner';

/**
 * Jest's own test runner, but that Node loads the test files and what they import, as it loads the program, and not
 * Jest into a realm made for each file: there everything is compiled again and runs cold, which takes half of the
 * time of the suite. The files that one worker runs share the program's modules, as do the requests to a server: what
 * a test defines needs a name of its own. Jest's mocks, its reset of modules and its watch mode are not there.
 */
export default (globalConfig, config, { fakeTimers }, _runtime, ...rest) =>
  circus.default(globalConfig, config, { global: globalThis, fakeTimers, handleTestEvent }, node, ...rest);

/** What the database has refused says why: the driver's error says it in a part that no report shows. */
function handleTestEvent({ name, error }) {
  const details = error?.errInfo?.details ?? error?.writeErrors?.[0]?.err?.errInfo?.details;
  if (/^(test_fn|hook)_failure$/.test(name) && details)
    error.stack = `${error.stack}\n\nThe rules that it broke: ${JSON.stringify(details, null, 2)}`;
}

const require = createRequire(import.meta.url);
// So that what fails is found in the sources.
process.setSourceMapsEnabled(true);

/** What the runner asks of jest-runtime, by the means of Node. */
const node = {
  /** The runner's inner part, which keeps what a file has declared: anew for each file. */
  requireInternalModule(path) {
    for (const known of Object.keys(require.cache))
      if (/node_modules[\\/]jest-circus[\\/]/.test(known)) delete require.cache[known];
    delete globalThis[Symbol.for('EVENT_HANDLERS')];
    return require(path);
  },
  requireModule: require,
  unstable_shouldLoadAsEsm: () => true,
  unstable_importModule: (path) => import(pathToFileURL(path).href),
  // expect, test and the others are globals.
  setGlobalsForRuntime() {},
  enterTestCode() {},
  leaveTestCode() {},
};
