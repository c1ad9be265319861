import type { ServerResponse } from 'node:http';
import type { Context } from 'koa';
import type { Told } from './audience.ts';
import type { Outlet } from './follower.ts';

/** Server-sent events, as EventSource reads them (HTML Living Standard, section 9.2). */

export const SSE_TYPE = 'text/event-stream';

/** After how many milliseconds a client comes back that was cut off. */
const RETRY = 1_000;
/** After a drain they do not come all at once. */
const SPREAD = 4_000;

/** Begins the answer to a request; from here on Koa has nothing to do with it. */
export function eventStream(ctx: Context): ServerResponse {
  ctx.status = 200;
  ctx.set({
    'Content-Type': SSE_TYPE,
    'Cache-Control': 'no-store',
    // Proxies would wait until there is enough to be worth sending.
    'X-Accel-Buffering': 'no',
  });
  ctx.respond = false;
  const { res } = ctx;
  // Small packets must not wait for each other.
  res.socket?.setNoDelay(true);
  res.write(`retry: ${RETRY}\n\n`);
  return res;
}

export function sseOutlet(res: ServerResponse): Outlet {
  return {
    tell: (told) => void res.write(framesOf(told)),
    // Without data it is no event, but moves on where the client will go on.
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

/** Without an id the client goes on from the last that it has seen. */
const frame = (event: string, id: string, data: string): string =>
  `${id && `id: ${id}\n`}event: ${event}\ndata: ${data}\n\n`;

/** All of an audience are sent the same bytes. */
const frames = new WeakMap<Told[], Buffer>();

function framesOf(told: Told[]): Buffer {
  const made =
    frames.get(told) ??
    Buffer.from(told.map(({ id, operation, text }) => frame(operation, id, text)).join(''));
  frames.set(told, made);
  return made;
}
