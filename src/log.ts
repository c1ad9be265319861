import { type Logger, pino } from 'pino';
import pretty from 'pino-pretty';

/** JSON lines for machines; on a terminal, lines for people. */
export const createLogger = (level: string): Logger =>
  process.stdout.isTTY
    ? pino(
        { level },
        pretty({ ignore: 'pid,hostname', messageFormat: '{req.method} {req.path} {res.status} {msg}' }),
      )
    : pino({ level, base: null });
