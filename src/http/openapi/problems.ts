import type { ResponseConfig } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import { Problem, type ProblemCode, type ProblemDetails, problems } from '../../errors.ts';
import { PROBLEM_TYPE } from '../middleware.ts';
import { isOAuthCode, oauthDocument, oauthError } from '../oauth.ts';
import { JSON_TYPE, problemsOf, type Route } from '../route.ts';
import { rateLimitOf } from './answers.ts';

/** What OpenAPI says of refusals. */

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
  .meta({ id: 'Blocker', description: 'Documents that refer to one that was to be removed or merged' });

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
    blockers: z.array(blocker).optional().describe('What stands in the way, by the field that refers'),
    operation: z.int().optional().describe('In a batch: the index of the operation that was refused'),
    problem: z
      .record(z.string(), z.unknown())
      .optional()
      .describe('In a batch: the problem of that operation'),
  })
  .meta({ id: 'Problem', description: 'Why a request was refused (RFC 9457)' });

/** The refusals of a route, one response per status with an example of each problem. */
export function refusals(route: Route): Record<string, ResponseConfig> {
  const all = problemsOf(route);
  const responses = [...new Set(all.map((code) => problems[code].status))].map((status) => {
    const codes = all.filter((code) => problems[code].status === status);
    const description = codes.map((code) => `\`${code}\`: ${problems[code].title}.`).join(' ');
    return [status, { ...refusal(codes, description, route.oauth), ...headersAt(status, route) }];
  });
  return Object.fromEntries(responses);
}

const headersAt = (status: number, route: Route): Pick<ResponseConfig, 'headers'> => {
  if (status === 401) return { headers: AUTHENTICATE };
  if (status === 503) return { headers: RETRY_AFTER };
  return status === 429 ? { headers: { ...RETRY_AFTER, ...rateLimitOf(route) } } : {};
};

export const refusal = (codes: ProblemCode[], description: string, oauth?: true): ResponseConfig => ({
  description,
  content: {
    [oauth && codes.every(isOAuthCode) ? JSON_TYPE : PROBLEM_TYPE]: {
      schema: oauth && codes.every(isOAuthCode) ? oauthError : problem,
      examples: Object.fromEntries(codes.map((code) => [code, { $ref: `#/components/examples/${code}` }])),
    },
  },
});

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

export const example = (code: ProblemCode) => ({
  summary: problems[code].title,
  value: isOAuthCode(code)
    ? oauthDocument(code, `${problems[code].title}.`)
    : new Problem(code, `${problems[code].title}.`, MEMBERS[code]).toDocument(
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
  rule_broken: {
    blockers: [
      {
        resource: 'books',
        field: 'tags',
        count: 1,
        ids: ['65f000000000000000000b01'],
        link: '/books?tags=65f000000000000000000a01',
      },
    ],
  },
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
