/**
 * Schemas of answers, shorter than those of requests: bounds say what a client may send, and documents that are older
 * than a bound, or that another tool wrote, are shown all the same. An example stands in the schema that it is of, once.
 */

type Json = Record<string, any>;

const BOUNDS = ['minLength', 'maxLength', 'pattern', 'minItems', 'maxItems', 'uniqueItems'];

/** Takes the bounds out of all schemas that no request refers to. */
export function loosen(paths: Json, schemas: Json): void {
  const sent = new Set<string>();
  const follow = (part: unknown): void => {
    if (part === null || typeof part !== 'object') return;
    for (const [key, value] of Object.entries(part)) {
      const name = key === '$ref' ? String(value).split('/').at(-1) : undefined;
      if (name === undefined) follow(value);
      else if (!sent.has(name)) {
        sent.add(name);
        follow(schemas[name]);
      }
    }
  };
  for (const { parameters, requestBody } of operationsOf(paths)) follow([parameters, requestBody]);
  for (const [name, schema] of Object.entries(schemas)) {
    if (!sent.has(name)) withoutBounds(schema);
    // What is sent back must be what it was, whatever its form.
    for (const member of Object.values<Json>(schema['properties'] ?? {}))
      if (member['readOnly']) withoutBounds(member);
  }
}

function withoutBounds(schema: Json): void {
  for (const bound of BOUNDS) delete schema[bound];
  // A later version may show more.
  if (schema['additionalProperties'] === false) delete schema['additionalProperties'];
  const { properties = {}, items, additionalProperties, anyOf = [], oneOf = [], allOf = [] } = schema;
  const parts = [
    ...Object.values<Json>(properties),
    items,
    additionalProperties,
    ...anyOf,
    ...oneOf,
    ...allOf,
  ];
  for (const part of parts) if (part !== null && typeof part === 'object') withoutBounds(part);
}

/** A PUT takes what a read has given; OpenAPI's readOnly would say that a request should not have it. */
export function acceptWhatWasRead(paths: Json, schemas: Json): void {
  for (const { put } of Object.values<Json>(paths))
    for (const { schema } of Object.values<Json>(put?.requestBody?.content ?? {})) {
      const { properties = {} } = schemas[schema.$ref?.split('/').at(-1)] ?? schema;
      for (const member of Object.values<Json>(properties)) delete member['readOnly'];
    }
}

/** Moves the examples of answers into the schemas that they refer to; a schema keeps the first that it gets. */
export function moveExamples(paths: Json, schemas: Json): void {
  for (const { responses } of operationsOf(paths))
    for (const { content = {} } of Object.values<Json>(responses))
      for (const media of Object.values<Json>(content)) {
        const schema = schemas[media['schema']?.$ref?.split('/').at(-1)];
        if (!schema || media['example'] === undefined) continue;
        schema.examples ??= [media['example']];
        delete media['example'];
      }
}

/** The constants in them tell the kinds of a union apart: a discriminator would say the same again. */
export function withoutDiscriminators(part: unknown): void {
  if (part === null || typeof part !== 'object') return;
  if ('oneOf' in part && 'discriminator' in part) delete part.discriminator;
  for (const inner of Object.values(part)) withoutDiscriminators(inner);
}

export const operationsOf = (paths: Json): Json[] =>
  Object.values(paths).flatMap((path) => Object.values<Json>(path));
