import type { WebSocket } from 'ws';
import { z } from 'zod';
import type { Told } from './audience.ts';
import type { Ending, Outlet } from './follower.ts';
import { resetText } from './sse.ts';

/** The same events as messages (RFC 6455). */

/** The largest message of a client, in bytes, and how often it may send. */
export const MAX_MESSAGE = 8 * 1024;
const PAUSE = 1_000;
/** How long a client may take to authenticate, in milliseconds. */
const GREETING = 10_000;
/** How long it may take to close. */
const GOODBYE = 1_000;

/** The registered close code if there is one; the others are application-defined. */
const CODES: Record<Ending, number> = {
  draining: 1012,
  unavailable: 1013,
  too_slow: 4008,
  unauthenticated: 4401,
  forbidden: 4403,
};

const message = z.strictObject({
  token: z.string().max(5_000).optional(),
  after: z.string().max(100).optional(),
});
export type Message = z.output<typeof message>;

export function webSocketOutlet(socket: WebSocket): Outlet {
  let unanswered = 0;
  socket.on('pong', () => (unanswered = 0));
  const send = (text: string) => socket.readyState === socket.OPEN && socket.send(text);
  return {
    tell: (told: Told[]) => {
      for (const { text } of told) send(text);
    },
    pass: (position, isCurrent) => {
      send(JSON.stringify({ id: position, operation: 'position' }));
      // While it catches up, positions follow each other faster than answers.
      if (!isCurrent) return;
      if (unanswered++ > 2) socket.terminate();
      else socket.ping();
    },
    reset: (why, detail, position) => void send(resetText(why, detail, position)),
    end: (why, detail) => {
      send(JSON.stringify({ operation: 'end', code: why, detail }));
      close(socket, CODES[why], why);
    },
    backlog: () => socket.bufferedAmount,
  };
}

/** Some clients never answer the closing handshake. */
export function close(socket: WebSocket, code: number, reason: string): void {
  socket.close(code, reason);
  setTimeout(() => socket.terminate(), GOODBYE).unref();
}

/**
 * Handles a client's messages: `first` gets the first one, if that must come before anything else, and `later` all
 * others. Clients that send invalid or too many messages are cut off.
 */
export function listen(
  socket: WebSocket,
  first: ((message: Message) => Promise<void>) | undefined,
  later: (message: Message) => Promise<void>,
): void {
  let next = first ?? later;
  let last = 0;
  const greeting = first && setTimeout(() => close(socket, 4408, 'no first message'), GREETING).unref();
  socket.on('close', () => clearTimeout(greeting));
  socket.on('message', (data, isBinary) => {
    const said = isBinary ? undefined : parse((data as Buffer).toString());
    if (!said) return close(socket, 4400, 'not a message of this protocol');
    if (performance.now() - last < PAUSE && next === later) return close(socket, 1008, 'too many messages');
    last = performance.now();
    clearTimeout(greeting);
    const hear = next;
    next = later;
    void hear(said);
  });
  socket.on('error', () => socket.terminate());
}

function parse(text: string): Message | undefined {
  try {
    return message.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
