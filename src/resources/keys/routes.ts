import { z } from 'zod';
import { callerId } from '../../auth/caller.ts';
import type { Access } from '../../schema/policy.ts';
import { DEMO_PASSWORD } from '../../auth/passwords.ts';
import { digestOf, makeSecret } from '../../auth/tokens.ts';
import { invalid, Problem } from '../../errors.ts';
import { byId, type Route, route } from '../../http/route.ts';
import { removeGuards } from '../../mongo/guards.ts';
import { instant, setOf, text } from '../../schema/fields.ts';
import { noteEvent } from '../../schema/changes.ts';
import { modelOf, QUERY_TIME } from '../../schema/model.ts';
import type { AnyResource, DocumentOf } from '../../schema/resource.ts';
import { create, remove } from '../../schema/store.ts';
import { ApiKey } from './key.ts';
import { confirmPassword, currentPassword } from '../users/own-password.ts';
import { User } from '../users/user.ts';

const DAY = 24 * 60 * 60 * 1_000;
const DAYS = { default: 90, most: 366 };
const MAX_KEYS = 50;

/** Not with a key: it could create one with more rights, or one that outlives it. */
const byLogin: Access = { role: 'member' };

const common = { tag: 'auth', policy: byLogin, secret: true as const };

export const routes = ({ resources }: { resources: AnyResource[] }): Route[] => [
  route({
    ...common,
    method: 'get',
    path: '/me/keys',
    operationId: 'listKeys',
    summary: 'List your API keys',
    description: 'Without their secrets, which are not stored.',
    answer: {
      status: 200,
      description: 'Your API keys',
      schema: z
        .strictObject({ items: z.array(ApiKey.document).describe('The newest first') })
        .meta({ id: 'ApiKeys', description: 'The API keys of a user' }),
      example: { items: [ApiKey.example] },
    },
    handler: async () => ({
      items: await modelOf(ApiKey)
        .find({ user: callerId() })
        .sort({ _id: -1 })
        .maxTimeMS(QUERY_TIME)
        .lean<DocumentOf<typeof ApiKey>[]>(),
    }),
  }),
  route({
    ...common,
    method: 'post',
    path: '/me/keys',
    operationId: 'createKey',
    summary: 'Create an API key',
    description:
      'It acts as you, within its scopes; send it as `Authorization: Bearer sk_…`. Only this answer shows it.',
    body: {
      schema: z
        .strictObject({
          currentPassword: currentPassword(),
          name: ApiKey.fields.name,
          scopes: scopesOf(resources),
          expiresAt: instant()
            .optional()
            .describe(`${DAYS.default} days from now by default, at most ${DAYS.most}`),
        })
        .meta({ id: 'ApiKeyBody', description: 'A new API key' }),
      example: {
        currentPassword: DEMO_PASSWORD,
        name: 'Nightly report',
        scopes: ['users:read'],
      },
    },
    answer: {
      status: 201,
      description: 'The key',
      schema: z
        .strictObject({ ...ApiKey.document.shape, secret: text(1, 200).describe('Shown this once') })
        .meta({ id: 'NewApiKey', description: 'An API key with its secret' }),
      example: { ...ApiKey.example, secret: 'sk_65f000000000000000000e01_…' },
    },
    prepare: async ({ body }) => {
      await confirmPassword(body.currentPassword);
      return body;
    },
    handler: async ({ body: { name, scopes, expiresAt = new Date(Date.now() + DAYS.default * DAY) } }) => {
      const days = (expiresAt.getTime() - Date.now()) / DAY;
      if (days <= 0 || days > DAYS.most) throw wrongExpiry();
      const user = callerId();
      // Concurrent creates wait for each other here, then count again, so the limit holds.
      removeGuards([{ collection: User.collection, id: user }]);
      if ((await modelOf(ApiKey).countDocuments({ user })) >= MAX_KEYS)
        throw new Problem('validation_failed', `You already have ${MAX_KEYS} keys: remove one first.`);
      const secret = makeSecret();
      const made = await create(ApiKey, { user, name, scopes, expiresAt, digest: digestOf(secret) });
      noteEvent({ event: 'key_created', account: user, reason: scopes.join(' ').slice(0, 200) });
      return { ...made, secret: `sk_${made._id.toHexString()}_${secret}` };
    },
  }),
  route({
    ...common,
    method: 'delete',
    path: '/me/keys/{id}',
    operationId: 'removeKey',
    summary: 'Remove an API key',
    description: 'The key becomes invalid at once.',
    params: byId(ApiKey),
    answer: { status: 204, description: 'Removed' },
    handler: async ({ params }) => {
      await remove(ApiKey, params.id);
      noteEvent({ event: 'key_removed', account: callerId() });
    },
  }),
];

const scopesOf = (resources: AnyResource[]) => {
  const scopes = resources.flatMap(({ collection }) => [`${collection}:read`, `${collection}:write`]);
  return setOf(z.enum(scopes), scopes.length).min(1);
};

const wrongExpiry = (): Problem =>
  invalid([
    {
      in: 'body',
      pointer: '/expiresAt',
      code: 'out_of_range',
      message: `must be in the future, and within ${DAYS.most} days`,
    },
  ]);
