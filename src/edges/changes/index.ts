import type Koa from 'koa';
import type { Logger } from 'pino';
import { z } from 'zod';
import { callerId, caller } from '../../auth/caller.ts';
import type { Edge } from '../../http/edge.ts';
import type { Authenticate, Confirm } from '../../http/entrance.ts';
import { JSON_TYPE, type Route, route } from '../../http/route.ts';
import { isRestricting } from '../../schema/access.ts';
import { requireAccess } from '../../schema/policy.ts';
import type { AnyResource } from '../../schema/resource.ts';
import { warnOfExpiry } from './expiry.ts';
import { type Feed, feedsOf } from './feed.ts';
import { createHub } from './hub.ts';
import { livePage } from './live.ts';
import { changesOf, EVENTS } from './schemas.ts';
import { serve } from './serve.ts';
import { SSE_TYPE } from './sse.ts';
import { makeTicket, TICKET_SECONDS } from './ticket.ts';

interface Surroundings {
  resources: AnyResource[];
  routes: Route[];
  logger: Logger;
  authenticate: Authenticate;
  confirm: Confirm;
  /** The collections that determine who may call: their changes are watched. */
  authorities: AnyResource[];
  corsOrigins: string[];
}

/**
 * The feed of changes: changes of documents as they happen, for callers who may read them. It depends on resources and
 * routes alone; nothing depends on it.
 */
export function changes(surroundings: Surroundings): Edge {
  const { resources, routes, logger, authorities, confirm } = surroundings;
  const feeds = feedsOf(resources, routes);
  const [all] = feeds;
  if (!all) return { routes: [] };
  const followed = {
    shown: all.resources.map(({ collection }) => collection),
    noticed: authorities.map(({ collection }) => collection),
  };
  const hub = createHub(followed, all.questionOf({}), confirm, logger);
  return {
    routes: [...feeds.map((feed) => feedRoute(feed, serve(feed, { hub, ...surroundings }))), tickets(feeds)],
    tag: { name: 'changes', description: 'Changes of documents, as they happen' },
    pages: livePage(feeds),
    attach: (app: Koa) => app.on('listening', () => void warnOfExpiry(logger)).on('draining', hub.drain),
  };
}

function feedRoute(feed: Feed, { sendEvents, sendJson, openSocket }: ReturnType<typeof serve>): Route {
  const { path, resource, resources, filters, access, query } = feed;
  return route({
    method: 'get',
    path,
    operationId: `follow${resource ? `${resource.name}Changes` : 'Changes'}`,
    tag: 'changes',
    summary: resource ? `Follow the changes of ${resource.collection}` : 'Follow all changes',
    description: resource ? `Like \`GET /changes\`, for ${resource.collection} only.` : DESCRIPTION,
    policy: access,
    secret: true,
    ...(resource && { lists: { resource, filters } }),
    query,
    answer: {
      status: 200,
      description: 'A page of changes',
      schema: changesOf(resource ? `${resource.name}Changes` : 'Changes', resources),
    },
    forms: {
      [JSON_TYPE]: { send: sendJson },
      [SSE_TYPE]: {
        schema: EVENTS,
        send: sendEvents,
      },
    },
    socket: openSocket,
    problems: [
      'unauthenticated',
      ...(resource && isRestricting(resource) ? ['forbidden' as const] : []),
      'history_lost',
      'too_many_feeds',
      'too_many_streams',
    ],
    handler: async () => undefined as never,
  });
}

const DESCRIPTION =
  'The changed documents, in the order of the commits. `Accept: text/event-stream` streams them as they happen, and `Last-Event-ID` resumes a stream. A WebSocket at this address sends the same. JSON returns the changes after a position, waiting up to `wait` seconds for the first.';

function tickets(feeds: Feed[]): Route {
  const paths = feeds.map(({ path }) => path);
  return route({
    method: 'post',
    path: '/changes/tickets',
    operationId: 'createFeedTicket',
    tag: 'changes',
    summary: 'Get a ticket for a feed',
    description:
      "Browsers' EventSource and WebSocket cannot send a header: `ticket=` in the URL takes its place, for this feed only. It is valid for 15 minutes, for connecting and resuming. It is revoked with the session.",
    policy: { role: 'member' },
    secret: true,
    body: {
      schema: z
        .strictObject({
          feed: z.enum(paths, `must be one of ${paths.join(', ')}`).describe('The path of the feed'),
        })
        .meta({ id: 'FeedTicketBody' }),
      example: { feed: '/changes' },
    },
    answer: {
      status: 201,
      description: 'The ticket',
      schema: z
        .strictObject({
          ticket: z.string().describe('For the parameter `ticket` of the feed'),
          expires_in: z.int().describe('Seconds until it can no longer be used to connect'),
        })
        .meta({ id: 'FeedTicket', description: 'A ticket for one feed' }),
      example: {
        ticket: '65f000000000000000000c01.65f000000000000000000e51.t3xk2g.…',
        expires_in: TICKET_SECONDS,
      },
    },
    handler: async ({ body }) => {
      const { access, path } = feeds.find((feed) => feed.path === body.feed) as Feed;
      callerId();
      requireAccess(access, caller());
      return { ticket: makeTicket(path, caller()), expires_in: TICKET_SECONDS };
    },
  });
}
