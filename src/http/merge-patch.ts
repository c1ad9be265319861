import type { Types } from 'mongoose';
import { z } from 'zod';
import { invalid } from '../errors.ts';
import { isMerged, merged, partOf } from '../schema/merge.ts';
import { type Node, nodesOf } from '../schema/nodes.ts';
import type { AnyResource } from '../schema/resource.ts';
import { shapeOf } from '../schema/shape.ts';
import * as store from '../schema/store.ts';
import { words } from '../schema/words.ts';
import * as writes from '../schema/writes.ts';
import { bodyFaults } from './input.ts';

type Values = Record<string, unknown>;

/**
 * Changes a document by a JSON Merge Patch (RFC 7396) that has been checked. Where the patch says something of an
 * object, the result depends on the document, and the merged object is checked again: a member may be missing.
 */
export function mergeDocument(resource: AnyResource, id: Types.ObjectId, patch: Values) {
  const merging = mergingInto(resource, patch);
  if (!merging) return writes.update(resource, id, patch);
  return store.update(resource, id, (current) => {
    const changes = { ...patch, ...merging(current) };
    return writes.permitted(resource, writes.lockedIn(resource, current), changes, current);
  });
}

/** What becomes of the objects that a patch goes into; undefined, if it goes into none. */
function mergingInto(resource: AnyResource, patch: Values): ((current: Values) => Values) | undefined {
  const nodes = Object.entries(nodesOf(resource.fields)).filter(
    ([field, node]) => isMerged(node) && patch[field] !== undefined && patch[field] !== null,
  );
  if (nodes.length === 0) return undefined;
  const fields = resource.fields as Record<string, z.ZodType>;
  const schema = z.strictObject(
    Object.fromEntries(nodes.map(([field]) => [field, fields[field] as z.ZodType])),
  );
  return (current) => {
    const before = shapeOf(schema)(current) as Values;
    const json = ([field, node]: [string, Node]) => {
      const said = z.encode(partOf(fields[field] as z.ZodType), patch[field]);
      return [field, merged(node, before[field], said)] as const;
    };
    const after = Object.fromEntries(nodes.map(json));
    const result = schema.safeParse(after, { error: words });
    if (!result.success) throw invalid(bodyFaults(result.error, schema, after));
    return result.data;
  };
}
