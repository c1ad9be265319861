import { z } from 'zod';
import { ANYONE } from '../../schema/policy.ts';
import { issuer, publicKeys } from '../../auth/tokens.ts';
import { route } from '../../http/route.ts';

/** Metadata from which OAuth clients, and services that verify tokens, configure themselves (RFC 8414, RFC 7517). */

const server = z
  .strictObject({
    issuer: z.url().describe('The `iss` of every access token'),
    token_endpoint: z.url(),
    revocation_endpoint: z.url(),
    jwks_uri: z.url(),
    grant_types_supported: z.array(z.string()),
    response_types_supported: z.array(z.string()).describe('Empty: there is no login page'),
    token_endpoint_auth_methods_supported: z
      .array(z.string())
      .describe('Clients are not registered: their credentials are ignored'),
    revocation_endpoint_auth_methods_supported: z.array(z.string()),
    service_documentation: z.url(),
  })
  .meta({ id: 'AuthorizationServer', description: 'OAuth metadata of this server (RFC 8414)' });

const key = z
  .strictObject({
    kty: z.literal('OKP'),
    crv: z.literal('Ed25519'),
    x: z.string(),
    kid: z.string(),
    use: z.literal('sig'),
    alg: z.literal('EdDSA'),
  })
  .meta({ id: 'PublicKey', description: 'A key that verifies access tokens (RFC 8037)' });

const open = { method: 'get' as const, tag: 'auth', policy: ANYONE };

export const metadata = [
  route({
    ...open,
    path: '/.well-known/oauth-authorization-server',
    operationId: 'readAuthorizationServer',
    summary: 'Read the OAuth metadata',
    description: 'OAuth 2 clients configure themselves from it (RFC 8414).',
    answer: {
      status: 200,
      description: 'The metadata',
      schema: server,
      example: describeServer('http://127.0.0.1:3000'),
    },
    handler: async () => describeServer(issuer()),
  }),
  route({
    ...open,
    path: '/.well-known/jwks.json',
    operationId: 'listPublicKeys',
    summary: 'List the keys that verify tokens',
    description: 'For services that verify access tokens (RFC 9068).',
    answer: {
      status: 200,
      description: 'The public keys; the first one signs',
      schema: z.strictObject({ keys: z.array(key) }).meta({ id: 'PublicKeys', description: 'A JWK Set' }),
      example: {
        keys: [
          {
            kty: 'OKP',
            crv: 'Ed25519',
            x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
            kid: 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k',
            use: 'sig',
            alg: 'EdDSA',
          },
        ],
      },
    },
    handler: async () => ({ keys: publicKeys() }),
  }),
];

function describeServer(issuer: string) {
  const at = (path: string) => new URL(path, issuer).href;
  return {
    issuer,
    token_endpoint: at('/auth/token'),
    revocation_endpoint: at('/auth/revoke'),
    jwks_uri: at('/.well-known/jwks.json'),
    grant_types_supported: ['password', 'refresh_token'],
    response_types_supported: [],
    token_endpoint_auth_methods_supported: ['none'],
    revocation_endpoint_auth_methods_supported: ['none'],
    service_documentation: at('/docs'),
  };
}
