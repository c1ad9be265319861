const tails = new Map<string, Promise<void>>();

/**
 * Work on the same documents in this process runs one at a time: in parallel, all but one would fail and be retried.
 * Between processes MongoDB decides.
 */
export function inTurn<T>(what: string | undefined, work: () => Promise<T>): Promise<T> {
  if (what === undefined) return work();
  const done = (tails.get(what) ?? Promise.resolve()).then(work);
  const forget = () => {
    if (tails.get(what) === tail) tails.delete(what);
  };
  const tail = done.then(forget, forget);
  tails.set(what, tail);
  return done;
}
