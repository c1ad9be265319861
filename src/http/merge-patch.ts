import type { Types } from 'mongoose';
import { z } from 'zod';
import { invalid } from '../errors.ts';
import { isMerged, merged, partOf } from '../schema/merge.ts';
import type { Node } from '../schema/nodes.ts';
import type { AnyResource } from '../schema/resource.ts';
import { memoized } from '../schema/memoized.ts';
import { shapeOf } from '../schema/shape.ts';
import * as store from '../schema/store.ts';
import { words } from '../schema/words.ts';
import * as writes from '../schema/writes.ts';
import { bodyFaults } from './input.ts';

type Values = Record<string, unknown>;

/**
 * Applies a JSON Merge Patch (RFC 7396) whose input has been checked. A patch of an object's members depends on the
 * stored document, so the merged object is validated again: a member may be missing.
 */
export function mergeDocument(resource: AnyResource, id: Types.ObjectId, patch: Values) {
  const merging = mergingInto(resource, patch);
  if (!merging) return writes.update(resource, id, patch);
  return store.update(resource, id, (current) => {
    const changes = { ...patch, ...merging(current) };
    return writes.permitted(resource, writes.lockedIn(resource, current), changes, current);
  });
}

/** The merged objects of a patch; undefined if it does not go into any object. */
function mergingInto(resource: AnyResource, patch: Values): ((current: Values) => Values) | undefined {
  const { parts, schema, shape } = mergeableOf(resource);
  const named = Object.entries(parts).filter(
    ([field]) => patch[field] !== undefined && patch[field] !== null,
  );
  if (named.length === 0) return undefined;
  return (current) => {
    const before = shape(current) as Values;
    const after = Object.fromEntries(
      named.map(([field, { node, part }]) => [
        field,
        merged(node, before[field], z.encode(part, patch[field])),
      ]),
    );
    const result = schema.safeParse(after, { error: words });
    if (!result.success) throw invalid(bodyFaults(result.error, schema, after));
    return result.data;
  };
}

/** The fields of a resource that a patch may merge into. */
interface Mergeable {
  parts: Record<string, { node: Node; part: z.ZodType }>;
  /** The schema with every member optional. */
  schema: z.ZodObject;
  shape: ReturnType<typeof shapeOf>;
}

const mergeableOf = memoized(({ fields, nodes }: AnyResource): Mergeable => {
  const names = Object.keys(nodes).filter((field) => isMerged(nodes[field] as Node));
  const of = <T>(make: (schema: z.ZodType, node: Node) => T): Record<string, T> =>
    Object.fromEntries(
      names.map((field) => [field, make(fields[field] as z.ZodType, nodes[field] as Node)] as const),
    );
  const schema = z.strictObject(of((schema) => schema)).partial();
  return { parts: of((schema, node) => ({ node, part: partOf(schema) })), schema, shape: shapeOf(schema) };
});
