import { isDeepStrictEqual } from 'node:util';

/**
 * Applies the operations of a JSON Patch (RFC 6902). Not the package rfc6902: it accepts `/list/-` and `/list/00` as
 * places to replace, cannot replace a whole document, and its comparison of lists takes cubic time.
 */

export type Operation =
  | { op: 'add' | 'replace' | 'test'; path: string; value: unknown }
  | { op: 'remove'; path: string }
  | { op: 'move' | 'copy'; path: string; from: string };

/** Why an operation cannot be done. */
export type Failure = 'no_such_place' | 'test_failed';

/** Changes `root.document`; values that an operation carries or copies are never shared between two places. */
export function apply(root: { document?: unknown }, operation: Operation): Failure | undefined {
  switch (operation.op) {
    case 'add':
      return add(root, operation.path, structuredClone(operation.value));
    case 'remove':
      return remove(root, operation.path);
    case 'replace':
      return replace(root, operation.path, structuredClone(operation.value));
    case 'test': {
      const place = find(root, operation.path);
      if (!place) return 'no_such_place';
      return isDeepStrictEqual(place.value, operation.value) ? undefined : 'test_failed';
    }
    case 'copy': {
      const from = find(root, operation.from);
      return from ? add(root, operation.path, structuredClone(from.value)) : 'no_such_place';
    }
    case 'move': {
      const from = find(root, operation.from);
      // A value cannot be moved into itself.
      if (!from || operation.path.startsWith(`${operation.from}/`)) return 'no_such_place';
      if (operation.path === operation.from) return undefined;
      return remove(root, operation.from) ?? add(root, operation.path, from.value);
    }
  }
}

/** The size of the value at a place, in characters of JSON; 0 if there is none. */
export const sizeAt = (root: object, pointer: string): number =>
  JSON.stringify(find(root, pointer)?.value ?? '').length;

interface Place {
  parent: Record<string, unknown> | unknown[];
  key: string;
  value: unknown;
}

/** Resolves a pointer. Undefined if nothing is there, unless a new member or entry may be added there. */
function find(root: object, pointer: string, isNew = false): Place | undefined {
  const keys = `/document${pointer}`
    .split('/')
    .slice(1)
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
  let parent: unknown = root;
  for (const [i, key] of keys.entries()) {
    const mayBeNew = isNew && i === keys.length - 1;
    if (typeof parent !== 'object' || parent === null || key === '__proto__') return undefined;
    if (Array.isArray(parent) ? !isIndex(parent, key, mayBeNew) : !mayBeNew && !Object.hasOwn(parent, key))
      return undefined;
    const value = (parent as Record<string, unknown>)[key];
    if (i === keys.length - 1) return { parent: parent as Place['parent'], key, value };
    parent = value;
  }
  return undefined;
}

/** An index without leading zeros and within the list; a new entry may also be added right after the last one. */
const isIndex = (list: unknown[], key: string, mayBeNew: boolean): boolean =>
  (mayBeNew && key === '-') || (/^(0|[1-9]\d*)$/.test(key) && Number(key) < list.length + (mayBeNew ? 1 : 0));

function add(root: object, path: string, value: unknown): Failure | undefined {
  const place = find(root, path, true);
  if (!place) return 'no_such_place';
  const { parent, key } = place;
  if (Array.isArray(parent)) parent.splice(key === '-' ? parent.length : Number(key), 0, value);
  else parent[key] = value;
  return undefined;
}

function replace(root: object, path: string, value: unknown): Failure | undefined {
  const place = find(root, path);
  if (!place) return 'no_such_place';
  (place.parent as Record<string, unknown>)[place.key] = value;
  return undefined;
}

function remove(root: object, path: string): Failure | undefined {
  const place = find(root, path);
  if (!place) return 'no_such_place';
  if (Array.isArray(place.parent)) place.parent.splice(Number(place.key), 1);
  else delete place.parent[place.key];
  return undefined;
}
