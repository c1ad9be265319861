import { constants } from 'node:os';

/**
 * Aborts at the first Ctrl-C or SIGTERM, with the exit code of what a signal ends as its reason; another one ends the
 * process at once. Whoever starts us, as npm does, may pass on a signal that the terminal has sent us too: what comes
 * within half a second is the same request.
 */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  let since = 0;
  const stop = (name: 'SIGINT' | 'SIGTERM') => () => {
    const exitCode = 128 + constants.signals[name];
    if (controller.signal.aborted && performance.now() - since > 500) process.exit(exitCode);
    since ||= performance.now();
    controller.abort(exitCode);
  };
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, stop(name));
  if (process.env['npm_lifecycle_event']) whenParentEnds(stop('SIGTERM'));
  return controller.signal;
}

/** npm passes a signal to the shell that it runs a script in, and that one ends without passing it on. */
function whenParentEnds(stop: () => void): void {
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    stop();
  }, 250).unref();
}
