import { Problem, type ProblemCode, type ProblemDetails, problems } from '../../errors.ts';
import { isOAuthCode, oauthDocument } from '../oauth.ts';

/** Examples of problems, each declared once; operations refer to them. */

export const REQUEST = 'b4c8e7a2-5a0f-4a63-9a0e-6a3b6a1c2d3e';

export const examplesOf = (codes: readonly ProblemCode[]) => {
  const shown = codes.filter(hasExample);
  return (
    shown.length > 0 && {
      examples: Object.fromEntries(shown.map((code) => [code, { $ref: `#/components/examples/${code}` }])),
    }
  );
};

export const example = (code: ProblemCode) => ({
  value: isOAuthCode(code)
    ? oauthDocument(code, `${problems[code].title}.`)
    : new Problem(code, `${problems[code].title}.`, MEMBERS[code]).toDocument(
        '/path/of/the/request',
        REQUEST,
      ),
});

/** Whether it has members beyond those of every problem. */
export const hasExample = (code: ProblemCode): boolean => code in MEMBERS || isOAuthCode(code);

const inBody = (pointer: string, code: string, message: string): ProblemDetails => ({
  errors: [{ in: 'body', pointer, code, message }],
});

/** The additional members of some problems' examples. */
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
