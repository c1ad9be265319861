import { OpenAPIRegistry, OpenApiGeneratorV31, type ResponseConfig } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import packageJson from '../../package.json' with { type: 'json' };
import { type Access, describeAccess } from '../auth/policy.ts';
import { Problem, type ProblemCode, type ProblemDetails, problems } from '../errors.ts';
import { isCounted } from './limits.ts';
import { PROBLEM_TYPE } from './middleware.ts';
import {
  type Body,
  isConditional,
  isIdempotent,
  isPreferable,
  JSON_TYPE,
  problemsOf,
  queryOf,
  type Route,
  writes,
} from './route.ts';
import { STREAM_TYPES } from './stream.ts';

export interface Tag {
  name: string;
  description: string;
}

const fault = z
  .strictObject({
    in: z.enum(['body', 'query', 'header']).describe('The part of the request'),
    pointer: z.string().optional().describe('In a body: a JSON Pointer (RFC 6901)'),
    parameter: z.string().optional().describe('Elsewhere: the name of the parameter or header'),
    code: z.string().describe('The rule that it breaks, for programs'),
    message: z.string().describe('The same in words; the pointer or parameter is its subject'),
  })
  .meta({ id: 'Fault', description: 'One thing that is wrong with the input, and where' });

const blocker = z
  .strictObject({
    resource: z.string().describe('The collection of those that refer to it'),
    field: z.string().describe('The field by which they do'),
    count: z.int().describe('How many; 10,000 stands for that or more'),
    ids: z.array(z.string()).describe('A few of them'),
    link: z.string().meta({ format: 'uri-reference' }).describe('Where all of them are listed'),
  })
  .meta({ id: 'Blocker', description: 'Documents that refer to one that was to be removed' });

const problem = z
  .strictObject({
    type: z
      .string()
      .meta({ format: 'uri-reference', description: 'Leads to what this kind of problem means' }),
    title: z.string().describe('The kind of problem in words'),
    status: z.int().describe('The status of the answer'),
    detail: z.string().describe('What is the matter with this request'),
    instance: z.string().meta({ format: 'uri-reference', description: 'The path of the request' }),
    code: z.enum(Object.keys(problems) as [ProblemCode]).describe('The kind of problem, for programs'),
    requestId: z.string().describe('Finds the request in the log'),
    errors: z.array(fault).optional().describe('Everything that is wrong with the input'),
    blockers: z.array(blocker).optional().describe('What still refers to the document, by field'),
    operation: z.int().optional().describe('In a batch: the index of the operation that was refused'),
    error: z.string().optional().describe('Where a token was asked for: what OAuth 2 calls it'),
    error_description: z.string().optional().describe('The same as `detail`, for clients of OAuth 2'),
    problem: z
      .record(z.string(), z.unknown())
      .optional()
      .describe('In a batch: the problem of that operation'),
  })
  .meta({ id: 'Problem', description: 'Why a request was refused (RFC 9457)' });

/** The OpenAPI document of these routes; a route can answer with nothing that does not stand in it. */
export function openapi(routes: Route[], tags: Tag[]) {
  const registry = new OpenAPIRegistry();
  const codes = new Set<ProblemCode>([...routes.flatMap(problemsOf), 'internal_error']);
  for (const [name, scheme] of Object.entries(SCHEMES))
    registry.registerComponent('securitySchemes', name, scheme);
  for (const code of codes) registry.registerComponent('examples', code, example(code));
  for (const [name, header] of Object.entries(RATE_LIMIT_HEADERS))
    registry.registerComponent('headers', name, header);
  for (const route of routes) registry.registerPath(operation(route));
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
    security: [],
    tags,
  };
  const { paths, components } = new OpenApiGeneratorV31(registry.definitions).generateDocument(header);
  // The generator leaves empty objects behind for the kinds of component that nobody registered.
  const { schemas, headers, examples, securitySchemes } = components ?? {};
  return { ...header, paths, components: { schemas, headers, examples, securitySchemes } };
}

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

/** Where everybody may call, a token may be sent all the same: some see more. */
const securityOf = ({ role, credentials }: Access): Record<string, string[]>[] =>
  credentials ? [] : [...(role === 'anyone' ? [{}] : []), { login: [] }, { bearer: [] }];

const CONVENTIONS = `\
What holds for every operation:

- An \`id\` is 24 hexadecimal digits; a time is RFC 3339, in answers always UTC.
- What a request says and the operation does not know, a field or a parameter, is refused, never ignored.
- Reading is open to everybody; for the rest log in: Authorize on this page, or POST /auth/token. Each operation says
  who may do it. What somebody may not see is not there for him: the answer is 404, and 403 where he sees it but may
  not change it.
- Every refusal is a problem document (RFC 9457). Its \`code\` never changes; \`/problems\` lists them all.
- A client may send so many requests a minute; \`RateLimit\` says how many are left and when all are there again
  (draft-ietf-httpapi-ratelimit-headers). A 429 says in \`Retry-After\` how many seconds to wait.
- Every answer has the header \`X-Request-Id\`, which finds the request in the server's log. A client that sends it
  (up to 64 letters, digits, \`_\`, \`.\` and \`-\`) chooses the id itself.

This document is at \`/openapi.json\`, and a page to try it at \`/docs\`.`;

const operation = (route: Route) => ({
  method: route.method,
  path: route.path,
  operationId: route.operationId,
  tags: [route.tag],
  summary: route.summary,
  description: `${route.description} ${describeAccess(route.policy)}`,
  security: securityOf(route.policy),
  'x-policy': route.policy,
  request: {
    params: route.params,
    query: queryOf(route),
    headers: z.object(requestHeaders(route)),
    ...(route.body && {
      body: {
        required: true,
        content: { ...content(route.body), ...(route.alternative && content(route.alternative)) },
      },
    }),
  },
  responses: {
    [route.answer.status]: success(route),
    ...otherSuccess(route),
    ...refusals(route),
    default: refusal(['internal_error'], 'Any other problem'),
  },
});

const idempotencyKey = z
  .string()
  .regex(/^[\x20-\x7e]{1,255}$/)
  .describe(
    'Makes a retry safe: a request with a key that was sent before gets the same answer, for 24 hours',
  )
  .optional();

const content = ({ types = [JSON_TYPE], schema, example }: Body<z.ZodType>) =>
  Object.fromEntries(types.map((type) => [type, { schema, example }]));

/** Each is optional. */
const requestHeaders = (route: Route): Record<string, z.ZodType> => ({
  ...(isIdempotent(route) && { 'Idempotency-Key': idempotencyKey }),
  ...(isConditional(route) && { 'If-Match': ifMatch }),
  ...(isPreferable(route) && { Prefer: prefer }),
  ...(!writes(route) && route.answer.schema && { 'If-None-Match': ifNoneMatch }),
});

const ifMatch = z.string().describe('Change it only if it still has this entity tag (RFC 9110)').optional();
const ifNoneMatch = z.string().describe('Answer 304 if it still has this entity tag (RFC 9110)').optional();
const prefer = z
  .enum(['return=minimal', 'return=representation'])
  .describe('Whether the answer should show the document (RFC 7240)')
  .optional();

const success = (route: Route): ResponseConfig => ({
  description: route.answer.description,
  ...headersOf(route),
  ...(route.answer.schema && {
    content: {
      [JSON_TYPE]: { schema: route.answer.schema, example: route.answer.example },
      ...(route.stream && Object.fromEntries(STREAM_TYPES.map((type) => [type, STREAMS[type]]))),
    },
  }),
});

const headersOf = (route: Route): Pick<ResponseConfig, 'headers'> => {
  const { answer, secret } = route;
  const headers = {
    ...Object.fromEntries(
      Object.entries(answer.headers ?? {}).map(([name, { description, example, optional }]) => [
        name,
        { description, required: !optional, schema: { type: 'string' as const }, example },
      ]),
    ),
    ...((answer.etag || (!writes(route) && answer.schema)) && { ETag: ETAG }),
    ...(isIdempotent(route) && { 'Idempotency-Replayed': REPLAYED }),
    ...(secret && { 'Cache-Control': NO_STORE }),
    ...(isPreferable(route) && { 'Preference-Applied': APPLIED }),
    ...rateLimitOf(route),
  };
  return Object.keys(headers).length > 0 ? { headers } : {};
};

/** What else a success may look like, if a header asked for it. */
const otherSuccess = (route: Route): Record<string, ResponseConfig> => {
  if (!route.answer.schema) return {};
  if (!writes(route))
    return {
      304: {
        description: 'The client has this version already',
        headers: { ETag: ETAG, ...rateLimitOf(route) },
      },
    };
  return route.answer.status === 200 && isPreferable(route)
    ? { 204: { description: 'Done; Prefer asked for no document', ...headersOf(route) } }
    : {};
};

const ETAG = {
  description: 'Its version: strong for a document as it is, weak for lists and other shapes',
  schema: { type: 'string' as const },
  example: '"Q8yWlIe7XJ0V2c1mB5nT9A"',
};

const NO_STORE = {
  description: 'Nobody may keep this answer',
  required: true,
  schema: { type: 'string' as const, enum: ['no-store'] },
  example: 'no-store',
};

const APPLIED = {
  description: 'The preference that the answer follows',
  schema: { type: 'string' as const },
  example: 'return=minimal',
};

const RATE_LIMIT_HEADERS = {
  'RateLimit-Policy': {
    description: 'The limits that hold for the request: q requests in w seconds',
    required: true,
    schema: { type: 'string' as const },
    example: '"default";q=1200;w=60',
  },
  RateLimit: {
    description: 'What is left of each limit: r requests, and in t seconds all of them again',
    required: true,
    schema: { type: 'string' as const },
    example: '"default";r=1187;t=42',
  },
};

const rateLimitOf = ({ path }: Route) =>
  isCounted(path)
    ? Object.fromEntries(
        Object.keys(RATE_LIMIT_HEADERS).map((name) => [name, { $ref: `#/components/headers/${name}` }]),
      )
    : {};

const STREAMS = {
  'application/x-ndjson': {
    schema: { type: 'string' as const, description: 'All documents, one as JSON on each line' },
    example: '{"id":"65f000000000000000000a01"}\n{"id":"65f000000000000000000a02"}\n',
  },
  'text/csv': {
    schema: {
      type: 'string' as const,
      description: 'All documents, one a row (RFC 4180), after a row of names',
    },
    example: 'id\r\n65f000000000000000000a01\r\n65f000000000000000000a02\r\n',
  },
};

/** The refusals of a route, one response per status with an example of each problem. */
function refusals(route: Route): Record<string, ResponseConfig> {
  const all = problemsOf(route);
  const responses = [...new Set(all.map((code) => problems[code].status))].map((status) => {
    const codes = all.filter((code) => problems[code].status === status);
    const description = codes.map((code) => `\`${code}\`: ${problems[code].title}.`).join(' ');
    return [status, { ...refusal(codes, description), ...headersAt(status, route) }];
  });
  return Object.fromEntries(responses);
}

const headersAt = (status: number, route: Route): Pick<ResponseConfig, 'headers'> => {
  if (status === 401) return { headers: AUTHENTICATE };
  if (status === 503) return { headers: RETRY_AFTER };
  return status === 429 ? { headers: { ...RETRY_AFTER, ...rateLimitOf(route) } } : {};
};

const refusal = (codes: ProblemCode[], description: string): ResponseConfig => ({
  description,
  content: {
    [PROBLEM_TYPE]: {
      schema: problem,
      examples: Object.fromEntries(codes.map((code) => [code, { $ref: `#/components/examples/${code}` }])),
    },
  },
});

const REPLAYED = {
  description: 'Stands there if this is the answer to an earlier request with the same Idempotency-Key',
  schema: { type: 'string' as const, enum: ['true'] },
  example: 'true',
};

const RETRY_AFTER = {
  'Retry-After': { description: 'Seconds to wait', schema: { type: 'integer' as const }, example: 1 },
};

const AUTHENTICATE = {
  'WWW-Authenticate': {
    description: 'How to get in, and what is wrong with the token that was sent (RFC 6750)',
    required: true,
    schema: { type: 'string' as const },
    example: 'Bearer realm="shelfmark"',
  },
};

const example = (code: ProblemCode) => ({
  summary: problems[code].title,
  value: new Problem(code, `${problems[code].title}.`, MEMBERS[code]).toDocument(
    '/path/of/the/request',
    'b4c8e7a2-5a0f-4a63-9a0e-6a3b6a1c2d3e',
  ),
});

const inBody = (pointer: string, code: string, message: string): ProblemDetails => ({
  errors: [{ in: 'body', pointer, code, message }],
});

/** What the examples of some problems have beside what all have. */
const MEMBERS: { [code in ProblemCode]?: ProblemDetails } = {
  validation_failed: inBody('/name', 'required', 'is required'),
  duplicate_key: inBody('/name', 'duplicate', 'another document already has this value'),
  reference_not_found: inBody(
    '/author',
    'reference_not_found',
    'there is no user with the id 65f000000000000000000c99',
  ),
  still_referenced: {
    blockers: [
      {
        resource: 'posts',
        field: 'author',
        count: 1,
        ids: ['65f000000000000000000d01'],
        link: '/posts?author=65f000000000000000000c01',
      },
    ],
  },
  batch_operation_failed: {
    operation: 1,
    problem: new Problem('not_found', 'No document has this id.').describe(),
  },
  unknown_parameter: {
    errors: [
      {
        in: 'query',
        parameter: 'limits',
        code: 'unknown_parameter',
        message: 'is not a parameter of this operation; did you mean limit?',
      },
    ],
  },
};
