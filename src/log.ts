import cluster from 'node:cluster';
import { type Logger, pino } from 'pino';

/** JSON lines for machines; on a terminal, lines for people. */
export async function createLogger(level: string): Promise<Logger> {
  const base = cluster.worker ? { worker: cluster.worker.id } : null;
  if (!process.stdout.isTTY) return pino({ level, base });
  // Only here: loading it would make every other start longer.
  const { default: pretty } = await import('pino-pretty');
  const messageFormat = '{req.method} {req.path} {res.status} {msg}';
  return pino({ level }, pretty({ ignore: 'pid,hostname', messageFormat }));
}
