import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import { type Health, type Watch, watchHealth } from './health.ts';
import type { Metrics } from './registry.ts';

interface Place {
  host: string;
  port: number;
}

/** What operators and Prometheus ask, on a port that is not open to clients: `/metrics` and `/health`. */
export async function openAdmin(
  { host, port }: Place,
  metrics: Metrics,
  inspect: () => Promise<Health>,
  logger: Logger,
): Promise<{ url: string; close: () => void }> {
  const watch: Watch = watchHealth(metrics, inspect, logger);
  const server = createServer((request, response) => {
    answer(request.url ?? '/', metrics, watch).then(
      ({ status, type, body }) => send(response, status, type, body),
      (error: unknown) => {
        logger.error({ err: error }, 'The admin port could not answer.');
        send(response, 500, 'text/plain', 'The answer could not be made; see the log.\n');
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
    watch.stop();
    server.close();
    server.closeAllConnections();
  };
  return { url: urlOf(server), close };
}

function urlOf(server: Server): string {
  const { address, port, family } = server.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

async function answer(url: string, { registry }: Metrics, watch: Watch) {
  const [path] = url.split('?', 1);
  if (path === '/metrics') {
    await watch.look();
    return { status: 200, type: registry.contentType, body: await registry.metrics() };
  }
  if (path === '/health') {
    const health = await watch.look();
    return {
      status: health.status === 'ok' ? 200 : 503,
      type: 'application/json',
      body: JSON.stringify(health, null, 2),
    };
  }
  return { status: 404, type: 'text/plain', body: 'There are /metrics and /health.\n' };
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store' }).end(body);
}
