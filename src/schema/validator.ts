import { z } from 'zod';
import type { JsonSchema } from '../mongo/layout.ts';
import { objectId, stamps } from './fields.ts';
import type { Fields } from './resource.ts';

/**
 * What MongoDB checks whenever a document of a resource is written, by whatever tool: the rules of its fields as far
 * as `$jsonSchema` can say them. It never refuses what the fields allow. The API's rules are Zod's; these hold for
 * everybody else.
 */
export function validatorOf(resource: { name: string; description: string; fields: Fields }): JsonSchema {
  const document = z.strictObject({
    _id: objectId().describe('Made by the server'),
    ...resource.fields,
    ...stamps,
  });
  const schema = z.toJSONSchema(document, {
    io: 'output',
    target: 'draft-04',
    unrepresentable: 'any',
    reused: 'inline',
    override: ({ zodSchema, jsonSchema }) => {
      const { type } = zodSchema._zod.def;
      if (type === 'custom') Object.assign(jsonSchema, { bsonType: 'objectId' });
      if (type === 'date') Object.assign(jsonSchema, { bsonType: 'date' });
    },
  });
  return { title: resource.name, description: resource.description, ...translate(schema as JsonSchema) };
}

/** MongoDB's names of the types. Numbers may be stored as any of three: the driver takes the smallest that fits. */
const TYPES: Record<string, JsonSchema> = {
  object: { bsonType: 'object' },
  array: { bsonType: 'array' },
  string: { bsonType: 'string' },
  boolean: { bsonType: 'bool' },
  null: { bsonType: 'null' },
  // Neither of the infinities: no JSON has them.
  number: {
    bsonType: ['int', 'long', 'double'],
    minimum: -Number.MAX_VALUE,
    maximum: Number.MAX_VALUE,
  },
  integer: { bsonType: ['int', 'long', 'double'], multipleOf: 1 },
};

/** What MongoDB knows of JSON Schema, and can be taken as it is; it refuses a schema with any other keyword. */
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
  'required',
];

function translate(schema: JsonSchema): JsonSchema {
  const { type, pattern, properties, items, anyOf, oneOf, allOf, additionalProperties: others } = schema;
  return withNull({
    ...(type && TYPES[type]),
    ...Object.fromEntries(KEPT.filter((word) => word in schema).map((word) => [word, schema[word]])),
    ...(pattern && { pattern: toPcre(pattern) }),
    ...(properties && { properties: mapValues(properties, translate) }),
    ...(items && { items: translate(items) }),
    ...(anyOf && { anyOf: anyOf.map(translate) }),
    ...(oneOf && { oneOf: oneOf.map(translate) }),
    ...(allOf && { allOf: allOf.map(translate) }),
    ...(others !== undefined && { additionalProperties: others && translate(others) }),
  });
}

/** `anyOf: [rules, null]` as one set of rules: what only concerns strings or numbers lets null pass anyway. */
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

/** JavaScript's white space, of which PCRE's \s knows the ASCII part only. */
const SPACE =
  '\\s\\x{00A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}\\x{FEFF}';

/** A pattern of JavaScript in MongoDB's dialect, in which `$` would let a line break follow. */
function toPcre(pattern: string): string {
  let inClass = false;
  return pattern.replace(/\\u([\da-fA-F]{4})|\\.|[[\]$]/g, (token, code) => {
    if (code) return `\\x{${code}}`;
    if (token === '[') inClass = true;
    else if (token === ']') inClass = false;
    else if (token === '$' && !inClass) return '\\z';
    else if (token === '\\s') return inClass ? SPACE : `[${SPACE}]`;
    else if (token === '\\S' && !inClass) return `[^${SPACE}]`;
    return token;
  });
}

const mapValues = (
  object: Record<string, JsonSchema>,
  change: (value: JsonSchema) => JsonSchema,
): Record<string, JsonSchema> =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]));
