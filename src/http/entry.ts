import { places } from './places.ts';
import type { Filter } from './filter/filters.ts';
import type { Route } from './route.ts';

/** How many requests a process works on at a time; more could not be answered in time. */

/** More than the pool has connections, so that no connection is ever idle. */
const placesFor = (connections: number) =>
  places({ total: 2 * connections, each: Math.ceil(1.6 * connections), patience: 2_000 });
let ordinary = placesFor(50);
/** Adapts the number of places to the size of the connection pool. */
export const usePlaces = (connections: number): void => {
  ordinary = placesFor(connections);
};

/**
 * Searches, counts, and filters without a single suitable index: a few of them keep a database busy. They get far
 * fewer places than there are connections, so that reads by id and writes always find one.
 */
const expensive = places({ total: 4, each: 2, patience: 1_000 });

type Query = Record<string, unknown>;

/** Compiles a route into a function that runs the work of a request once a place is free. */
export function entryOf({ lists, params, policy, expensive: always }: Route) {
  const isExpensive = lists ? costOf(lists.filters, params !== undefined) : () => always === true;
  return <T>(query: Query, work: () => Promise<T>): Promise<T> => {
    // Monitors need an answer even when no place is free.
    if (policy.credentials === 'none') return work();
    return (isExpensive(query) ? expensive : ordinary)(work);
  };
}

/** Operators that an index of the field answers in the order of the ids or of the field. */
const DIRECT = /^[^[]+(\[in\])?$/;
const RANGE = /\[[gl]te?\]$/;

/**
 * Whether MongoDB may have to examine far more documents than it returns. `isPart`: all of them refer to one document.
 */
export const costOf =
  (filters: Filter[], isPart = false) =>
  ({ q, filter, facets, count = 'none', sort = '-id', ...rest }: Query): boolean => {
    if ([q, filter, facets].some((given) => given !== undefined) || count !== 'none') return true;
    const used = filters.filter(({ parameter }) => rest[parameter] !== undefined);
    if (used.some(({ elsewhere }) => elsewhere)) return true;
    const [path, ...others] = new Set(used.flatMap(({ paths }) => paths));
    const isById = /^-?id$/.test(String(sort));
    if (isPart) return path !== undefined || !isById;
    if (path === undefined) return false;
    if (others.length > 0) return true;
    const isAlong = String(sort).replace('-', '') === path;
    const isDirect = used.length === 1 && used.every(({ parameter }) => DIRECT.test(parameter));
    const isRange = used.every(({ parameter }) => RANGE.test(parameter));
    return !(isDirect ? isById || isAlong : isRange && isAlong);
  };
