import { randomUUID } from 'node:crypto';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type Koa from 'koa';
import { Problem, type ProblemCode, problems, reason } from '../errors.ts';
import { PROBLEM_TYPE, SECURITY_HEADERS } from './middleware.ts';

/** Times in milliseconds. A client that trickles its request is cut off; one that behaves never notices. */
const TIMES = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
};

/** An HTTP server that answers with problem documents also where Node itself refuses a request. */
export function httpServer(app: Koa): Server {
  const handle = app.callback();
  const listener: RequestListener = (request, response) => void handle(request, response);
  // The application refuses a request without Host, and one that expects too much: with a problem document.
  const server = createServer({ ...TIMES, requireHostHeader: false }, listener);
  server.on('checkExpectation', listener);
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
    else refuse(socket, parserProblem(error.code));
  });
  return server;
}

const parserProblem = (code?: string): [ProblemCode, string] => {
  if (code === 'HPE_HEADER_OVERFLOW')
    return ['headers_too_large', 'URL and headers may have at most 16 KiB together.'];
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return ['request_timeout', 'The request must arrive within 10 seconds.'];
  return ['malformed_request', 'The request cannot be understood.'];
};

function refuse(socket: Duplex, [code, detail]: [ProblemCode, string]): void {
  const requestId = randomUUID();
  const { status } = problems[code];
  const body = JSON.stringify(new Problem(code, detail).toDocument('/', requestId));
  const headers = {
    ...SECURITY_HEADERS,
    'Content-Type': PROBLEM_TYPE,
    'Content-Length': Buffer.byteLength(body),
    'X-Request-Id': requestId,
    Connection: 'close',
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  socket.end([`HTTP/1.1 ${status} ${reason(status)}`, ...lines, '', body].join('\r\n'));
}

/** Stops taking connections, lets the requests under way end, and cuts off what is left after `patience` ms. */
export async function drain(server: Server, patience = 10_000): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  // A connection whose last answer has gone out would wait for a further request.
  const sweep = setInterval(() => server.closeIdleConnections(), 50);
  const cut = setTimeout(() => server.closeAllConnections(), patience);
  await closed;
  clearInterval(sweep);
  clearTimeout(cut);
}
