import { z } from 'zod';
import { caller, callerId } from '../../auth/caller.ts';
import { byId, type Route, route } from '../../http/route.ts';
import { noteEvent } from '../../schema/changes.ts';
import { modelOf, QUERY_TIME } from '../../schema/model.ts';
import type { DocumentOf } from '../../schema/resource.ts';
import { remove } from '../../schema/store.ts';
import { Session } from './session.ts';

/** No key: to see and end logins is for people. */
const common = { tag: 'auth', policy: { role: 'member' as const }, secret: true as const };

export const own = (): Route[] => [
  route({
    ...common,
    method: 'get',
    path: '/me/sessions',
    operationId: 'listSessions',
    summary: 'List your logins',
    description: 'Where you are logged in, and when and from where each login was last used.',
    answer: {
      status: 200,
      description: 'All of them',
      schema: z
        .strictObject({
          items: z
            .array(
              z
                .strictObject({
                  ...Session.document.shape,
                  current: z.boolean().describe('Whether it is the session of this request'),
                })
                .meta({ id: 'OwnSession', description: 'A login of yours' }),
            )
            .describe('The newest first'),
        })
        .meta({ id: 'Sessions', description: 'The logins of a user' }),
      example: { items: [{ ...Session.example, current: true }] },
    },
    handler: async () => {
      const found = await modelOf(Session)
        .find({ user: callerId() })
        .sort({ _id: -1 })
        .maxTimeMS(QUERY_TIME)
        .lean<DocumentOf<typeof Session>[]>();
      const { session } = caller();
      return { items: found.map((one) => ({ ...one, current: one._id.equals(session) })) };
    },
  }),
  route({
    ...common,
    method: 'delete',
    path: '/me/sessions/{id}',
    operationId: 'endSession',
    summary: 'End one of your logins',
    description: 'Its tokens are invalid from this moment on.',
    params: byId(Session),
    answer: { status: 204, description: 'It has ended' },
    handler: async ({ params }) => {
      await remove(Session, params.id);
      noteEvent({ event: 'session_ended', account: callerId() });
    },
  }),
];
