import { EventEmitter, once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** An answer as it came over the socket, for what fetch would never send or show. */
export interface RawAnswer {
  status: number;
  /** By lower-case name. */
  headers: Record<string, string>;
  body: string;
}

/** A connection to the server at `url`, on which bytes go out exactly as they are given. */
export async function dial(url: string) {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  await once(socket, 'connect');

  let received = Buffer.alloc(0);
  let ended = false;
  let reset = false;
  const news = new EventEmitter();
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk]);
    news.emit('any');
  });
  socket.on('end', () => {
    ended = true;
    news.emit('any');
  });
  socket.on('error', () => {
    ended = reset = true;
    news.emit('any');
  });

  return {
    send: (bytes: string | Uint8Array) => void socket.write(bytes),

    /** The next answer; undefined when the server closes the connection instead. */
    async answer({ head = false } = {}): Promise<RawAnswer | undefined> {
      for (;;) {
        const parsed = parse(received, head);
        if (parsed) {
          received = received.subarray(parsed.length);
          return parsed.answer;
        }
        if (ended) return undefined;
        await once(news, 'any');
      }
    },

    /** Whether the server has ended its side, or does so within `patience` milliseconds. */
    async ends(patience: number): Promise<boolean> {
      const limit = performance.now() + patience;
      while (!ended && performance.now() < limit)
        await Promise.race([once(news, 'any'), sleep(limit - performance.now(), undefined, { ref: false })]);
      return ended;
    },

    /** Whether the server has let go of the connection altogether: what is still sent comes back as a reset. */
    async isGone(patience: number): Promise<boolean> {
      const limit = performance.now() + patience;
      while (!reset && performance.now() < limit) {
        socket.write(' ');
        await sleep(100);
      }
      return reset;
    },

    /** Reads nothing more, until it is to go on. */
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),

    /** All that comes until the server ends its side. */
    async rest(): Promise<string> {
      while (!ended) await once(news, 'any');
      return received.toString();
    },

    hangUp: () => socket.destroy(),
  };
}

/** The headers of a request for a WebSocket, each with its end of line. */
export const UPGRADE =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

/** One request on a connection of its own, and its answer. */
export async function exchange(url: string, bytes: string | Uint8Array, how?: { head: boolean }) {
  const socket = await dial(url);
  try {
    socket.send(bytes);
    const answer = await socket.answer(how);
    if (!answer) throw new Error('The server closed the connection without an answer.');
    return answer;
  } finally {
    socket.hangUp();
  }
}

function parse(bytes: Buffer, head: boolean): { answer: RawAnswer; length: number } | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [statusLine = '', ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const length = end + 4 + (head ? 0 : Number(headers['content-length'] ?? 0));
  if (bytes.length < length) return undefined;
  const body = bytes.subarray(end + 4, length).toString();
  return { answer: { status: Number(statusLine.split(' ')[1]), headers, body }, length };
}
