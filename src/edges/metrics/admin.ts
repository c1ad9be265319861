import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import { Registry } from 'prom-client';
import type { Health } from './health.ts';

interface Place {
  host: string;
  port: number;
  /** Whether a request with this Host header is meant for this server. */
  isOwnHost: (host: string) => boolean;
}

/** The answers of the port. */
export interface Sources {
  /** In Prometheus's text format. */
  metrics: () => Promise<string>;
  health: () => Promise<Health>;
}

/** Serves operators and Prometheus on a port that is closed to clients: `/metrics` and `/health`. */
export async function openAdmin(
  { host, port, isOwnHost }: Place,
  sources: Sources,
  logger: Logger,
): Promise<{ url: string; close: () => void }> {
  const server = createServer((request, response) => {
    if (!isOwnHost(request.headers.host ?? host))
      return send(response, 421, 'text/plain', 'This port answers to names of this machine only.\n');
    answer(request.url ?? '/', sources).then(
      ({ status, type, body }) => send(response, status, type, body),
      (error: unknown) => {
        logger.error({ err: error }, 'The admin port could not answer.');
        send(response, 500, 'text/plain', 'The request failed; see the log.\n');
      },
    );
  });
  server.unref();
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(new Error(`Cannot listen at ${host}:${port} (ADMIN_HOST, ADMIN_PORT): ${error.message}`)),
    );
    server.listen(port, host, resolve);
  });
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: urlOf(server), close };
}

function urlOf(server: Server): string {
  const { address, port, family } = server.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

async function answer(url: string, sources: Sources) {
  const [path] = url.split('?', 1);
  if (path === '/metrics')
    return { status: 200, type: Registry.PROMETHEUS_CONTENT_TYPE, body: await sources.metrics() };
  if (path === '/health') {
    const health = await sources.health();
    return {
      status: health.status === 'ok' ? 200 : 503,
      type: 'application/json',
      body: JSON.stringify(health, null, 2),
    };
  }
  return { status: 404, type: 'text/plain', body: 'Use /metrics or /health.\n' };
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store' }).end(body);
}
