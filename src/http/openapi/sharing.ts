import { capital } from '../../schema/capital.ts';
import { type Json, once, type Part, unified } from './components.ts';
import {
  acceptWhatWasRead,
  loosen,
  moveExamples,
  operationsOf,
  withoutDiscriminators,
  withoutNullWords,
} from './schemas.ts';

/**
 * Declares parts that several operations share once: most operations have the same errors, and all lists of a resource
 * the same parameters. This halves the document.
 */

/** The paths of a document with references to components, and these components. */
export function share(
  ownPaths: Json,
  ownSchemas: Json,
): Record<'paths' | 'schemas' | 'headers' | 'responses' | 'parameters', Json> {
  const [paths, schemas]: [Json, Json] = structuredClone([ownPaths, ownSchemas]);
  const operations = operationsOf(paths);
  loosen(paths, schemas);
  acceptWhatWasRead(paths, schemas);
  moveExamples(paths, schemas);
  withoutDiscriminators([paths, schemas]);
  withoutNullWords([paths, schemas]);
  const parameters = parametersOf(operations);
  shareValues(operations, schemas);
  shareProperties(schemas);
  const responses = responsesOf(operations);
  // Before the responses that contain them.
  const headers = once(
    'headers',
    [...new Set(responses.map(({ content }) => content))].flatMap(({ headers = {} }) =>
      Object.entries<Json>(headers).map(([name, content]) => ({
        place: name,
        content,
        put: (part: Json) => (headers[name] = part),
      })),
    ),
  );
  return {
    paths,
    schemas,
    headers,
    parameters: once('parameters', parameters),
    responses: once(
      'responses',
      responses.filter(({ isShared }) => isShared),
    ),
  };
}

/** `listBooks` is `list` and `Books`. */
const verbOf = (operationId: string): string => /^[a-z]*/.exec(operationId)?.[0] as string;
const subjectOf = (operationId: string): string => operationId.slice(verbOf(operationId).length);

/** Tidies parameters up; equal ones become the same object. */
function parametersOf(operations: Json[]): Part[] {
  const unify = unified();
  return operations.flatMap(({ operationId, parameters = [] }) =>
    parameters.map((parameter: Json, i: number) => {
      const content = unify(tidy(parameter));
      parameters[i] = content;
      return {
        verb: verbOf(operationId),
        place: subjectOf(operationId) + capital(content['name']),
        content,
        put: (part: Json) => (parameters[i] = part),
      };
    }),
  );
}

/**
 * The generator repeats the description in the schema, and puts the example there, where few tools look for it. `explode` is
 * OpenAPI's default for lists, but not every reader of the document knows.
 */
function tidy({ schema, required, ...parameter }: Json): Json {
  const { description: _, example, ...rest } = schema;
  const { items: { description: __, ...items } = {} as Json } = rest;
  return {
    ...parameter,
    ...(required && { required }),
    ...(rest.type === 'array' && { explode: true }),
    schema: { ...rest, ...(rest.items && { items }) },
    ...(example !== undefined && { example }),
  };
}

/** Makes parameters with equal schemas refer to one schema: those of all texts, of all lists of ids. */
function shareValues(operations: Json[], schemas: Json): void {
  const seen = new Set<Json>();
  const values = operations.flatMap(({ tags, parameters = [] }) =>
    parameters
      .filter((parameter: Json) => !seen.has(parameter) && seen.add(parameter))
      .map((parameter: Json) => ({
        place: valueOf(parameter['schema'], tags[0] + capital(parameter['name'])),
        content: parameter['schema'],
        put: (part: Json) => (parameter['schema'] = part),
      })),
  );
  Object.assign(schemas, once('schemas', values, schemas));
}

/** Values are named by their kind; enums, and texts with rules of their own, by the field. */
function valueOf({ type, items, ...value }: Json, field: string): string {
  if (type === 'array') return `${kindOf(items) ?? `${field.replace(/\[.*/, '')}Value`}s`;
  const kind = kindOf({ type, ...value });
  return kind && kind !== 'Text' ? kind : field + (kind ?? 'Value');
}

const kindOf = ({ type, format, pattern, enum: words }: Json): string | undefined => {
  if (words) return undefined;
  if (format) return format === 'date-time' ? 'Time' : capital(format);
  if (pattern === ID) return 'Id';
  return type === 'string' ? 'Text' : capital(String(type));
};

const ID = '^[0-9a-fA-F]{24}$';

/** The same for members of objects: a field occurs in the schemas for reading, creating, replacing and changing. */
function shareProperties(schemas: Json): void {
  const found: Part[] = [];
  const look = (owner: string, schema: Json): void => {
    const { properties = {}, items, anyOf = [] } = schema;
    for (const [name, content] of Object.entries<Json>(properties)) {
      look(owner, content);
      const put = (part: Json) => (properties[name] = part);
      if (isWorthAName(content)) found.push({ place: owner + capital(name), content, put });
    }
    for (const part of [items, ...anyOf]) if (part) look(owner, part);
  };
  for (const [name, schema] of Object.entries<Json>(schemas)) look(name, schema);
  Object.assign(schemas, once('schemas', found, schemas));
}

/** Short members are easier to read in place; generators expect these two marks directly in the member. */
const isWorthAName = (member: Json): boolean =>
  !member['readOnly'] && !member['deprecated'] && JSON.stringify(member).length > 60;

/** Equal responses become the same object. */
function responsesOf(operations: Json[]): (Part & { isShared: boolean })[] {
  const unify = unified();
  return operations.flatMap(({ operationId, responses }) =>
    Object.entries<Json>(responses).map(([status, response]) => {
      const content = unify(response);
      responses[status] = content;
      const isSuccess = /^[23]/.test(status);
      return {
        verb: verbOf(operationId),
        place: `${subjectOf(operationId)}${isSuccess ? 'Status' : 'Problem'}${status.replace('default', '')}`,
        content,
        // Not the answers themselves: swagger-typescript-api ignores an answer that is a reference.
        isShared: !isSuccess || !('content' in content),
        put: (part: Json) => (responses[status] = part),
      };
    }),
  );
}
