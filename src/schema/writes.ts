import { isDeepStrictEqual } from 'node:util';
import type { Types } from 'mongoose';
import { z } from 'zod';
import { isInside, keptFrom, notWritable, type Paths } from './access.ts';
import { invalid } from '../errors.ts';
import { completedOnce, constantsOf, withDefaults } from './defaults.ts';
import { contentOf } from './etag.ts';
import { isOwner, writerOf } from './policy.ts';
import { isContested, settled } from './renamed.ts';
import type { AnyResource } from './resource.ts';
import { memoized } from './memoized.ts';
import { shapeOf } from './shape.ts';
import * as store from './store.ts';

/**
 * Writes whose fields a client has chosen: those of store.ts, without fields that the caller may not write. Commands
 * choose their fields themselves and use store.ts.
 */

type Document = Record<string, unknown>;

/** Fields that the caller may not write get their defaults, except those that the intake has set. */
export const create = (resource: AnyResource, body: Document, id?: Types.ObjectId) => {
  const made = resource.intake?.fields ?? {};
  const closed = [...lockedIn(resource, completedOnce(resource, body))];
  const locked = new Set(closed.filter((path) => !(topOf(path) in made)));
  return store.create(resource, permitted(resource, locked, body, constantsOf(resource)), id);
};

/**
 * Sets every field that the caller may write to the body's value or its default. The body may repeat read-only fields
 * as they were read: they must be unchanged.
 */
export function replace(resource: AnyResource, id: Types.ObjectId, body: Document) {
  if (!isContested(resource.formerly, body)) return store.update(resource, id, replacing(resource, body));
  return store.update(resource, id, (current) => {
    const { document, faults } = settled(resource.formerly, { ...resource.absent, ...current }, body);
    if (faults.length > 0) throw invalid(faults);
    const changes = replacing(resource, document);
    return typeof changes === 'function' ? changes(current) : changes;
  });
}

/** The changes of a replace, which may depend on the present document. */
function replacing(resource: AnyResource, body: Document) {
  const isWritable = (field: string) => field in resource.body.shape;
  const entries = Object.entries(body);
  const given = Object.fromEntries(entries.filter(([field]) => isWritable(field)));
  const changes = changesBy(resource, given, withDefaults(resource, given, isWritable));
  const others = entries.filter(([field]) => !isWritable(field));
  if (others.length === 0) return changes;
  return (current: Document) => {
    requireSame(resource, current, Object.fromEntries(others));
    return typeof changes === 'function' ? changes(current) : changes;
  };
}

function requireSame(resource: AnyResource, current: object, given: Document): void {
  const is = contentOf(resource, current);
  const faults = Object.entries(given)
    .filter(([field, value]) => {
      const said = shapeOf(resource.document.shape[field] as z.ZodType)(value);
      return value !== undefined && JSON.stringify(is[field]) !== JSON.stringify(said);
    })
    .map(([field]) => ({
      in: 'body' as const,
      pointer: `/${field}`,
      code: 'read_only',
      message: 'is read-only: leave it out, or send it unchanged',
    }));
  if (faults.length > 0) throw invalid(faults);
}

/** Changes the fields that the body names. */
export const update = (resource: AnyResource, id: Types.ObjectId, body: Document) =>
  store.update(resource, id, changesBy(resource, body, body));

/**
 * Reads the document only if the caller's write access depends on it. `complete` is the body with defaults, which
 * fields that the caller may not write do not get.
 */
function changesBy(resource: AnyResource, body: Document, complete: Document) {
  const { own, others } = keptFrom(resource, 'write', writerOf(resource));
  const given = (locked: Paths) =>
    [...locked]
      .filter((path) => !(topOf(path) in body))
      .reduce<Document>((left, path) => omit(left, path.split('.')) ?? {}, complete);
  if (own === others && ![...others].some((path) => topOf(path) in given(others))) return given(others);
  return (current: Document) => {
    const locked = lockedIn(resource, current);
    return permitted(resource, locked, given(locked), current);
  };
}

/** Refuses to change a field that the caller may not write. */
export async function requireWritable(
  resource: AnyResource,
  id: Types.ObjectId,
  field: string,
): Promise<void> {
  const { own, others } = keptFrom(resource, 'write', writerOf(resource));
  if (!others.has(field)) return;
  const locked = own === others ? others : lockedIn(resource, await store.read(resource, id));
  if (locked.has(field)) throw notWritable(resource, [field]);
}

/** The paths of this stored document that the caller may not write. */
export function lockedIn(resource: AnyResource, stored: Document): Paths {
  const who = writerOf(resource);
  const { own, others } = keptFrom(resource, 'write', who);
  return own !== others && isOwner(resource, who, stored) ? own : others;
}

/** The part that the caller may write. Refuses locked fields, unless they equal what the caller sees. */
export function permitted(
  resource: AnyResource,
  locked: Paths,
  given: Document,
  current: Document,
): Document {
  // Fields that no body accepts were not sent by a client.
  const taken = resource.body.shape;
  const touched = [...locked].filter(
    (path) => topOf(path) in given && topOf(path) in taken && !isInside(locked, path),
  );
  if (touched.length === 0) return given;
  const after = wire(resource, given);
  const stated = touched.filter((path) => isStated(given, path));
  // Compared twice: a guess at a hidden value must not succeed, and hidden values in a list must not get lost.
  const befores = [contentOf(resource, current), wire(resource, current)];
  const refused = stated.filter((path) =>
    befores.some((before) => changedAmong([path], before, after).length),
  );
  if (refused.length > 0) throw notWritable(resource, refused);
  const nested = touched.filter((path) => path.includes('.'));
  return nested.reduce(
    (filled, path) => fill(filled, path.split('.'), current),
    Object.fromEntries(Object.entries(given).filter(([field]) => !touched.includes(field))),
  );
}

/** The paths at which two JSON documents differ; a missing value counts as null. */
export const changedAmong = (paths: Iterable<string>, before: Document, after: Document): string[] =>
  [...paths].filter(
    (path) => !isDeepStrictEqual(valuesAt(before, path) ?? null, valuesAt(after, path) ?? null),
  );

/** Whether a document has a value at a path. */
export const isStated = (document: Document, path: string): boolean => valuesAt(document, path) !== undefined;

/** The value at a path; null if an object around it is null; in a list, the list of values. */
const valuesAt = (document: unknown, path: string): unknown =>
  path.split('.').reduce<unknown>(step, document);

const step = (value: unknown, name: string): unknown => {
  if (Array.isArray(value)) return value.map((item) => step(item, name));
  return value === null ? null : (value as Document | undefined)?.[name];
};

/** A copy without the value at a path; undefined for a list or a non-object. */
function omit(value: unknown, [name, ...rest]: string[]): Document | undefined {
  if (!isPlain(value) || name === undefined) return undefined;
  const { [name]: inner, ...others } = value;
  const left = rest.length > 0 ? omit(inner, rest) : undefined;
  return left ? { ...others, [name]: left } : others;
}

/** A copy with the value of another document at a path, unless it has one itself. */
function fill(given: unknown, [name, ...rest]: string[], from: unknown): any {
  if (name === undefined) return given ?? from ?? null;
  if (!isPlain(given)) return given;
  return { ...given, [name]: fill(given[name], rest, isPlain(from) ? from[name] : undefined) };
}

const isPlain = (value: unknown): value is Document =>
  value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype;

const topOf = (path: string): string => path.split('.', 1)[0] as string;

/** A whole stored document as JSON, regardless of the caller. */
const wire = (resource: AnyResource, stored: Document): Document => whole(resource)(stored) as Document;

const whole = memoized(({ fields }: AnyResource) => shapeOf(z.strictObject(fields)));
