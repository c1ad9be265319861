import type { Json } from './components.ts';

/**
 * Shortens schemas of answers: bounds say what a client may send, and documents that are older than a bound or written
 * by another tool are shown all the same. An example is kept once, in the schema that it belongs to.
 */

const BOUNDS = ['minLength', 'maxLength', 'pattern', 'minItems', 'maxItems', 'uniqueItems'];

/** The names of the schemas that parts of the document refer to, directly or not. */
function referredBy(parts: unknown[], schemas: Json): Set<string> {
  const names = new Set<string>();
  const follow = (part: unknown): void => {
    if (part === null || typeof part !== 'object') return;
    for (const [key, value] of Object.entries(part)) {
      const name = key === '$ref' ? String(value).split('/').at(-1) : undefined;
      if (name === undefined) follow(value);
      else if (!names.has(name)) {
        names.add(name);
        follow(schemas[name]);
      }
    }
  };
  follow(parts);
  return names;
}

/** Removes the bounds from all schemas that no request refers to. */
export function loosen(paths: Json, schemas: Json): void {
  const sent = referredBy(
    operationsOf(paths).map(({ parameters, requestBody }) => [parameters, requestBody]),
    schemas,
  );
  for (const [name, schema] of Object.entries(schemas)) {
    if (!sent.has(name)) withoutBounds(schema);
    // Members that are sent back must be unchanged, whatever their form.
    for (const member of Object.values<Json>(schema['properties'] ?? {}))
      if (member['readOnly']) withoutBounds(member);
  }
}

function withoutBounds(schema: Json): void {
  for (const bound of BOUNDS) delete schema[bound];
  // A later version may return more members.
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

/**
 * A PUT accepts the document that a read returned, which OpenAPI's readOnly would forbid. Read-only members are removed from
 * other requests, because not all clients leave them out; those of nested objects stay, as in the types of the fields.
 */
export function acceptWhatWasRead(paths: Json, schemas: Json): void {
  for (const { put } of Object.values<Json>(paths))
    for (const { schema } of Object.values<Json>(put?.requestBody?.content ?? {})) {
      const { properties = {} } = schemas[schema.$ref?.split('/').at(-1)] ?? schema;
      for (const member of Object.values<Json>(properties)) delete member['readOnly'];
    }
  const shown = referredBy(
    operationsOf(paths).map(({ responses }) => responses),
    schemas,
  );
  for (const [name, { properties = {} }] of Object.entries<Json>(schemas))
    for (const [member, { readOnly }] of Object.entries<Json>(properties))
      if (readOnly && !shown.has(name)) delete properties[member];
}

/**
 * Moves the examples of answers into the schemas that they refer to; a schema keeps the first one. So do bodies with the
 * same schema in several media types.
 */
export function moveExamples(paths: Json, schemas: Json): void {
  for (const { requestBody, responses } of operationsOf(paths)) {
    const answers = Object.values<Json>(responses).flatMap(({ content = {} }) =>
      Object.values<Json>(content),
    );
    const bodies = Object.values<Json>(requestBody?.content ?? {});
    const nameOf = (media: Json): string => media['schema']?.$ref?.split('/').at(-1);
    const repeated = bodies.filter((one) =>
      bodies.some((other) => one !== other && nameOf(one) === nameOf(other)),
    );
    for (const media of [...answers, ...repeated]) {
      const schema = schemas[nameOf(media)];
      if (!schema || media['example'] === undefined) continue;
      schema.examples ??= [media['example']];
      delete media['example'];
    }
  }
}

/** The constants already tell the kinds of a union apart, so a discriminator would be redundant. */
export function withoutDiscriminators(part: unknown): void {
  if (part === null || typeof part !== 'object') return;
  if ('oneOf' in part && 'discriminator' in part) delete part.discriminator;
  for (const inner of Object.values(part)) withoutDiscriminators(inner);
}

/** One of some words or null: generators make an enum of texts of it, in which null has no place. */
export function withoutNullWords(part: unknown): void {
  if (part === null || typeof part !== 'object') return;
  for (const inner of Object.values(part)) withoutNullWords(inner);
  const { type, enum: words } = part as Json;
  if (!Array.isArray(words) || !words.includes(null)) return;
  const value = {
    type: [type].flat().find((one) => one !== 'null'),
    enum: words.filter((word) => word !== null),
  };
  const schema = part as Json;
  delete schema['type'];
  delete schema['enum'];
  schema['anyOf'] = [value, { type: 'null' }];
}

export const operationsOf = (paths: Json): Json[] =>
  Object.values(paths).flatMap((path) => Object.values<Json>(path));
