import { OpenAPIRegistry, OpenApiGeneratorV31 } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import packageJson from '../../../package.json' with { type: 'json' };
import { type Access, describeAccess } from '../../schema/policy.ts';
import type { ProblemCode } from '../../errors.ts';
import {
  ANYWHERE,
  type Body,
  isConditional,
  isIdempotent,
  isList,
  isPreferable,
  JSON_TYPE,
  problemsOf,
  queryOf,
  type Route,
} from '../route.ts';
import { FILTERS } from '../filter/parameter.ts';
import { otherSuccess, success } from './answers.ts';
import { example, hasExample } from './examples.ts';
import { refusals } from './problems.ts';
import { share } from './sharing.ts';

export interface Tag {
  name: string;
  description: string;
}

/** The OpenAPI document of these routes; a route can answer with nothing that does not stand in it. */
export function openapi(routes: Route[], tags: Tag[]) {
  const registry = new OpenAPIRegistry();
  const codes = new Set<ProblemCode>([...ANYWHERE, ...routes.flatMap(problemsOf)]);
  for (const [name, scheme] of Object.entries(SCHEMES))
    registry.registerComponent('securitySchemes', name, scheme);
  for (const code of codes) if (hasExample(code)) registry.registerComponent('examples', code, example(code));
  const lists = new Map(routes.flatMap((route) => (isList(route) ? [[route.lists?.resource, route]] : [])));
  for (const route of routes) registry.registerPath(operation(route, lists.get(route.lists?.resource)));
  const header = {
    openapi: '3.1.0',
    info: {
      title: 'Shelfmark',
      version: packageJson.version,
      summary: packageJson.description,
      description: CONVENTIONS,
      contact: { name: 'The maintainers of Shelfmark' },
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/', description: 'This server' }],
    security: LOGIN,
    tags,
  };
  const { paths, components } = new OpenApiGeneratorV31(registry.definitions).generateDocument(header);
  // The generator leaves empty objects behind for the kinds of component that nobody registered.
  const { schemas, examples, securitySchemes } = components ?? {};
  const { paths: shortened, ...shared } = share(paths ?? {}, schemas ?? {});
  return withPlainPatterns({
    ...header,
    paths: shortened,
    components: {
      ...shared,
      examples,
      securitySchemes,
    },
  });
}

/**
 * The generator leaves the flags of a regular expression in its pattern, behind a slash. JSON Schema knows no flags but
 * means what `u` says; with another one the pattern would say something else, so it is left out.
 */
const withPlainPatterns = <T>(document: T): T =>
  JSON.parse(
    JSON.stringify(document, (key, value) => {
      const [, source, flags] = key === 'pattern' ? (/^(.*)(?<!\\)\/([a-z]+)$/s.exec(value) ?? []) : [];
      if (flags === undefined) return value;
      return flags === 'u' ? source : undefined;
    }),
  );

/** In /docs, Authorize offers both. */
const SCHEMES = {
  login: {
    type: 'oauth2' as const,
    description: 'Your e-mail address and password; client_id and client_secret stay empty.',
    flows: { password: { tokenUrl: '/auth/token', refreshUrl: '/auth/token', scopes: {} } },
  },
  bearer: {
    type: 'http' as const,
    scheme: 'bearer',
    description: 'An access token, or an API key (`sk_…`).',
  },
};

const LOGIN: Security = [{ login: [] }, { bearer: [] }];
/** Where everybody may call, a token may be sent all the same: some see more. */
const OPEN: Security = [{}, ...LOGIN];
type Security = Record<string, string[]>[];

/** What an operation requires, if that is not what most do. */
const securityOf = ({ role, credentials }: Access): { security?: Security } => {
  if (credentials === 'body' || credentials === 'none') return { security: [] };
  return role === 'anyone' ? { security: OPEN } : {};
};

const CONVENTIONS = `\
What holds for every operation:

- An \`id\` is 24 hexadecimal digits; a time is RFC 3339, and always UTC in answers.
- A list shows the newest first unless \`sort\` says otherwise, texts in alphabetical order; \`page.next\` goes into
  \`after\` to go on.
- Read-only fields may be present in the body of a PUT if they are unchanged.
- An answer to a GET has an \`ETag\`: strong for a document as it is, weak for lists and other shapes. Sent in
  \`If-None-Match\`, it makes the answer 304, without a body, as long as nothing has changed (RFC 9110).
- A field or parameter that the operation does not know is refused, never ignored.
- Everybody may read; writing needs a login: press Authorize on this page, or call POST /auth/token. Each operation says
  who may call it. An API key needs the scope of what it reads or writes, such as \`books:read\` or \`books:write\`. A
  document that the caller may not read returns 404; one that the caller may read but not change returns 403.
- Every refusal is a problem document (RFC 9457). Its \`code\` never changes; \`/problems\` lists them all.
- The number of requests a minute is limited; \`RateLimit\` says how many are left and when the limit starts anew
  (draft-ietf-httpapi-ratelimit-headers). A 429 says in \`Retry-After\` how many seconds to wait.
- Every answer has the header \`X-Request-Id\`, which identifies the request in the server's log. An id that the client
  sends under that name (up to 64 letters, digits, \`_\`, \`.\` and \`-\`) is logged beside it.

This document is at \`/openapi.json\`, and a page to try it at \`/docs\`.

${FILTERS}`;

/** `list`: where the filters of the documents that the route shows are declared, unless here. */
const operation = (route: Route, list = route) => ({
  method: route.method,
  path: route.path,
  operationId: route.operationId,
  tags: [route.tag],
  summary: route.summary,
  description: [route.description, filtersOf(route, list), describeAccess(route.policy)]
    .filter(Boolean)
    .join(' '),
  ...securityOf(route.policy),
  request: {
    params: route.params,
    query: list === route ? queryOf(route) : withoutFilters(route),
    headers: z.object(requestHeaders(route)),
    ...(route.body && {
      body: {
        required: true,
        content: contents(route.body, route.alternative),
      },
    }),
  },
  responses: {
    [route.answer.status]: success(route),
    ...otherSuccess(route),
    ...refusals(route),
  },
});

/** What takes the filters of a list takes `filter` too, which can say all that they say. */
const withoutFilters = (route: Route): z.ZodObject => {
  const filters = new Set(route.lists?.filters.map(({ parameter }) => parameter));
  const shape = Object.entries(queryOf(route).shape as Record<string, z.ZodType>);
  return z.strictObject(Object.fromEntries(shape.filter(([name]) => !filters.has(name))));
};

function filtersOf(route: Route, list: Route): string | undefined {
  if (list === route) return undefined;
  const isLess = (route.lists?.filters.length ?? 0) < (list.lists?.filters.length ?? 0);
  return `Also takes the filters of \`GET ${list.path}\`${isLess ? ', except those that look at other documents' : ''}.`;
}

const idempotencyKey = z
  .string()
  .regex(/^[\x20-\x7e]{1,255}$/)
  .describe(
    'Makes a retry safe: a request with a key that was sent before gets the same answer, with `Idempotency-Replayed: true`, for 24 hours',
  )
  .optional();

const content = ({ types = [JSON_TYPE], schema, example }: Body<z.ZodType>) =>
  Object.fromEntries(types.map((type) => [type, { schema, example }]));

/** Some generators take the first media type, others the last: both are of the body, the alternative is between. */
const contents = (body: Body<z.ZodType>, alternative?: Body<z.ZodType>) => {
  const [first, ...others] = Object.entries(content(body));
  return Object.fromEntries([
    ...(first ? [first] : []),
    ...Object.entries(alternative ? content(alternative) : {}),
    ...others,
  ]);
};

/** Each is optional. */
const requestHeaders = (route: Route): Record<string, z.ZodType> => ({
  ...(isIdempotent(route) && { 'Idempotency-Key': idempotencyKey }),
  ...(isConditional(route) && { 'If-Match': ifMatch }),
  ...(isPreferable(route) && { Prefer: prefer }),
});

const ifMatch = z
  .string()
  .describe('Change it only if it still has this entity tag: the `ETag` of an earlier answer (RFC 9110)')
  .optional();
const prefer = z
  .enum(['return=minimal', 'return=representation'])
  .describe(
    'Whether the answer should show the document (RFC 7240); `Preference-Applied` tells what was done',
  )
  .optional();
