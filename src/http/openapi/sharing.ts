import { acceptWhatWasRead, loosen, moveExamples, operationsOf, withoutDiscriminators } from './schemas.ts';

/**
 * Parts that several operations have in common, written once: most operations refuse for the same reasons, and all lists
 * of a resource take the same parameters. The document is half as long by that.
 */

type Json = Record<string, any>;

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
  shareValues(operations, schemas);
  shareProperties(schemas);
  const parameters: Part[] = operations.flatMap((operation) =>
    (operation['parameters'] ?? []).map((parameter: Json, i: number) => ({
      hint: parameter['name'],
      content: tidy(parameter),
      put: (part: Json) => (operation['parameters'][i] = part),
    })),
  );
  const members = (parts: Json = {}, hintOf: (name: string) => string): Part[] =>
    Object.entries<Json>(parts)
      .filter(([, content]) => !('$ref' in content))
      .map(([name, content]) => ({
        hint: hintOf(name),
        content,
        put: (part: Json) => (parts[name] = part),
      }));
  const responses = operations.flatMap((operation) =>
    members(operation['responses'], (status) =>
      /^[23]/.test(status) ? `Status${status}` : `Problem${status === 'default' ? '' : status}`,
    ),
  );
  // Before the responses that contain them.
  const headers = once(
    'headers',
    responses.flatMap(({ content }) => members(content['headers'], String)),
  );
  return {
    paths,
    schemas,
    headers,
    parameters: once('parameters', parameters),
    // Not the answers themselves: swagger-typescript-api takes one that is referred to for none.
    responses: once(
      'responses',
      responses.filter(({ hint, content }) => hint.startsWith('Problem') || !('content' in content)),
    ),
  };
}

/** Has parameters of equal values refer to one schema: those of all texts, of all lists of ids. */
function shareValues(operations: Json[], schemas: Json): void {
  const values = operations.flatMap(({ parameters = [] }): Part[] =>
    parameters.flatMap((parameter: Json) => {
      const { description, example, ...schema } = parameter['schema'];
      const { items: { description: _, ...items } = {} as Json, ...value } = schema;
      const content = schema['items'] ? { ...value, items } : schema;
      const rest = { ...(example !== undefined && { example }) };
      const put = (part: Json) => (parameter['schema'] = { ...part, ...rest });
      return JSON.stringify(content).length > WORTH ? [{ hint: kindOf(content), content, put }] : [];
    }),
  );
  Object.assign(schemas, once('schemas', values, schemas));
}

/** The same for members of objects: a field stands in what is read, created, replaced and changed. */
function shareProperties(schemas: Json): void {
  const found: Part[] = [];
  const look = (owner: string, schema: Json): void => {
    const { properties = {}, items, anyOf = [] } = schema;
    for (const [name, content] of Object.entries<Json>(properties)) {
      look(owner, content);
      // Generators look for these two where the member is.
      if (!content['readOnly'] && !content['deprecated'] && JSON.stringify(content).length > WORTH)
        found.push({ hint: owner + capital(name), content, put: (part) => (properties[name] = part) });
    }
    for (const part of [items, ...anyOf]) if (part) look(owner, part);
  };
  for (const [name, schema] of Object.entries<Json>(schemas)) look(name, schema);
  Object.assign(schemas, once('schemas', found, schemas));
}

/** Shorter ones are as long as a reference. */
const WORTH = 60;

const kindOf = ({ type, items, format, pattern, enum: words }: Json): string => {
  if (type === 'array') return `${kindOf(items)}s`;
  if (words) return 'Word';
  if (format === 'date-time') return 'Time';
  if (pattern === ID) return 'Id';
  return type === 'string' ? 'Text' : capital(String(type));
};

const ID = '^[0-9a-fA-F]{24}$';
const capital = (word: string) => word.charAt(0).toUpperCase() + word.slice(1);

/** Something that may stand elsewhere, too: what it is about, what it says, and what puts another in its place. */
interface Part {
  hint: string;
  content: Json;
  put: (part: Json) => void;
}

/** Has equal parts refer to one component, and returns these; what is there only once stays in its place. */
function once(kind: string, parts: Part[], taken: Json = {}): Json {
  const made: Json = {};
  const groups = new Map<string, Part[]>();
  for (const part of parts) {
    const key = JSON.stringify(part.content);
    groups.set(key, [...(groups.get(key) ?? []), part]);
  }
  for (const equal of groups.values()) {
    const [{ content }] = equal as [Part];
    const hint = equal.map((part) => part.hint).reduce((a, b) => (b.length < a.length ? b : a));
    const isShared = equal.length > 1;
    const name = isShared ? free({ ...taken, ...made }, hint) : '';
    if (isShared) made[name] = content;
    for (const { put } of equal) put(isShared ? { $ref: `#/components/${kind}/${name}` } : content);
  }
  return made;
}

/** `author[in]` becomes `authorIn`, a second one `authorIn2`. */
function free(made: Json, hint: string): string {
  const [first = '', ...words] = hint.split(/[^A-Za-z0-9]+/).filter(Boolean);
  const name = first + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
  const names = Array.from({ length: Object.keys(made).length }, (_, i) => `${name}${i + 2}`);
  return [name, ...names].find((candidate) => !(candidate in made)) as string;
}

/** The generator repeats the description in the schema, and puts the example there, where few tools look for it. */
function tidy({ schema: { description, example, ...schema }, required, ...parameter }: Json): Json {
  return { ...parameter, ...(required && { required }), schema, ...(example !== undefined && { example }) };
}
