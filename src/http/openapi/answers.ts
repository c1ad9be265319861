import type { ResponseConfig } from '@asteasolutions/zod-to-openapi';
import { isCounted } from '../limits.ts';
import { isIdempotent, isPreferable, JSON_TYPE, type Route, writes } from '../route.ts';

/** What OpenAPI says of successes. */

export const success = (route: Route): ResponseConfig => ({
  description: route.answer.description,
  ...headersOf(route),
  ...((route.answer.schema || route.forms) && {
    content: {
      ...(route.answer.schema && {
        [JSON_TYPE]: { schema: route.answer.schema, example: route.answer.example },
      }),
      ...Object.fromEntries(
        Object.entries(route.forms ?? {}).flatMap(([type, { content }]) =>
          content ? [[type, content]] : [],
        ),
      ),
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
  };
  return Object.keys(headers).length > 0 ? { headers } : {};
};

/** What else a success may look like, if a header asked for it. */
export const otherSuccess = (route: Route): Record<string, ResponseConfig> => {
  if (!route.answer.schema) return {};
  if (!writes(route))
    return {
      304: {
        description: 'The client has this version already',
        headers: { ETag: ETAG },
      },
    };
  return {
    ...(route.answer.creates && {
      201: { ...success(route), description: `${route.answer.description}, which is new` },
    }),
    ...(route.answer.status === 200 &&
      isPreferable(route) && {
        204: { description: 'Done; Prefer asked for no document', ...headersOf(route) },
      }),
  };
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

export const RATE_LIMIT_HEADERS = {
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

export const rateLimitOf = ({ path }: Route) =>
  isCounted(path)
    ? Object.fromEntries(
        Object.keys(RATE_LIMIT_HEADERS).map((name) => [name, { $ref: `#/components/headers/${name}` }]),
      )
    : {};

const REPLAYED = {
  description: 'Stands there if this is the answer to an earlier request with the same Idempotency-Key',
  schema: { type: 'string' as const, enum: ['true'] },
  example: 'true',
};
