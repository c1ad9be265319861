import type { Told } from './audience.ts';
import type { Outlet, Reset } from './follower.ts';

/** One JSON answer: the changes so far, or the first ones that arrive. */

/** The most changes in one answer. */
const MAX_TOLD = 500;
const MAX_BYTES = 1024 * 1024;
/** How long an answer searches the history without finding anything to report, in milliseconds. */
const LOOK = 10_000;

export interface Polled {
  told: Told[];
  position: string;
  reset?: { why: Reset; detail: string };
}

/** Collects changes; `done` is called once, with all of them. */
export function pollOutlet(wait: number, from: string, done: (polled: Polled) => void) {
  const told: Told[] = [];
  let bytes = 0;
  let position = from;
  let isDone = false;
  let timer = setTimeout(finish, Math.max(LOOK, wait));

  function finish(reset?: Polled['reset']): void {
    if (isDone) return;
    isDone = true;
    clearTimeout(timer);
    done({ told, position, ...(reset && { reset }) });
  }

  const outlet: Outlet = {
    tell(more) {
      for (const one of more) {
        if (told.length >= MAX_TOLD || bytes >= MAX_BYTES) break;
        told.push(one);
        bytes += one.text.length;
        position = one.id;
      }
      // A short delay collects changes that were committed together.
      setImmediate(finish);
    },
    pass(reached, isCurrent) {
      if (told.length > 0) return;
      position = reached;
      if (!isCurrent) return;
      clearTimeout(timer);
      if (wait > 0) timer = setTimeout(finish, wait);
      else finish();
    },
    reset: (why, detail) => finish({ why, detail }),
    end: () => finish(),
    backlog: () => (isDone ? Number.POSITIVE_INFINITY : 0),
  };
  return { outlet, cancel: () => finish() };
}
