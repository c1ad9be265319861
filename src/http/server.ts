import { randomUUID } from 'node:crypto';
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type Koa from 'koa';
import type { Logger } from 'pino';
import { Problem, type ProblemCode, reason } from '../errors.ts';
import { startClock } from './deadline.ts';
import { PROBLEM_TYPE, SECURITY_HEADERS } from './middleware.ts';
import { acceptUpgrades, UPGRADES } from './upgrade.ts';

/** Times in milliseconds. They cut off clients that send or read too slowly, and do not affect others. */
export const TIMES = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  connectionsCheckingInterval: 1_000,
  /** From the arrival of a request to its answer, without the time for its body; streams are exempt. */
  answerTime: 9_000,
  /** How long a connection may make no progress: a client that does not read its answer is cut off. */
  stallTime: 15_000,
  /** How long an idle connection is kept open. */
  keepAliveTime: 5_000,
  /** Longer than the idle timeout of proxies, usually 60 s. */
  proxyKeepAliveTime: 65_000,
};
/** Further connections are closed at once: each costs memory and a file descriptor. */
const MAX_CONNECTIONS = 10_000;

/**
 * An HTTP server that answers with problem documents even where Node itself refuses a request. It forwards three
 * events to the application: `listening`; `stopping`, the process is about to stop and clients should go elsewhere;
 * `draining`, work under way ends now. See drain().
 */
export function httpServer(app: Koa, logger: Logger, times = TIMES): Server {
  const { answerTime, stallTime, keepAliveTime, proxyKeepAliveTime, ...timeouts } = times;
  const handle = app.callback();
  /** The latest response of each connection; undefined before its first request. */
  const responses = new Map<Duplex, ServerResponse | undefined>();
  let isStopping = false;
  const listener: RequestListener = (request, response) => {
    startClock(request, answerTime);
    responses.set(request.socket, response);
    if (isStopping) response.shouldKeepAlive = false;
    void handle(request, response);
  };
  // The application refuses a missing Host and unknown expectations with a problem document.
  const keepAliveTimeout = app.proxy ? proxyKeepAliveTime : keepAliveTime;
  const server = createServer(
    { ...timeouts, ...UPGRADES, keepAliveTimeout, requireHostHeader: false },
    listener,
  );
  server.timeout = stallTime;
  server.maxConnections = MAX_CONNECTIONS;
  server.on('connection', (socket) => {
    // It is told again of a connection whose upgrade was ignored.
    if (responses.has(socket)) return;
    responses.set(socket, undefined);
    socket.once('close', () => responses.delete(socket));
  });
  // Nothing moves while the database prepares the beginning of a stream either: that is not the client's fault.
  server.on('timeout', (socket) => {
    const last = responses.get(socket);
    const isWaitingForUs = last?.writableFinished === false && last.writableLength === 0;
    if (!isWaitingForUs) socket.destroy();
  });
  server.on('checkExpectation', listener);
  acceptUpgrades(server, listener, (socket) => responses.get(socket)?.writableFinished === false);
  // With `Connection: close` a client opens its next connection elsewhere; closing an idle one could reset a request
  // that was just sent.
  server.on('stopping', (isReplaced: boolean) => {
    isStopping = true;
    for (const response of responses.values())
      if (response?.headersSent === false) response.shouldKeepAlive = false;
    if (!isReplaced) app.emit('stopping');
  });
  // Browsers preconnect: connections that never carry a request would delay the stop.
  const closeUnused = (): void => {
    for (const [socket, response] of responses)
      if (!response && (socket as Socket).bytesRead === 0) socket.destroy();
  };
  // What has arrived by then is read before setImmediate().
  server.on('draining', () => setTimeout(() => setImmediate(closeUnused), LAST_ONES).unref());
  // Not http's own closeAllConnections(): it does not know those that were upgraded.
  server.on('cut', () => {
    for (const socket of responses.keys()) socket.destroy();
  });
  for (const event of ['listening', 'draining']) server.on(event, () => app.emit(event));
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const last = responses.get(socket);
    const underWay = last?.writableFinished === false ? last : undefined;
    // Anything written after the beginning of an answer would be read as part of it.
    if (error.code === 'ECONNRESET' || !socket.writable || underWay?.headersSent) return socket.destroy();
    const [code, detail] = parserProblem(error.code, timeouts.requestTimeout);
    const requestId = underWay?.getHeader('X-Request-Id')?.toString() ?? randomUUID();
    const problem = new Problem(code, detail);
    const { status } = problem;
    const { headers, body } = refusal(problem, requestId);
    if (underWay) {
      underWay.writeHead(status, headers).end(body);
    } else {
      // Requests that Node could not parse are logged as well.
      logger.info({ req: { id: requestId }, res: { status } }, 'request refused');
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
      socket.end([`HTTP/1.1 ${status} ${reason(status)}`, ...lines, '', body].join('\r\n'));
    }
  });
  return server;
}

const parserProblem = (code: string | undefined, requestTimeout: number): [ProblemCode, string] => {
  if (code === 'HPE_HEADER_OVERFLOW')
    return ['headers_too_large', 'URL and headers may have at most 16 KiB together.'];
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return ['request_timeout', `The request must arrive within ${requestTimeout / 1000} seconds.`];
  return ['malformed_request', 'The request is malformed.'];
};

function refusal(problem: Problem, requestId: string) {
  const body = JSON.stringify(problem.toDocument('/', requestId));
  const headers = {
    ...SECURITY_HEADERS,
    'Content-Type': PROBLEM_TYPE,
    'Content-Length': Buffer.byteLength(body),
    'X-Request-Id': requestId,
    Connection: 'close',
  };
  return { headers, body };
}

/** Milliseconds in which requests are still read that were sent before clients learned of the stop. */
const LAST_ONES = 500;

const NEVER = new Promise<never>(() => {});

interface Course {
  /** Milliseconds of continued service, so that load balancers notice that it stops. */
  delay?: number;
  /** Milliseconds that requests under way may take after that. */
  patience?: number;
  /** Other processes accept connections on the same port from now on, so clients need not go elsewhere. */
  isReplaced?: boolean;
}

/**
 * Stops a server without failing a request: it becomes unready and closes each connection after its next answer; after
 * the delay it accepts no connections, and ends when the requests under way have ended.
 */
export async function drain(
  server: Server,
  { delay = 0, patience = 10_000, isReplaced = false }: Course = {},
): Promise<void> {
  server.emit('stopping', isReplaced);
  // Not http's own close(): it would reset connections whose request has arrived but has not been read yet.
  const close = () => new Promise((resolve) => NetServer.prototype.close.call(server, resolve));
  const closedAtOnce = isReplaced ? close() : undefined;
  if (delay > 0) await Promise.race([sleep(delay), closedAtOnce ?? NEVER]);
  const closed = closedAtOnce ?? close();
  server.emit('draining');
  if (delay > 0) await Promise.race([closed, sleep(LAST_ONES)]);
  // A connection whose last answer has been sent would wait for another request.
  const sweep = setInterval(() => server.closeIdleConnections(), 50);
  const cut = setTimeout(() => server.emit('cut'), patience);
  await closed;
  clearInterval(sweep);
  clearTimeout(cut);
}
