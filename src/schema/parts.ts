import { z } from 'zod';
import { restricted } from './access.ts';

/** Rebuilds a schema with other objects and single values inside; its wrappers are kept. */
export function rebuilt(
  schema: z.ZodType,
  objects: (object: z.ZodObject) => z.ZodType,
  values: (value: z.ZodType) => z.ZodType,
): z.ZodType {
  const again = (inner: z.core.$ZodType) => rebuilt(inner as z.ZodType, objects, values);
  const made = (() => {
    const def = schema.def as z.core.$ZodTypes['_zod']['def'];
    switch (def.type) {
      case 'nullable':
        return again(def.innerType).nullable();
      case 'optional':
        return again(def.innerType).optional();
      case 'array':
        return z.array(again(def.element));
      case 'object':
        return objects(schema as z.ZodObject);
      default:
        return values(schema);
    }
  })();
  // Lists are rebuilt without their checks: entries stored by other tools may repeat.
  const { id, uniqueItems, ...meta } = schema.meta() ?? {};
  const result = made.meta({ ...meta, ...made.meta() });
  const restriction = restricted.get(schema);
  if (restriction) restricted.set(result, restriction);
  return result;
}

export const mapShape = (object: z.ZodObject, change: (field: z.ZodType, name: string) => z.ZodType) =>
  Object.fromEntries(
    Object.entries(object.shape).map(([name, field]) => [name, change(field as z.ZodType, name)]),
  );
