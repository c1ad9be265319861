import { z } from 'zod';
import { Problem, type ProblemCode } from '../errors.ts';
import { JSON_TYPE } from './route.ts';

/** Errors of the token endpoint in OAuth's own form (RFC 6749, section 5.2), which its clients understand. */

/** The codes with an OAuth equivalent; any other fault of the form is an invalid_request. */
const OAUTH_CODES = ['invalid_request', 'invalid_grant', 'unsupported_grant_type'] as const;
type OAuthCode = (typeof OAUTH_CODES)[number];

export const oauthError = z
  .strictObject({
    error: z.enum(OAUTH_CODES).describe('The kind of error, for programs'),
    error_description: z.string().describe('What is wrong with this request'),
  })
  .meta({ id: 'OAuthError', description: 'Why no token was given (RFC 6749, section 5.2)' });

export const isOAuthCode = (code: ProblemCode): code is OAuthCode => OAUTH_CODES.includes(code as OAuthCode);

class OAuthProblem extends Problem {
  override readonly mediaType = JSON_TYPE;
  override toDocument() {
    return oauthDocument(this.code as OAuthCode, this.message);
  }
}

export const oauthDocument = (error: OAuthCode, error_description: string) => ({ error, error_description });

/** Problems that OAuth has no code for, such as server errors and too many requests, are sent unchanged. */
export function asOAuth(problem: Problem): Problem {
  const { code, message, status, headers, event } = problem;
  if (status >= 500 || code === 'rate_limited') return problem;
  return new OAuthProblem(isOAuthCode(code) ? code : 'invalid_request', message, { headers, event });
}
