import type { z } from 'zod';
import { computations } from './computed.ts';
import { isDecimal, toText } from './decimal.ts';
import { absent, isObjectId, storedKinds } from './fields.ts';
import { hiddenOf, type Paths, type Restricted, restricted } from './access.ts';

/** `hidden`: the paths of the surrounding document that the caller may not read. */
export type Shape = (stored: any, hidden?: Paths) => unknown;

/**
 * Compiles an answer's schema into a function that converts a stored object to JSON: `_id` becomes `id`, ids and times
 * become strings, and undeclared members are dropped. It does not validate: a document older than a rule is answered
 * as it is, never with a 500.
 */
export function shapeOf(schema: z.core.$ZodType): Shape {
  const def = (schema as z.ZodType).def as z.core.$ZodTypes['_zod']['def'];
  switch (def.type) {
    case 'object':
      return shapeOfObject(def.shape);
    case 'array': {
      const item = shapeOf(def.element);
      return (stored, hidden) => (Array.isArray(stored) ? stored.map((one) => item(one, hidden)) : stored);
    }
    case 'nullable':
    case 'optional':
      return shapeOf(def.innerType);
    case 'union':
      return 'discriminator' in def
        ? shapeOfKind(def as z.core.$ZodDiscriminatedUnionDef)
        : shapeOfEither(def.options);
    case 'record': {
      const value = shapeOf(def.valueType);
      return (stored) => (isObject(stored) ? mapValues(stored, value) : stored);
    }
    case 'pipe': {
      const kind = storedKinds.get(def.out as z.ZodType);
      if (kind?.kind !== 'decimal') return scalar;
      return (stored) => (isDecimal(stored) ? toText(stored, kind.scale) : stored);
    }
    default:
      return (stored) => stored;
  }
}

const shapeOfObject = (fields: Record<string, z.core.$ZodType>): Shape => {
  const properties = Object.entries(fields).map(([name, field]) => ({
    name,
    source: name === 'id' ? '_id' : name,
    shape: shapeOf(field),
    // If the caller may read it, it is like any other field.
    absent: restrictionOf(field) ? ofNull(field) : absent(field),
    ofNull: ofNull(field),
    compute: inside(field, (schema) => computations.get(schema as z.ZodType)?.compute),
    path: restrictionOf(field)?.path,
  }));
  // An object with an id is a document, whose owner may be the caller.
  const of = 'id' in fields ? governing(fields)?.() : undefined;
  return (stored, around) => {
    if (stored === null || typeof stored !== 'object') return stored;
    const json: Record<string, unknown> = {};
    const hidden = of ? hiddenOf(of, (field) => stored[field]) : around;
    for (const { name, source, shape, absent, ofNull, path, compute } of properties) {
      if (path && hidden?.has(path)) continue;
      const value = compute ? compute(stored) : stored[source];
      json[name] = value === undefined ? absent : value === null ? ofNull : shape(value, hidden);
    }
    return json;
  };
};

/** What is known of a field that may be left out. */
export function inside<T>(
  field: z.core.$ZodType,
  find: (schema: z.core.$ZodType) => T | undefined,
): T | undefined {
  const def = field._zod.def as z.core.$ZodTypes['_zod']['def'];
  return find(field) ?? (def.type === 'optional' ? inside(def.innerType, find) : undefined);
}

/** Marks a field that only some callers see: its resource, and its path there. */
export const restrictionOf = (field: z.core.$ZodType) => inside(field, (schema) => restricted.get(schema));

/** The resource of a document in which some fields are hidden from some callers. */
export function governing(fields: Record<string, z.core.$ZodType>): (() => Restricted) | undefined {
  for (const field of Object.values(fields)) {
    const found = restrictionOf(field)?.of ?? governingInside(field);
    if (found) return found;
  }
  return undefined;
}

function governingInside(field: z.core.$ZodType): (() => Restricted) | undefined {
  const def = field._zod.def as z.core.$ZodTypes['_zod']['def'];
  switch (def.type) {
    case 'object':
      // A joined document in place of its id.
      return 'id' in def.shape ? undefined : governing(def.shape);
    case 'array':
      return governingInside(def.element);
    case 'nullable':
    case 'optional':
      return governingInside(def.innerType);
    default:
      return undefined;
  }
}

/** An id, or the joined document in its place. */
const shapeOfEither = (options: readonly z.core.$ZodType[]): Shape => {
  const object = options.find(({ _zod }) => _zod.def.type === 'object');
  if (!object) return scalar;
  const shape = shapeOf(object);
  return (stored, hidden) => (isObjectId(stored) ? scalar(stored) : shape(stored, hidden));
};

const shapeOfKind = ({ discriminator, options }: z.core.$ZodDiscriminatedUnionDef): Shape => {
  const shapes = new Map<unknown, Shape>(
    options.flatMap((option) => {
      const values = option._zod.propValues?.[discriminator] ?? [];
      return Array.from(values, (value) => [value, shapeOf(option)] as const);
    }),
  );
  return (stored, hidden) =>
    isObject(stored) ? shapes.get(stored[discriminator])?.(stored, hidden) : stored;
};

/** The value for null: null, or undefined if the field may be missing. */
export const ofNull = (field: z.core.$ZodType): undefined | null | [] => {
  const def = field._zod.def as z.core.$ZodTypes['_zod']['def'];
  return absent(def.type === 'optional' ? def.innerType : field);
};

const isObject = (stored: unknown): stored is Record<string, unknown> =>
  stored !== null && typeof stored === 'object' && !Array.isArray(stored);

const mapValues = (stored: Record<string, unknown>, shape: Shape): Record<string, unknown> =>
  Object.fromEntries(Object.entries(stored).map(([key, value]) => [key, shape(value)]));

const scalar: Shape = (stored) => {
  if (isObjectId(stored)) return stored.toHexString();
  if (stored instanceof Date) return Number.isNaN(stored.getTime()) ? null : stored.toISOString();
  return stored;
};
