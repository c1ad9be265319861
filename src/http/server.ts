import { randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type Koa from 'koa';
import { Problem, type ProblemCode, problems, reason } from '../errors.ts';
import { PROBLEM_TYPE } from './middleware.ts';

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
  const server = createServer(TIMES, (request, response) => void handle(request, response));
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
    else refuse(socket, parserProblem(error.code));
  });
  server.on('checkExpectation', (_request, response) =>
    refuse(response.socket, ['expectation_failed', 'Only Expect: 100-continue is met.']),
  );
  return server;
}

const parserProblem = (code?: string): [ProblemCode, string] => {
  if (code === 'HPE_HEADER_OVERFLOW')
    return ['headers_too_large', 'URL and headers may have at most 16 KiB together.'];
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return ['request_timeout', 'The request must arrive within 10 seconds.'];
  return ['malformed_request', 'The request cannot be understood.'];
};

function refuse(socket: Duplex | null, [code, detail]: [ProblemCode, string]): void {
  const requestId = randomUUID();
  const { status } = problems[code];
  const body = JSON.stringify(new Problem(code, detail).toDocument('/', requestId));
  socket?.end(
    [
      `HTTP/1.1 ${status} ${reason(status)}`,
      `Content-Type: ${PROBLEM_TYPE}`,
      `Content-Length: ${Buffer.byteLength(body)}`,
      `X-Request-Id: ${requestId}`,
      'Connection: close',
      '',
      body,
    ].join('\r\n'),
  );
}

/** Stops taking connections, lets the requests under way end, and cuts off what is left after `patience` ms. */
export async function drain(server: Server, patience = 10_000): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeIdleConnections();
  const cut = setTimeout(() => server.closeAllConnections(), patience);
  await closed;
  clearTimeout(cut);
}
