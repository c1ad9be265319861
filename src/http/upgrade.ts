import { type IncomingMessage, type RequestListener, type Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/**
 * Requests for another protocol. One for a WebSocket goes through the application like any other, so it is
 * authenticated, counted, checked and refused in the same way; a route with a WebSocket then takes over its
 * connection. All other upgrades are ignored, as RFC 9110 allows (section 7.8): some clients offer HTTP/2 by default.
 */

/** Bytes that Node has read of a connection beyond the request. */
const heads = new WeakMap<IncomingMessage, Buffer>();

export const wantsSocket = (request: IncomingMessage): boolean => heads.has(request);

const isForWebSocket = ({ method, headers }: IncomingMessage): boolean =>
  method === 'GET' && /^websocket$/i.test(headers.upgrade ?? '');

/** Options of the server: from Node 24.9 on, it handles all other upgrades as ordinary requests. */
export const UPGRADES = { shouldUpgradeCallback: isForWebSocket };

export function acceptUpgrades(
  server: Server,
  listener: RequestListener,
  isBusy: (socket: Duplex) => boolean,
): void {
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // The answer to an earlier request is still under way, so the connection cannot be upgraded.
    if (isBusy(socket)) return void socket.destroy();
    if (!isForWebSocket(request)) return readAgain(server, request, socket, head);
    heads.set(request, head);
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket as never);
    // Node no longer watches this connection, so the client must not decide how long it stays open.
    response.on('finish', () => heads.has(request) && (socket as Socket).destroySoon());
    socket.on('error', () => socket.destroy());
    listener(request, response);
  });
}

/** Before Node 24.9, the body of a request with Upgrade is not parsed: the request is replayed without that header. */
function readAgain(
  server: Server,
  { method, url, httpVersion, rawHeaders }: IncomingMessage,
  socket: Duplex,
  head: Buffer,
) {
  const lines = [`${method} ${url} HTTP/${httpVersion}`];
  for (let i = 0; i < rawHeaders.length; i += 2)
    if (!/^(upgrade|http2-settings)$/i.test(rawHeaders[i] ?? ''))
      lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`);
  socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]));
  server.emit('connection', socket);
}

/** Hands the connection of such a request over; the response sends nothing more, and counts as finished. */
export function takeConnection(
  request: IncomingMessage,
  response: ServerResponse,
): { socket: Duplex; head: Buffer } {
  const { socket } = request;
  const head = heads.get(request) as Buffer;
  heads.delete(request);
  response.detachSocket(socket);
  response.statusCode = 101;
  response.emit('finish');
  return { socket, head };
}
