const tails = new Map<string, Promise<void>>();

/**
 * Those who change the same thing in this process come one after the other: side by side all but one would fail,
 * and be run again. Between processes MongoDB decides.
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
