import type { ResponseConfig } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import { Problem, type ProblemCode, problems } from '../../errors.ts';
import { PROBLEM_TYPE } from '../middleware.ts';
import { isOAuthCode, oauthError } from '../oauth.ts';
import { ANYWHERE, JSON_TYPE, problemsOf, type Route } from '../route.ts';
import { examplesOf, REQUEST } from './examples.ts';

/** What OpenAPI says of refusals. */

const fault = z
  .strictObject({
    in: z.enum(['body', 'query', 'header']).describe('The part of the request'),
    pointer: z.string().optional().describe('In a body: a JSON Pointer (RFC 6901)'),
    parameter: z.string().optional().describe('Elsewhere: the name of the parameter or header'),
    code: z.string().describe('The rule that it breaks, for programs'),
    message: z.string().describe('The same for people; the pointer or parameter is its subject'),
  })
  .meta({ id: 'Fault', description: 'One thing that is wrong with the input, and where' });

const blocker = z
  .strictObject({
    resource: z.string().describe('The collection of the documents that refer to it'),
    field: z.string().describe('The field that refers'),
    count: z.int().describe('How many; 10,000 means that or more'),
    ids: z.array(z.string()).describe('A few of them'),
    link: z.string().meta({ format: 'uri-reference' }).describe('Where all of them are listed'),
  })
  .meta({ id: 'Blocker', description: 'Documents that refer to one that was to be removed or merged' });

const problem = z
  .strictObject({
    type: z
      .string()
      .meta({ format: 'uri-reference', description: 'Leads to what this kind of problem means' }),
    title: z.string().describe('The kind of problem, for people'),
    status: z.int().describe('The status of the answer'),
    detail: z.string().describe('What is wrong with this request'),
    instance: z.string().meta({ format: 'uri-reference', description: 'The path of the request' }),
    code: z.enum(Object.keys(problems) as [ProblemCode]).describe('The kind of problem, for programs'),
    requestId: z.string().describe('Identifies the request in the log'),
    traceId: z.string().optional().describe('The trace of a request that has sent a `traceparent`'),
    errors: z.array(fault).optional().describe('Everything that is wrong with the input'),
    blockers: z.array(blocker).optional().describe('The documents that refer to it, by field'),
    operation: z.int().optional().describe('In a batch: the index of the operation that was refused'),
    problem: z
      .record(z.string(), z.unknown())
      .optional()
      .describe('In a batch: the problem of that operation'),
  })
  .meta({
    id: 'Problem',
    description: 'Why a request was refused (RFC 9457)',
    examples: [
      new Problem('not_found', 'No document has this id.').toDocument(
        '/books/65f000000000000000000bff',
        REQUEST,
      ),
    ],
  });

/**
 * The refusals of a route: a response for each status that it has a problem of its own for, with an example of each
 * problem of that status, and one for whatever any request may meet.
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
    `What requests may be refused with: ${ANYWHERE.map((code) => `\`${code}\` (${problems[code].status})`).join(', ')}.`,
  ),
  headers: {
    ...RETRY_AFTER,
    'WWW-Authenticate': {
      description: 'With 401: how to get in, and what is wrong with the token that was sent (RFC 6750)',
      schema: { type: 'string' as const },
      example: 'Bearer realm="shelfmark"',
    },
    'RateLimit-Policy': {
      description: 'With 429: the limits that hold for the request, q requests in w seconds',
      schema: { type: 'string' as const },
      example: '"default";q=1200;w=60',
    },
    RateLimit: {
      description: 'With 429: what is left of each limit, r requests, and in t seconds all of them again',
      schema: { type: 'string' as const },
      example: '"default";r=0;t=42',
    },
  },
};
