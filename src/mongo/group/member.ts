import type { Guarded } from '../guards.ts';

/** A request that takes part in a group. */
export interface Member {
  /** What its work is of: the same for all requests of a route. */
  kind: object;
  work: () => Promise<unknown>;
  /** The documents that it will come to refer to. */
  holds: Guarded[];
  /** Until when it must be done, by performance.now(). */
  deadline: number;
  /** Runs something on behalf of the request, whoever calls it. */
  inContext: <T>(run: () => T) => T;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
}
