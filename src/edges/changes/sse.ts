import type { ServerResponse } from 'node:http';
import type { Context } from 'koa';
import type { Told } from './audience.ts';
import type { Outlet } from './follower.ts';

/** Server-sent events, as EventSource reads them (HTML Living Standard, section 9.2). */

export const SSE_TYPE = 'text/event-stream';

/** Milliseconds after which a disconnected client reconnects. */
const RETRY = 1_000;
/** Spreads the reconnections after a drain. */
const SPREAD = 4_000;

/** Starts the answer to a request; from here on Koa is not involved. */
export function eventStream(ctx: Context): ServerResponse {
  ctx.status = 200;
  ctx.set({
    'Content-Type': SSE_TYPE,
    'Cache-Control': 'no-store',
    // Proxies would buffer until there is enough to send.
    'X-Accel-Buffering': 'no',
  });
  ctx.respond = false;
  const { res } = ctx;
  // Koa does not listen: writing to a response that has ended would end the process.
  res.on('error', () => {});
  // Disables Nagle's algorithm, so that small packets are sent at once.
  res.socket?.setNoDelay(true);
  res.write(`retry: ${RETRY}\n\n`);
  return res;
}

export function sseOutlet(res: ServerResponse): Outlet {
  return {
    tell: (told) => void res.write(framesOf(told)),
    // Without data it is not an event, but it advances the client's position.
    pass: (position) => void res.write(`: \nid: ${position}\n\n`),
    reset: (why, detail, position) =>
      void res.write(frame('reset', position, resetText(why, detail, position))),
    end: (why, detail) => {
      if (why === 'draining') res.write(`retry: ${RETRY + Math.floor(Math.random() * SPREAD)}\n\n`);
      else res.write(frame('end', '', JSON.stringify({ operation: 'end', code: why, detail })));
      res.end();
    },
    backlog: () => res.writableLength,
  };
}

export const resetText = (code: string, detail: string, position: string): string =>
  JSON.stringify({ ...(position && { id: position }), operation: 'reset', code, detail });

/** Without an id the client resumes from the last one it has seen. */
const frame = (event: string, id: string, data: string): string =>
  `${id && `id: ${id}\n`}event: ${event}\ndata: ${data}\n\n`;

/** All followers of an audience are sent the same bytes. */
const frames = new WeakMap<Told[], Buffer>();

function framesOf(told: Told[]): Buffer {
  const made =
    frames.get(told) ??
    Buffer.from(told.map(({ id, operation, text }) => frame(operation, id, text)).join(''));
  frames.set(told, made);
  return made;
}
