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

/** The OpenAPI document of these routes; it declares every status that a route can answer with. */
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
  // The generator leaves empty objects for kinds of component without entries.
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
 * The generator leaves the flags of a regular expression in the pattern, behind a slash. JSON Schema patterns have no
 * flags and behave as with `u`; with another flag the pattern would mean something else, so it is left out.
 */
const withPlainPatterns = <T>(document: T): T =>
  JSON.parse(
    JSON.stringify(document, (key, value) => {
      const [, source, flags] = key === 'pattern' ? (/^(.*)(?<!\\)\/([a-z]+)$/s.exec(value) ?? []) : [];
      if (flags === undefined) return value;
      return flags === 'u' ? source : undefined;
    }),
  );

/** Both are offered by Authorize in /docs. */
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
/** Where a login is optional, a token may still be sent: some callers see more. */
const OPEN: Security = [{}, ...LOGIN];
type Security = Record<string, string[]>[];

/** The security requirement of an operation, if it differs from the default. */
const securityOf = ({ role, credentials }: Access): { security?: Security } => {
  if (credentials === 'body' || credentials === 'none') return { security: [] };
  return role === 'anyone' ? { security: OPEN } : {};
};

const CONVENTIONS = `\
For every operation:

- An \`id\` is 24 hexadecimal digits; a time is RFC 3339, and always UTC in answers.
- Lists are sorted newest first unless \`sort\` is given, and texts alphabetically. Send \`page.next\` as
  \`after\` to get the next page.
- Read-only fields may be present in the body of a PUT if they are unchanged.
- Answers to GET have an \`ETag\`: strong for whole documents, weak for lists and other shapes. Sent in
  \`If-None-Match\`, it gets 304 without a body while nothing has changed (RFC 9110).
- Unknown fields and parameters are refused, never ignored.
- Everybody may read; writing needs a login: press Authorize on this page, or call POST /auth/token. Each operation says
  who may call it. An API key needs the scope of the resource, such as \`books:read\` or \`books:write\`. A
  document that the caller may not read returns 404; one that the caller may read but not change returns 403.
- Errors are problem documents (RFC 9457). Their \`code\` is stable; \`/problems\` lists all codes.
- The number of requests a minute is limited; \`RateLimit\` says how many are left and when the limit resets
  (draft-ietf-httpapi-ratelimit-headers). A 429 says in \`Retry-After\` how many seconds to wait.
- Every answer has the header \`X-Request-Id\`, which identifies the request in the server's log. An id that the client
  sends under that name (up to 64 letters, digits, \`_\`, \`.\` and \`-\`) is logged beside it.

This document is at \`/openapi.json\`, and a page to try it at \`/docs\`.

${FILTERS}`;

/**
 * `list`: the list that declares the filters of the documents that this route shows, unless it declares them itself.
 */
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

/** Routes that take the filters of a list also take `filter`, which can express the same. */
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
    'Makes retries safe: for 24 hours, a request with the same key gets the same answer, with `Idempotency-Replayed: true`',
  )
  .optional();

const content = ({ types = [JSON_TYPE], schema, example }: Body<z.ZodType>) =>
  Object.fromEntries(types.map((type) => [type, { schema, example }]));

/**
 * Some generators use the first media type, others the last: both are for the whole body, and the alternative is in
 * between.
 */
const contents = (body: Body<z.ZodType>, alternative?: Body<z.ZodType>) => {
  const [first, ...others] = Object.entries(content(body));
  return Object.fromEntries([
    ...(first ? [first] : []),
    ...Object.entries(alternative ? content(alternative) : {}),
    ...others,
  ]);
};

/** The conditional headers of a route; each is optional. */
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
    'Whether the answer contains the document (RFC 7240); `Preference-Applied` says which was applied',
  )
  .optional();
