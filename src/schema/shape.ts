import type { z } from 'zod';
import { computations } from './computed.ts';
import { absent, isObjectId } from './fields.ts';
import { privacy } from './resource.ts';

type Shape = (stored: any) => unknown;

/** On a stored document: the names of the fields to show, if not all. */
export const SHOWN = Symbol('shown');

/**
 * Compiles an answer's schema into the function that turns what MongoDB stored into JSON: `_id` becomes `id`,
 * ids and times become strings, and what the schema does not declare stays behind.
 * It does not validate: a document older than a rule is answered as it is, never with a 500.
 */
export function shapeOf(schema: z.core.$ZodType): Shape {
  const def = (schema as z.ZodType).def as z.core.$ZodTypes['_zod']['def'];
  switch (def.type) {
    case 'object':
      return shapeOfObject(def.shape);
    case 'array': {
      const item = shapeOf(def.element);
      return (stored) => (Array.isArray(stored) ? stored.map(item) : stored);
    }
    case 'nullable':
    case 'optional':
      return shapeOf(def.innerType);
    case 'union':
      return 'discriminator' in def
        ? shapeOfKind(def as z.core.$ZodDiscriminatedUnionDef)
        : shapeOfEither(def.options);
    case 'pipe':
      return scalar;
    default:
      return (stored) => stored;
  }
}

const shapeOfObject = (fields: Record<string, z.core.$ZodType>): Shape => {
  const properties = Object.entries(fields).map(([name, field]) => ({
    name,
    source: name === 'id' ? '_id' : name,
    shape: shapeOf(field),
    absent: absent(field),
    ofNull: ofNull(field),
    isShown: whoSees(field),
    compute: inside(field, (schema) => computations.get(schema)?.compute),
  }));
  return (stored) => {
    if (stored === null || typeof stored !== 'object') return stored;
    const json: Record<string, unknown> = {};
    const shown: Set<string> | undefined = stored[SHOWN];
    for (const { name, source, shape, absent, ofNull, isShown, compute } of properties) {
      if (shown && !shown.has(name)) continue;
      if (isShown && !isShown(stored)) continue;
      const value = compute ? compute(stored) : stored[source];
      json[name] = value === undefined ? absent : value === null ? ofNull : shape(value);
    }
    return json;
  };
};

/** Of a field that is not shown to everybody: whether it is to this caller. */
const whoSees = (field: z.core.$ZodType) => inside(field, (schema) => privacy.get(schema)?.isShown);

/** What is registered for a field, or for what may be left out. */
function inside<T>(field: z.core.$ZodType, find: (schema: z.ZodType) => T | undefined): T | undefined {
  const def = field._zod.def as z.core.$ZodTypes['_zod']['def'];
  return find(field as z.ZodType) ?? (def.type === 'optional' ? inside(def.innerType, find) : undefined);
}

/** An id, or the document in its place. */
const shapeOfEither = (options: readonly z.core.$ZodType[]): Shape => {
  const object = options.find(({ _zod }) => _zod.def.type === 'object');
  if (!object) return scalar;
  const shape = shapeOf(object);
  return (stored) => (isObjectId(stored) ? scalar(stored) : shape(stored));
};

const shapeOfKind = ({ discriminator, options }: z.core.$ZodDiscriminatedUnionDef): Shape => {
  const shapes = new Map(
    options.flatMap((option) => {
      const values = option._zod.propValues?.[discriminator] ?? [];
      return Array.from(values, (value) => [value, shapeOf(option)] as const);
    }),
  );
  return (stored) => shapes.get(stored[discriminator])?.(stored);
};

/** What stands for null: the same, but null where a field may be missing and may be null, and then says which. */
const ofNull = (field: z.core.$ZodType): undefined | null | [] => {
  const def = field._zod.def as z.core.$ZodTypes['_zod']['def'];
  return absent(def.type === 'optional' ? def.innerType : field);
};

const scalar: Shape = (stored) => {
  if (isObjectId(stored)) return stored.toHexString();
  if (stored instanceof Date) return Number.isNaN(stored.getTime()) ? null : stored.toISOString();
  return stored;
};
