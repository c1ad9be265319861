import type { ResponseConfig } from '@asteasolutions/zod-to-openapi';
import { isPreferable, JSON_TYPE, type Route, writes } from '../route.ts';

/** OpenAPI descriptions of successful answers. */

export const success = (route: Route): ResponseConfig => ({
  description: route.answer.description,
  ...headersOf(route),
  ...((route.answer.schema || route.forms) && {
    content: {
      ...(route.answer.schema && {
        [JSON_TYPE]: { schema: route.answer.schema, example: route.answer.example },
      }),
      ...Object.fromEntries(
        Object.entries(route.forms ?? {}).flatMap(([type, { schema }]) =>
          schema ? [[type, { schema }]] : [],
        ),
      ),
    },
  }),
});

/**
 * ETag, Preference-Applied and Idempotency-Replayed are not declared here: the parameters that cause them describe
 * them.
 */
const headersOf = ({ answer, secret }: Route): Pick<ResponseConfig, 'headers'> => {
  const headers = {
    ...Object.fromEntries(
      Object.entries(answer.headers ?? {}).map(([name, { description, example, optional }]) => [
        name,
        { description, required: !optional, schema: { type: 'string' as const }, example },
      ]),
    ),
    ...(secret && { 'Cache-Control': NO_STORE }),
  };
  return Object.keys(headers).length > 0 ? { headers } : {};
};

/** Other forms of success that a request header can ask for. */
export const otherSuccess = (route: Route): Record<string, ResponseConfig> => {
  if (!route.answer.schema) return {};
  if (!writes(route)) return { 304: { description: 'The client already has this version' } };
  return {
    ...(route.answer.creates && {
      201: { ...success(route), description: `${route.answer.description}, which is new` },
    }),
    ...(route.answer.status === 200 &&
      isPreferable(route) && {
        204: { description: 'Done; `Prefer` asked for no document', ...headersOf(route) },
      }),
  };
};

const NO_STORE = {
  description: 'Not stored by any cache',
  required: true,
  schema: { type: 'string' as const, enum: ['no-store'] },
  example: 'no-store',
};
