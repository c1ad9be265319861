import { z } from 'zod';
import type { JsonSchema } from '../mongo/layout.ts';
import { MAP_KEY, objectId, stamps, type StoredKind, storedKinds } from './fields.ts';
import { checksOf } from './nodes.ts';
import { type Pattern, toPcre } from './pcre.ts';
import type { Fields } from './resource.ts';

/**
 * The `$jsonSchema` that MongoDB checks on every write, by whatever tool: the rules of the fields as far as it can
 * express them. It never refuses what the fields allow. The API checks with Zod; this protects against other tools.
 */
export function validatorOf(resource: { name: string; description: string; fields: Fields }): JsonSchema {
  const document = z.strictObject({
    _id: objectId().describe('Made by the server'),
    ...resource.fields,
    createdAt: stamps.createdAt.describe('When it was created'),
    updatedAt: stamps.updatedAt.describe('When it was last changed'),
  });
  const schema = z.toJSONSchema(document, {
    io: 'output',
    target: 'draft-04',
    unrepresentable: 'any',
    reused: 'inline',
    override: ({ zodSchema, jsonSchema }) => Object.assign(jsonSchema, known(zodSchema)),
  });
  return { title: resource.name, description: resource.description, ...translate(schema as JsonSchema) };
}

/** What Zod's JSON Schema omits or says too loosely, in keywords that translate() knows. */
function known(schema: z.core.$ZodType): JsonSchema {
  const def = schema._zod.def as z.core.$ZodTypes['_zod']['def'];
  if (def.type === 'string')
    return { patterns: checksOf(schema).flatMap(({ pattern }) => (pattern ? [plain(pattern)] : [])) };
  const stored = storedKinds.get(schema as z.ZodType);
  return stored ? bsonOf(stored) : {};
}

/** As JSON, which is what Zod's override returns. */
const plain = ({ source, flags }: RegExp): Pattern => ({ source, flags });

function bsonOf(stored: StoredKind): JsonSchema {
  if (stored.kind !== 'decimal') return { bsonType: { id: 'objectId', instant: 'date' }[stored.kind] };
  const { whole, scale, min = -Infinity, max = Infinity } = stored;
  // Powers of ten rather than Decimal128s, so that a migration stays readable.
  const limit = Number(`1e${whole}`);
  return {
    bsonType: 'decimal',
    multipleOf: Number(`1e-${scale}`),
    ...(min > -limit ? { minimum: min } : { minimum: -limit, exclusiveMinimum: true }),
    ...(max < limit ? { maximum: max } : { maximum: limit, exclusiveMaximum: true }),
  };
}

/** The BSON types. Numbers may have any of three: the driver chooses the smallest that fits. */
const TYPES: Record<string, JsonSchema> = {
  object: { bsonType: 'object' },
  array: { bsonType: 'array' },
  string: { bsonType: 'string' },
  boolean: { bsonType: 'bool' },
  null: { bsonType: 'null' },
  // Excludes the infinities, which JSON lacks.
  number: {
    bsonType: ['int', 'long', 'double'],
    minimum: -Number.MAX_VALUE,
    maximum: Number.MAX_VALUE,
  },
  integer: { bsonType: ['int', 'long', 'double'], multipleOf: 1 },
};

/** The JSON Schema keywords that MongoDB supports unchanged; it refuses schemas with any others. */
const KEPT = [
  'title',
  'description',
  'bsonType',
  'enum',
  'minLength',
  'maxLength',
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'multipleOf',
  'minItems',
  'maxItems',
  'uniqueItems',
  'maxProperties',
  'required',
];

function translate(schema: JsonSchema): JsonSchema {
  const { type, properties, items, anyOf, oneOf, additionalProperties: others } = schema;
  const patterns = patternsOf(schema);
  return withNull({
    ...(type && TYPES[type]),
    ...Object.fromEntries(KEPT.filter((word) => word in schema).map((word) => [word, schema[word]])),
    ...(patterns.length === 1 && { pattern: patterns[0] }),
    ...(patterns.length > 1 && { allOf: patterns.map((pattern) => ({ pattern })) }),
    ...(properties && { properties: mapValues(properties, translate) }),
    ...(items && { items: translate(items) }),
    ...(anyOf && { anyOf: anyOf.map(translate) }),
    ...(oneOf && { oneOf: oneOf.map(translate) }),
    ...(others === false && { additionalProperties: false }),
    // A map.
    ...(others && {
      additionalProperties: false,
      patternProperties: { [toPcre(MAP_KEY)]: translate(others) },
    }),
  });
}

/** The patterns of checks, which Zod returns without flags, and the one in a schema's own metadata. */
const patternsOf = ({ pattern, patterns = [] }: JsonSchema): string[] => [
  ...(pattern && !patterns.some(({ source }: Pattern) => source === pattern)
    ? [toPcre({ source: pattern, flags: 'u' })]
    : []),
  ...patterns.map(toPcre),
];

/** `anyOf: [rules, null]` as one set of rules: rules about strings or numbers ignore null anyway. */
function withNull({ anyOf, ...rest }: JsonSchema): JsonSchema {
  if (!anyOf) return rest;
  const [rules, none] = anyOf;
  if (anyOf.length !== 2 || none?.bsonType !== 'null' || !rules?.bsonType) return { anyOf, ...rest };
  return {
    ...rules,
    bsonType: [rules.bsonType, 'null'].flat(),
    ...(rules.enum && { enum: [...rules.enum, null] }),
    ...rest,
  };
}

const mapValues = (
  object: Record<string, JsonSchema>,
  change: (value: JsonSchema) => JsonSchema,
): Record<string, JsonSchema> =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]));
