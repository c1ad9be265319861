import { z } from 'zod';

/** A document as a row of a table: an object becomes a column per field; lists and maps become one column of JSON. */

/** The columns of a document, with their schemas. */
export const columnsOf = (document: z.ZodObject, prefix = ''): Record<string, z.ZodType> =>
  Object.fromEntries(
    Object.entries(document.shape).flatMap(([name, field]) => {
      const object = objectIn(field);
      return object ? Object.entries(columnsOf(object, `${prefix}${name}.`)) : [[prefix + name, field]];
    }),
  );

/** The object schema of a field, looking through null; undefined for other fields. */
export function objectIn(field: z.core.$ZodType): z.ZodObject | undefined {
  const def = field._zod.def as z.core.$ZodTypes['_zod']['def'];
  if (def.type === 'nullable' || def.type === 'optional') return objectIn(def.innerType);
  return field instanceof z.ZodObject ? field : undefined;
}
