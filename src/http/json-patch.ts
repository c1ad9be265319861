import { isDeepStrictEqual } from 'node:util';
import { applyPatch, type Operation, Pointer } from 'rfc6902';
import { z } from 'zod';
import { type Fault, invalid, Problem } from '../errors.ts';
import type { AnyResource } from '../schema/resource.ts';
import { shapeOf } from '../schema/shape.ts';
import { bodyFaults } from './input.ts';
import type { Body } from './route.ts';

/** JSON Patch (RFC 6902): changes that depend on what a document contains. */

/** How far a document may grow by copies, in characters of JSON. */
const MAX_COPIED = 1024 * 1024;

const path = z
  .string()
  .max(500)
  .regex(/^(\/([^/~]|~[01])*)*$/, 'must be a JSON Pointer')
  .refine((pointer) => !/(__proto__|constructor|prototype)/.test(pointer), 'leads to no field')
  .describe('A JSON Pointer (RFC 6901)');
const value = z
  .unknown()
  .refine((given) => given !== undefined, { error: 'is required', params: { code: 'required' } });

const operation = z.discriminatedUnion('op', [
  z.strictObject({ op: z.literal('add'), path, value }).meta({ id: 'AddPatch' }),
  z.strictObject({ op: z.literal('replace'), path, value }).meta({ id: 'ReplacePatch' }),
  z.strictObject({ op: z.literal('test'), path, value }).meta({ id: 'TestPatch' }),
  z.strictObject({ op: z.literal('remove'), path }).meta({ id: 'RemovePatch' }),
  z.strictObject({ op: z.literal('move'), path, from: path }).meta({ id: 'MovePatch' }),
  z.strictObject({ op: z.literal('copy'), path, from: path }).meta({ id: 'CopyPatch' }),
]);
const operations = z.array(operation).min(1).max(100).meta({
  id: 'JsonPatch',
  description: 'Changes, in the order in which they are made: all of them, or none',
});

export const jsonPatch = (example: object): Body<z.ZodType> => ({
  schema: operations,
  types: ['application/json-patch+json'],
  example: Object.entries(example).map(([field, value]) => ({ op: 'replace', path: `/${field}`, value })),
});

/** The fields that change by a patch, validated. Faults point into the patch. */
export function patchWith(
  resource: AnyResource,
  current: unknown,
  patch: Operation[],
): Record<string, unknown> {
  // As the caller sees it: a test must not tell what no answer shows.
  const before = shapeOf(resource.document)(current) as Record<string, unknown>;
  const after = structuredClone(before);
  for (const [index, operation] of patch.entries()) {
    const error = apply(after, operation);
    if (error) throw refused(error, index);
    // A copy into itself doubles, and a hundred doublings are more than any memory.
    if (operation.op === 'copy' && JSON.stringify(after).length > MAX_COPIED)
      throw refused(new Error('grows'), index);
  }

  const changed = Object.keys({ ...before, ...after }).filter(
    (field) => JSON.stringify(before[field]) !== JSON.stringify(after[field]),
  );
  const blank = resource.blank as Record<string, unknown>;
  const writable = changed.filter((field) => field in resource.body.shape);
  const fields = Object.fromEntries(
    writable.map((field) => [field, field in after ? after[field] : blank[field]]),
  );
  const result = resource.body.partial().safeParse(fields);
  const faults = [
    ...changed
      .filter((field) => !writable.includes(field))
      .map((field) => fault(field, 'unknown_field', 'is not a field that can be written')),
    ...writable
      .filter((field) => fields[field] === undefined)
      .map((field) => fault(field, 'required', 'is required')),
    ...(result.success ? [] : bodyFaults(result.error, resource.body, fields)),
  ];
  if (faults.length > 0)
    throw invalid(faults.map((fault) => ({ ...fault, pointer: cause(fault.pointer as string, patch) })));
  return result.data as Record<string, unknown>;
}

function apply(document: object, operation: Operation): Error | null {
  try {
    for (const path of [operation.path, 'from' in operation ? operation.from : '']) {
      const { parent, key } = Pointer.fromJSON(path).evaluate(document);
      // A list has more properties in JavaScript than in JSON, and so has a text.
      const isPlace = Array.isArray(parent)
        ? /^(\d+|-)$/.test(key)
        : parent === null || typeof parent === 'object';
      if (!isPlace) return Object.assign(new Error(path), { name: 'MissingError' });
    }
    if (operation.op !== 'test') return applyPatch(document, [operation])[0] ?? null;
    // Not by the package, which compares lists in the cube of their length.
    const { value } = Pointer.fromJSON(operation.path).evaluate(document);
    if (isDeepStrictEqual(value, operation.value)) return null;
    return Object.assign(new Error('The value is another one.'), { name: 'TestError' });
  } catch (error) {
    // A path that leads into a string, or to what only JavaScript knows.
    return error as Error;
  }
}

const fault = (field: string, code: string, message: string): Fault => ({
  in: 'body',
  pointer: `/${field}`,
  code,
  message,
});

/** The last operation that touched the field at fault. */
function cause(pointer: string, patch: Operation[]): string {
  const touches = (operation: Operation) =>
    [operation.path, ...('from' in operation ? [operation.from] : [])].some(
      (path) => pointer.startsWith(path) || path.startsWith(`/${pointer.split('/')[1]}`),
    );
  const index = patch.findLastIndex(touches);
  return `/${index}/${'value' in (patch[index] ?? {}) ? 'value' : 'path'}`;
}

function refused(error: Error, index: number): Problem {
  if (error.name === 'TestError')
    return new Problem(
      'patch_test_failed',
      `The test of operation ${index} does not hold, so nothing was changed.`,
      {
        errors: [{ in: 'body', pointer: `/${index}`, code: 'test_failed', message: 'does not hold' }],
      },
    );
  const message = error.name === 'MissingError' ? 'leads to nothing' : 'cannot be done';
  return invalid([{ in: 'body', pointer: `/${index}/path`, code: 'no_such_place', message }]);
}
