import { z } from 'zod';
import type { Access } from '../../schema/policy.ts';
import { DEMO_PASSWORD } from '../../auth/passwords.ts';
import { Problem } from '../../errors.ts';
import { FORM_TYPE, type Route, route } from '../../http/route.ts';
import { revoke } from './end.ts';
import { login, type Proof, prove } from './login.ts';
import { refresh } from './refresh.ts';
import { metadata } from './metadata.ts';

/** OAuth 2 for first-party clients: the password grant and rotating refresh tokens (RFC 6749, RFC 7009). */

/**
 * Swagger UI fills in a form from the examples of its fields. Not strict: unknown parameters are ignored (RFC 6749,
 * section 3.2).
 */
const form = <S extends z.ZodRawShape>(fields: S) => z.object(fields);
const short = z.string().max(1_000);

const tokenRequest = form({
  grant_type: z
    .string()
    .max(100)
    .meta({
      description: '`password`, or `refresh_token`',
      enum: ['password', 'refresh_token'],
      example: 'password',
    }),
  username: short
    .optional()
    .meta({ description: 'For `password`: the e-mail address', example: 'admin@example.org' }),
  password: short.optional().meta({
    description: 'For `password`',
    format: 'password',
    writeOnly: true,
    example: DEMO_PASSWORD,
  }),
  refresh_token: short
    .optional()
    .meta({ description: 'For `refresh_token`: the last one issued', example: '' }),
}).meta({
  id: 'TokenRequest',
  description: '`password` requires username and password, `refresh_token` requires refresh_token',
});

const tokenAnswer = z
  .strictObject({
    access_token: z.string().describe('Send it as `Authorization: Bearer …`'),
    token_type: z.literal('Bearer'),
    expires_in: z.int().describe('Seconds until the access token expires'),
    refresh_token: z
      .string()
      .describe('Can be exchanged once for new tokens, which include the next refresh token'),
  })
  .meta({ id: 'Tokens', description: 'An access token and a refresh token' });

const example = {
  access_token: 'eyJhbGciOiJFZERTQSJ9.…',
  token_type: 'Bearer' as const,
  expires_in: 900,
  refresh_token: '65f000000000000000000e51.…',
};

const open: Access = { role: 'anyone', credentials: 'body' };

export const routes = (): Route[] => [
  route({
    method: 'post',
    path: '/auth/token',
    operationId: 'createToken',
    tag: 'auth',
    summary: 'Log in or refresh',
    description:
      'Returns an access token for a name and password, or for the refresh token that came with the last access token. A refresh token can be used once: using it again ends the session.',
    policy: open,
    secret: true,
    body: {
      schema: tokenRequest,
      types: [FORM_TYPE],
      example: { grant_type: 'password', username: 'admin@example.org', password: DEMO_PASSWORD },
    },
    answer: { status: 200, description: 'The tokens', schema: tokenAnswer, example },
    problems: ['invalid_request', 'unsupported_grant_type', 'invalid_grant'],
    oauth: true,
    prepare: async ({
      body: { grant_type, username, password, refresh_token },
    }): Promise<{ proof: Proof; token?: never } | { proof?: never; token: string }> => {
      if (grant_type === 'password')
        return { proof: await prove(required({ username }), required({ password })) };
      if (grant_type === 'refresh_token') return { token: required({ refresh_token }) };
      throw new Problem('unsupported_grant_type', 'grant_type must be password or refresh_token.');
    },
    handler: ({ body: { proof, token } }) => (proof ? login(proof) : refresh(token)),
  }),
  route({
    method: 'post',
    path: '/auth/revoke',
    operationId: 'revokeToken',
    tag: 'auth',
    summary: 'Log out',
    description:
      'Ends the session of an access or refresh token: all of its tokens become invalid. An unknown token is not an error.',
    policy: open,
    secret: true,
    body: {
      schema: form({
        token: short.optional().describe('An access or refresh token'),
        token_type_hint: z.string().max(100).optional().describe('Not needed'),
      }).meta({ id: 'RevokeRequest', description: 'The token to revoke' }),
      types: [FORM_TYPE],
      example: { token: 'the token to revoke' },
    },
    // Some clients accept only JSON as an answer.
    answer: {
      status: 200,
      description: 'The session has ended',
      schema: z.strictObject({}).meta({ id: 'Revoked', description: 'An empty object' }),
      example: {},
    },
    problems: ['invalid_request'],
    oauth: true,
    handler: async ({ body: { token } }) => {
      await revoke(required({ token }));
      return {};
    },
  }),
  ...metadata,
];

/** The value of a form parameter that this grant type requires. */
function required(given: Record<string, string | undefined>): string {
  const [[name, value] = []] = Object.entries(given);
  if (value === undefined || value === '') throw new Problem('invalid_request', `${name} is missing.`);
  return value;
}
