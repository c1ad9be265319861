import type { Path } from './paths.ts';

/**
 * Checks of MongoDB aggregation expressions in definitions: an expression in a validator must always give the same
 * result.
 */

/** Operators whose result varies with time, or that validators do not allow. */
const REFUSED = ['$$NOW', '$$CLUSTER_TIME', '$$USER_ROLES', '$rand', '$function', '$accumulator', '$meta'];

/** Checks an expression, as far as possible without a database. */
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

/** A string is a literal, `$field` a field's value, `$$name` a variable. */
function checkText(text: string, paths: ReadonlyMap<string, Path>): string[] {
  if (text.startsWith('$$') || !text.startsWith('$')) return refused(text.split('.')[0] as string);
  const path = text === '$_id' ? 'id' : text.slice(1);
  return isKnown(path, paths) ? [] : [`names "${text}", which is not a field.`];
}

/** Maps and unions contain more than the known paths. */
function isKnown(path: string, paths: ReadonlyMap<string, Path>): boolean {
  if (paths.has(path)) return true;
  const outer = path.slice(0, Math.max(0, path.lastIndexOf('.')));
  const kind = paths.get(outer)?.kind;
  return kind === 'map' || kind === 'union' || (outer !== '' && kind === undefined && isKnown(outer, paths));
}

const refused = (name: string): string[] =>
  REFUSED.includes(name)
    ? [`uses ${name}: a rule must give the same result at any time and on every server.`]
    : [];
