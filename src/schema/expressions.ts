import type { Path } from './paths.ts';

/** Expressions of MongoDB's aggregation framework in definitions: what stands in a validator must be one for good. */

/** What gives another value at another time, or is not for validators. */
const REFUSED = ['$$NOW', '$$CLUSTER_TIME', '$$USER_ROLES', '$rand', '$function', '$accumulator', '$meta'];

/** What is wrong with an expression, as far as it can be told without a database. */
export function checkExpression(expression: unknown, paths: ReadonlyMap<string, Path>): string[] {
  if (Array.isArray(expression)) return expression.flatMap((part) => checkExpression(part, paths));
  if (typeof expression === 'string') return checkText(expression, paths);
  if (expression === null || ['number', 'boolean'].includes(typeof expression)) return [];
  if (typeof expression !== 'object' || Object.getPrototypeOf(expression) !== Object.prototype)
    return ["has a value that is not JSON: write a time as { $toDate: '2026-01-31T12:00:00Z' }."];
  return Object.entries(expression).flatMap(([name, part]) =>
    name === '$literal' ? [] : [...refused(name), ...checkExpression(part, paths)],
  );
}

/** A text is itself, `$field` the value of a field, `$$name` a variable. */
function checkText(text: string, paths: ReadonlyMap<string, Path>): string[] {
  if (text.startsWith('$$') || !text.startsWith('$')) return refused(text.split('.')[0] as string);
  const path = text === '$_id' ? 'id' : text.slice(1);
  return isKnown(path, paths) ? [] : [`names "${text}", which is no field.`];
}

/** Inside a map and a union there is more than paths. */
function isKnown(path: string, paths: ReadonlyMap<string, Path>): boolean {
  if (paths.has(path)) return true;
  const outer = path.slice(0, Math.max(0, path.lastIndexOf('.')));
  const kind = paths.get(outer)?.kind;
  return kind === 'map' || kind === 'union' || (outer !== '' && kind === undefined && isKnown(outer, paths));
}

const refused = (name: string): string[] =>
  REFUSED.includes(name)
    ? [`has ${name}: a document that keeps the rule today must keep it tomorrow, and on every server.`]
    : [];
