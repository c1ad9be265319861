import { z } from 'zod';
import type { Node } from './nodes.ts';

/** JSON Merge Patch (RFC 7396): the schema of a patch, and its application to a value. */

/** Whether a patch merges into a value of this kind rather than replacing it. */
export const isMerged = ({ kind }: Node): boolean => kind === 'object' || kind === 'map' || kind === 'union';

/**
 * The schema of a field in a patch: for an object, any part of it. Faults of a union only show in the merged value.
 */
export function partOf(schema: z.ZodType): z.ZodType {
  const def = schema.def as z.core.$ZodTypes['_zod']['def'];
  const { id, ...meta } = schema.meta() ?? {};
  const part = (inner: z.core.$ZodType) => partOf(inner as z.ZodType);
  switch (def.type) {
    case 'nullable':
      return part(def.innerType).nullable().meta(meta);
    case 'optional':
      return part(def.innerType).optional().meta(meta);
    case 'object': {
      const parts = Object.entries(def.shape).map(([name, field]) => [name, part(field).optional()]);
      return z.strictObject(Object.fromEntries(parts)).meta(meta);
    }
    case 'record':
      return z.record(def.keyType as z.ZodString, part(def.valueType).nullable()).meta(meta);
    case 'union':
      return z.record(z.string(), z.unknown()).meta(meta);
    default:
      return schema;
  }
}

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json =>
  value !== null && typeof value === 'object' && !Array.isArray(value);

/** Applies a patch to a value (as JSON). A member that is removed by null stays as null if it is nullable. */
export function merged(node: Node, value: unknown, patch: unknown): unknown {
  if (!isMerged(node) || !isObject(patch)) return patch;
  const base = isObject(value) ? value : {};
  if (node.kind === 'object') return whole(node.fields, base, patch);
  const result = plainly(base, patch);
  if (node.kind !== 'union') return result;
  const by = node.discriminator;
  const option = node.options.find(({ fields }) => fields[by]?.schema.safeParse(result[by]).success);
  return option ? { ...result, ...whole(option.fields, result, {}) } : result;
}

/** Completes an object: nullable members that are missing become null. */
const whole = (fields: Record<string, Node>, base: Json, patch: Json): Json =>
  Object.fromEntries(
    Object.entries(fields).flatMap(([name, field]): [string, unknown][] => {
      const value = patch[name] === undefined ? base[name] : merged(field, base[name], patch[name]);
      if (value !== undefined && value !== null) return [[name, value]];
      return field.nullable ? [[name, null]] : [];
    }),
  );

/** Without a schema, as the RFC defines it. */
function plainly(base: Json, patch: Json): Json {
  const result = { ...base };
  for (const [name, value] of Object.entries(patch))
    if (value === null) delete result[name];
    else result[name] = isObject(value) ? plainly(isObject(result[name]) ? result[name] : {}, value) : value;
  return result;
}
