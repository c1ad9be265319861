import { z } from 'zod';
import { caller, callerId } from '../../auth/caller.ts';
import { byId, type Route, route } from '../../http/route.ts';
import { noteEvent } from '../../schema/changes.ts';
import { modelOf, QUERY_TIME } from '../../schema/model.ts';
import type { DocumentOf } from '../../schema/resource.ts';
import { remove } from '../../schema/store.ts';
import { Session } from './session.ts';

/** Not with a key: sessions are for people to see and end. */
const common = { tag: 'auth', policy: { role: 'member' as const }, secret: true as const };

export const own = (): Route[] => [
  route({
    ...common,
    method: 'get',
    path: '/me/sessions',
    operationId: 'listSessions',
    summary: 'List your logins',
    description: 'Your sessions, and when and from where each was last used.',
    answer: {
      status: 200,
      description: 'Your sessions',
      schema: z
        .strictObject({
          items: z
            .array(
              z
                .strictObject({
                  ...Session.document.shape,
                  current: z.boolean().describe('Whether it is the session of this request'),
                })
                .meta({ id: 'OwnSession', description: 'One of your sessions' }),
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
    description: 'Its tokens become invalid at once.',
    params: byId(Session),
    answer: { status: 204, description: 'Ended' },
    handler: async ({ params }) => {
      await remove(Session, params.id);
      noteEvent({ event: 'session_ended', account: callerId() });
    },
  }),
];
