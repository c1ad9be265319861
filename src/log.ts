import cluster from 'node:cluster';
import { type Logger, pino } from 'pino';

/** JSON lines for machines; readable lines on a terminal. */
export async function createLogger(level: string): Promise<Logger> {
  const base = cluster.worker ? { worker: cluster.worker.id } : null;
  if (!process.stdout.isTTY) return pino({ level, base });
  // Loaded here: it would slow down every other start.
  const { default: pretty } = await import('pino-pretty');
  const messageFormat = '{req.method} {req.path} {res.status} {msg}';
  return pino({ level }, pretty({ ignore: 'pid,hostname', messageFormat }));
}
