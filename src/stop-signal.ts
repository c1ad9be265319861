import { constants } from 'node:os';

/**
 * Aborts at the first SIGINT or SIGTERM, with the matching exit code as its reason; a second signal ends the process at
 * once. A parent such as npm may forward a signal that the terminal has already sent: signals within half a second
 * count as one.
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

/** npm passes a signal to the shell that runs the script, which ends without forwarding it. */
function whenParentEnds(stop: () => void): void {
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    stop();
  }, 250).unref();
}
