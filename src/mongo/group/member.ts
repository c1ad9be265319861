import type { Guarded } from '../guards.ts';

/** A request that takes part in a group commit. */
export interface Member {
  /** The kind of its work: the same for all requests of a route. */
  kind: object;
  work: () => Promise<unknown>;
  /** The documents that it will refer to. */
  holds: Guarded[];
  /** Its deadline, by performance.now(). */
  deadline: number;
  /** Runs code on behalf of the request, whoever calls it. */
  inContext: <T>(run: () => T) => T;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
}
