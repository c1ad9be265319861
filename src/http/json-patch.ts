import type { Types } from 'mongoose';
import { z } from 'zod';
import { ENOUGH_FAULTS, type Fault, invalid, Problem } from '../errors.ts';
import { notWritable } from '../schema/access.ts';
import { withDefaults } from '../schema/defaults.ts';
import { settled } from '../schema/renamed.ts';
import type { AnyResource, DocumentOf } from '../schema/resource.ts';
import { shapeOf } from '../schema/shape.ts';
import * as store from '../schema/store.ts';
import { words } from '../schema/words.ts';
import { apply, type Failure, type Operation, sizeAt } from './apply-patch.ts';
import { changedAmong, isStated, lockedIn, permitted } from '../schema/writes.ts';
import { bodyFaults } from './input.ts';
import type { Body } from './route.ts';

/** JSON Patch (RFC 6902): changes that depend on the document's present content. */

/** The most characters of JSON that the `copy` operations of a patch may copy together. */
const MAX_COPIED = 256 * 1024;

const path = z
  .string()
  .max(500)
  .regex(/^(\/([^/~]|~[01])*)*$/, 'must be a JSON Pointer')
  .describe('A JSON Pointer (RFC 6901)');
const value = z
  .unknown()
  .refine((given) => given !== undefined, { error: 'is required', params: { code: 'required' } });

// Not strict: members that an operation does not define are ignored (RFC 6902, section 4).
const operation = z.discriminatedUnion('op', [
  z.object({ op: z.enum(['add', 'replace', 'test']), path, value }).meta({ id: 'ValuePatch' }),
  z.object({ op: z.literal('remove'), path }).meta({ id: 'RemovePatch' }),
  z.object({ op: z.enum(['move', 'copy']), path, from: path }).meta({ id: 'MovePatch' }),
]);
const operations = z.array(operation).max(100).meta({
  id: 'JsonPatch',
  description: 'Changes, applied in order: all of them, or none',
});

export const jsonPatch = (example: object): Body<z.ZodType> => ({
  schema: operations,
  types: ['application/json-patch+json'],
  example: Object.entries(example).map(([field, value]) => ({ op: 'replace', path: `/${field}`, value })),
});

/** Applies a patch to a document. Faults point into the patch, including those of the resulting document. */
export async function patchDocument(
  resource: AnyResource,
  id: Types.ObjectId,
  patch: Operation[],
): Promise<DocumentOf<AnyResource>> {
  let isApplied = false;
  try {
    return await store.update(resource, id, (current) => {
      const changes = changesBy(patch, resource, current);
      isApplied = true;
      return changes;
    });
  } catch (error) {
    if (!isApplied || !(error instanceof Problem) || !error.members.errors) throw error;
    throw new Problem(error.code, error.message, {
      ...error.members,
      errors: pointInto(patch, error.members.errors),
    });
  }
}

/** The fields that the patch changes, validated. */
function changesBy(
  patch: Operation[],
  resource: AnyResource,
  current: Record<string, unknown>,
): Record<string, unknown> {
  // The document as the caller sees it: `test` must not reveal hidden fields.
  const shown = shapeOf(resource.document)(current) as Record<string, unknown>;
  const { formerly } = resource;
  const { document: before } = settled(formerly, shown, shown);
  const { document: after, faults: contested } = settled(formerly, shown, patched(shown, patch));
  if (contested.length > 0) throw invalid(pointInto(patch, contested));

  // If the whole document is replaced, fields that a client cannot write may be missing.
  const isReplaced = patch.some(({ op, path }) => path === '' && op !== 'test');
  const locked = lockedIn(resource, current);
  const isWritable = (field: string) => field in resource.body.shape && !locked.has(field);
  const changed = Object.keys({ ...before, ...after }).filter(
    (field) =>
      JSON.stringify(before[field]) !== JSON.stringify(after[field]) &&
      (isWritable(field) || field in after || !isReplaced),
  );
  const kept = changedAmong(locked, before, after).filter((path) => !isReplaced || isStated(after, path));
  if (kept.length > 0) throw notWritable(resource, kept, (pointer) => cause(pointer, patch) ?? pointer);
  const written = changed.filter((field) => isWritable(field) && field in after);
  const removed = changed.filter((field) => isWritable(field) && !(field in after));
  const fields = Object.fromEntries(written.map((field) => [field, after[field]]));
  const result = resource.body.partial().safeParse(fields, { error: words });
  const faults = [
    ...changed
      .filter((field) => !isWritable(field))
      .map((field) => fault(field, 'unknown_field', 'is not a writable field')),
    ...removed
      .filter((field) => !(field in resource.defaults))
      .map((field) => fault(field, 'required', 'is required')),
    ...(result.success ? [] : bodyFaults(result.error, resource.body, fields)),
  ];
  if (faults.length > 0) throw invalid(pointInto(patch, faults.slice(0, ENOUGH_FAULTS)));
  const changes = result.data as Record<string, unknown>;
  const isRemoved = (field: string) => removed.includes(field);
  const rest = Object.entries(current).filter(([field]) => !isRemoved(field));
  const complete = withDefaults(resource, { ...Object.fromEntries(rest), ...changes }, isRemoved);
  const given = { ...changes, ...Object.fromEntries(removed.map((field) => [field, complete[field]])) };
  return permitted(resource, locked, given, current);
}

function patched(before: object, patch: Operation[]): Record<string, unknown> {
  const root: { document?: unknown } = { document: structuredClone(before) };
  let copied = 0;
  for (const [index, operation] of patch.entries()) {
    // Copying a value into itself doubles it; a hundred doublings exceed any memory.
    if (operation.op === 'copy') copied += sizeAt(root, operation.from);
    const failure = copied > MAX_COPIED ? 'too_large' : apply(root, operation);
    if (failure) throw refused(failure, index);
  }
  const { document } = root;
  if (document !== null && typeof document === 'object' && !Array.isArray(document))
    return document as Record<string, unknown>;
  const notAnObject = { ...fault('', 'invalid_type', 'must be an object'), pointer: '' };
  throw invalid(pointInto(patch, [notAnObject]));
}

const fault = (field: string, code: string, message: string): Fault => ({
  in: 'body',
  pointer: `/${field}`,
  code,
  message,
});

/**
 * Maps faults of the document to faults of the patch. A fault of a rule across fields points to the operations that
 * touched them.
 */
function pointInto(patch: Operation[], faults: Fault[]): Fault[] {
  const caused = faults.flatMap((fault) => {
    const pointer = cause(fault.pointer ?? '', patch);
    return pointer === undefined ? [] : [{ ...fault, pointer }];
  });
  return caused.length > 0 ? caused : faults.map((fault) => ({ ...fault, pointer: '' }));
}

/** The place in the last operation that touched the field at fault; undefined if none did. */
function cause(pointer: string, patch: Operation[]): string | undefined {
  const leadsTo = (path: string) => pointer === path || pointer.startsWith(`${path}/`);
  const touches = (operation: Operation) =>
    operation.op !== 'test' &&
    [operation.path, ...('from' in operation ? [operation.from] : [])].some(
      (path) => leadsTo(path) || path.split('/')[1] === pointer.split('/')[1],
    );
  const index = patch.findLastIndex(touches);
  const operation = patch[index];
  if (!operation) return undefined;
  if (!('value' in operation)) return `/${index}/path`;
  return `/${index}/value${leadsTo(operation.path) ? pointer.slice(operation.path.length) : ''}`;
}

function refused(failure: Failure | 'too_large', index: number): Problem {
  if (failure === 'test_failed')
    return new Problem(
      'patch_test_failed',
      `The test of operation ${index} failed, so nothing was changed.`,
      {
        errors: [{ in: 'body', pointer: `/${index}`, code: 'test_failed', message: 'failed' }],
      },
    );
  const message = failure === 'too_large' ? 'makes the document too large' : 'points to nothing';
  return invalid([{ in: 'body', pointer: `/${index}/path`, code: failure, message }]);
}
