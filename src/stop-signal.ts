import { constants } from 'node:os';

/**
 * Aborts at the first Ctrl-C or SIGTERM, with the exit code of what a signal ends as its reason; another one ends the
 * process at once. Whoever starts us, as npm does, may pass on a signal that the terminal has sent us too: what comes
 * within half a second is the same request.
 */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  let since = 0;
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => {
      const exitCode = 128 + constants.signals[name];
      if (controller.signal.aborted && performance.now() - since > 500) process.exit(exitCode);
      since ||= performance.now();
      controller.abort(exitCode);
    });
  return controller.signal;
}
