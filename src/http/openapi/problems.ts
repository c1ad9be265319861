import type { ResponseConfig } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import { Problem, type ProblemCode, problems } from '../../errors.ts';
import { PROBLEM_TYPE } from '../middleware.ts';
import { isOAuthCode, oauthError } from '../oauth.ts';
import { ANYWHERE, JSON_TYPE, problemsOf, type Route } from '../route.ts';
import { examplesOf, REQUEST } from './examples.ts';

/** OpenAPI descriptions of errors. */

const fault = z
  .strictObject({
    in: z.enum(['body', 'query', 'header']).describe('The part of the request'),
    pointer: z.string().optional().describe('In a body: a JSON Pointer (RFC 6901)'),
    parameter: z.string().optional().describe('In a query or header: its name'),
    code: z.string().describe('The broken rule, for programs'),
    message: z.string().describe('The same for people; its subject is the pointer or parameter'),
  })
  .meta({ id: 'Fault', description: 'A fault of the input, and its place' });

const blocker = z
  .strictObject({
    resource: z.string().describe('The collection of the referring documents'),
    field: z.string().describe('The referring field'),
    count: z.int().describe('Their number; 10,000 means 10,000 or more'),
    ids: z.array(z.string()).describe('The ids of a few of them'),
    link: z.string().meta({ format: 'uri-reference' }).describe('A list of all of them'),
  })
  .meta({ id: 'Blocker', description: 'Documents that refer to the one to be removed or merged' });

const problem = z
  .strictObject({
    type: z
      .string()
      .meta({ format: 'uri-reference', description: 'Links to the description of this kind of problem' }),
    title: z.string().describe('The kind of problem, for people'),
    status: z.int().describe('The status of the answer'),
    detail: z.string().describe('What is wrong with this request'),
    instance: z.string().meta({ format: 'uri-reference', description: 'The path of the request' }),
    code: z.enum(Object.keys(problems) as [ProblemCode]).describe('The kind of problem, for programs'),
    requestId: z.string().describe('Identifies the request in the log'),
    traceId: z.string().optional().describe('The trace id of a request with a `traceparent` header'),
    errors: z.array(fault).optional().describe('All faults of the input'),
    blockers: z.array(blocker).optional().describe('The referring documents, by field'),
    operation: z.int().optional().describe('In a batch: the index of the operation that was refused'),
    problem: z
      .record(z.string(), z.unknown())
      .optional()
      .describe('In a batch: the problem of that operation'),
  })
  .meta({
    id: 'Problem',
    description: 'An error (RFC 9457)',
    examples: [
      new Problem('not_found', 'No document has this id.').toDocument(
        '/books/65f000000000000000000bff',
        REQUEST,
      ),
    ],
  });

/**
 * The error responses of a route: one per status for which it has a problem of its own, with an example of each
 * problem, and one response for the problems that any request can have.
 */
export function refusals(route: Route): Record<string, ResponseConfig> {
  const own = problemsOf(route);
  const statuses = [...new Set(own.map((code) => problems[code].status))];
  const responses = statuses.map((status): [string, ResponseConfig] => {
    const codes = [...new Set(route.oauth ? own : [...own, ...ANYWHERE])].filter(
      (code) => problems[code].status === status,
    );
    const description = codes.map((code) => `\`${code}\`: ${problems[code].title}.`).join(' ');
    return [String(status), { ...refusal(codes, description), ...headersAt(status) }];
  });
  return { ...Object.fromEntries(responses), default: ELSE };
}

const headersAt = (status: number): Pick<ResponseConfig, 'headers'> =>
  status === 503 || status === 429 ? { headers: RETRY_AFTER } : {};

const refusal = (codes: readonly ProblemCode[], description: string): ResponseConfig => ({
  description,
  content: {
    [codes.every(isOAuthCode) ? JSON_TYPE : PROBLEM_TYPE]: {
      schema: codes.every(isOAuthCode) ? oauthError : problem,
      ...examplesOf(codes),
    },
  },
});

const RETRY_AFTER = {
  'Retry-After': {
    description: 'Seconds to wait, with 429 and 503',
    schema: { type: 'integer' as const },
    example: 1,
  },
};

const ELSE: ResponseConfig = {
  ...refusal(
    ANYWHERE,
    `Errors of any request: ${ANYWHERE.map((code) => `\`${code}\` (${problems[code].status})`).join(', ')}.`,
  ),
  headers: {
    ...RETRY_AFTER,
    'WWW-Authenticate': {
      description: 'With 401: how to authenticate, and what is wrong with the token (RFC 6750)',
      schema: { type: 'string' as const },
      example: 'Bearer realm="shelfmark"',
    },
    'RateLimit-Policy': {
      description: 'With 429: the limits of the request, q requests in w seconds',
      schema: { type: 'string' as const },
      example: '"default";q=1200;w=60',
    },
    RateLimit: {
      description: 'With 429: r requests are left of each limit, which resets in t seconds',
      schema: { type: 'string' as const },
      example: '"default";r=0;t=42',
    },
  },
};
