import type { Context } from 'koa';
import type { WebSocket, WebSocketServer } from 'ws';
import { ANONYMOUS, type Caller, caller } from '../../auth/caller.ts';
import { forbidden, Problem } from '../../errors.ts';
import type { Authenticate, Confirm } from '../../http/entrance.ts';
import { JSON_TYPE } from '../../http/route.ts';
import { takeConnection } from '../../http/upgrade.ts';
import { requireAccess } from '../../schema/policy.ts';
import { audienceOf } from './audience.ts';
import type { Feed } from './feed.ts';
import type { Follower, Outlet } from './follower.ts';
import type { Hub, Start } from './hub.ts';
import { type Polled, pollOutlet } from './poll.ts';
import { parse, type Position, timeOf } from './position.ts';
import { takeSeat } from './seats.ts';
import { eventStream, SSE_TYPE, sseOutlet } from './sse.ts';
import { readTicket } from './ticket.ts';
import { close, listen, MAX_MESSAGE, type Message, webSocketOutlet } from './websocket.ts';

/** Serves the clients of a feed: the common part, and each transport. */

interface Asked {
  after?: string;
  from?: Date;
  wait?: number;
  ticket?: string;
}

interface Surroundings {
  hub: Hub;
  authenticate: Authenticate;
  confirm: Confirm;
  /** Web origins whose pages may call the API. */
  corsOrigins: string[];
}

let sockets: Promise<WebSocketServer> | undefined;

/** The package is loaded with the first WebSocket, to keep the start fast. */
async function makeSockets(): Promise<WebSocketServer> {
  const { WebSocketServer } = await import('ws');
  return new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE,
    perMessageDeflate: false,
    clientTracking: false,
  });
}

export function serve(feed: Feed, { hub, authenticate, confirm, corsOrigins }: Surroundings) {
  /** Before the stream or connection begins, so that a refusal is an ordinary answer. */
  function requireRights(query: Asked, who: Caller): void {
    requireAccess(feed.access, who);
    audienceOf(feed.questionOf(query), who);
  }

  /** The caller, by the ticket or the header. */
  async function identify(query: Asked): Promise<Pick<Follower, 'base' | 'who'>> {
    const { ticket } = query;
    const base = ticket === undefined ? caller() : readTicket(feed.path, ticket);
    const who = ticket === undefined ? base : await confirm(base);
    requireRights(query, who);
    return { base, who };
  }

  const textOf = (query: Asked, { who }: Pick<Follower, 'who'>, position: Position): string =>
    hub.text({ question: feed.questionOf(query), who }, position);

  let beat = 0;
  const followerOf = (query: Asked, outlet: Outlet, known: Pick<Follower, 'base' | 'who'>): Follower => ({
    ...known,
    question: feed.questionOf(query),
    outlet,
    beat: beat++,
    ended: false,
  });

  async function startOf({ after, from }: Asked, last = after): Promise<Start> {
    const mark = await hub.mark();
    if (last !== undefined) return parse(last, mark) ?? 'lost';
    return from && { position: { time: timeOf(from) } };
  }

  async function sendEvents(ctx: Context, { query }: { query: Asked }): Promise<void> {
    if (ctx.method === 'HEAD') {
      ctx.body = '';
      ctx.type = SSE_TYPE;
      return;
    }
    const known = await identify(query);
    const from = await startOf(query, ctx.get('Last-Event-ID') || query.after);
    if (hasLeft(ctx)) return;
    const leaveSeat = takeSeat(ctx);
    const response = eventStream(ctx);
    const follower = followerOf(query, sseOutlet(response), known);
    response.on('close', () => {
      leaveSeat();
      hub.leave(follower);
    });
    void hub.follow(follower, from);
  }

  async function sendJson(ctx: Context, { query }: { query: Asked }): Promise<void> {
    const known = await identify(query);
    const from = await startOf(query);
    if (from === 'lost') throw historyLost('The position does not belong to this database.');
    const { told, position, reset } = from
      ? await poll(ctx, query, known, from)
      : { told: [], position: textOf(query, known, await hub.present()) };
    if (reset) throw historyLost(reset.detail);
    ctx.body = `{"items":[${told.map(({ text }) => text).join()}],"position":${JSON.stringify(position)}}`;
    ctx.type = JSON_TYPE;
  }

  async function poll(
    ctx: Context,
    query: Asked,
    known: Pick<Follower, 'base' | 'who'>,
    start: Exclude<Start, 'lost' | undefined>,
  ): Promise<Polled> {
    const leaveSeat = takeSeat(ctx);
    let follower: Follower | undefined;
    try {
      return await new Promise((resolve) => {
        const position = query.after ?? textOf(query, known, start.position);
        const { outlet, cancel } = pollOutlet((query.wait ?? 0) * 1_000, position, resolve);
        ctx.res.once('close', cancel);
        follower = followerOf(query, outlet, known);
        void hub.follow(follower, start);
      });
    } finally {
      leaveSeat();
      if (follower) hub.leave(follower);
    }
  }

  async function openSocket(ctx: Context, { query }: { query: Asked }): Promise<void> {
    requireOrigin(ctx, corsOrigins);
    const hasShown = query.ticket !== undefined || ctx.get('Authorization') !== '';
    const known = hasShown ? await identify(query) : { base: ANONYMOUS, who: ANONYMOUS };
    // Refused before the connection is upgraded, as an ordinary answer.
    await hub.mark();
    const server = await (sockets ??= makeSockets());
    if (hasLeft(ctx)) return;
    const leaveSeat = takeSeat(ctx);
    ctx.respond = false;
    const { socket, head } = takeConnection(ctx.req, ctx.res);
    socket.once('close', leaveSeat);
    server.handleUpgrade(ctx.req, socket, head, (webSocket) => talk(webSocket, query, known, hasShown));
  }

  function talk(
    socket: WebSocket,
    query: Asked,
    known: Pick<Follower, 'base' | 'who'>,
    hasShown: boolean,
  ): void {
    const follower = followerOf(query, webSocketOutlet(socket), known);
    const go = async (after?: string) => void hub.follow(follower, await startOf(query, after));
    const orClose = async (work: () => Promise<void>): Promise<void> => {
      try {
        await work();
      } catch (error) {
        const problem =
          error instanceof Problem
            ? error
            : new Problem('database_unavailable', 'Try again soon.', { cause: error });
        socket.send(JSON.stringify({ operation: 'end', code: problem.code, detail: problem.message }));
        close(socket, problem.status === 503 ? 1013 : 4000 + problem.status, problem.code);
      }
    };
    const first = ({ token, after }: Message) =>
      orClose(async () => {
        follower.base = follower.who =
          token === undefined ? ANONYMOUS : await authenticate(`Bearer ${token}`);
        requireRights(query, follower.who);
        await go(after ?? query.after);
      });
    const later = ({ token }: Message) =>
      orClose(async () => {
        if (token !== undefined) await renew(follower, await authenticate(`Bearer ${token}`));
      });
    listen(socket, hasShown ? undefined : first, later);
    socket.on('close', () => hub.leave(follower));
    if (hasShown) void orClose(() => go(query.after));
  }

  async function renew(follower: Follower, base: Caller): Promise<void> {
    if (!base.id || !follower.who.id?.equals(base.id))
      throw forbidden('A feed cannot be handed over to another caller.');
    await hub.renew(follower, base);
  }

  return { sendEvents, sendJson, openSocket };
}

/**
 * Whether the connection, or the answer, has ended while the request was being prepared: nothing would give its seat
 * back. Nobody is answered then.
 */
function hasLeft(ctx: Context): boolean {
  const { req, res } = ctx;
  if (!res.closed && !res.writableEnded && !req.socket.destroyed) return false;
  ctx.respond = false;
  return true;
}

const historyLost = (detail: string): Problem => new Problem('history_lost', detail);

/** Browsers let any page open a WebSocket, and only report its origin. */
function requireOrigin(ctx: Context, allowed: string[]): void {
  const origin = ctx.get('Origin');
  if (origin === '' || allowed.includes('*') || allowed.includes(origin)) return;
  if (URL.canParse(origin) && new URL(origin).host === ctx.host) return;
  throw forbidden('Pages of this origin may not call the API.');
}
