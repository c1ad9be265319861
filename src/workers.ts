import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';

/**
 * Several processes that share one port (WORKERS). The primary serves no requests: it starts the workers, replaces those
 * that end, and exits after the last one. Connections are distributed round-robin.
 */

/** Milliseconds before a failed worker is replaced, doubled each time until one stays up. */
const FIRST_WAIT = 500;
const LONGEST_WAIT = 30_000;
/** Milliseconds after which a worker counts as stable. */
const STABLE = 60_000;
/** Milliseconds that a worker may take to answer the primary. */
const PATIENCE = 2_000;

type Question = 'metrics' | 'health';
/** Messages from the primary. A worker answers a question with its id; LEAVE ends it. */
type Message = { id: number; question: Question } | typeof LEAVE;
interface Answer {
  id: number;
  answer: unknown;
}
const LEAVE = 'leave';

const workers = (): Worker[] => Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
/** Workers that accept connections. */
const listening = new Set<Worker>();

function start(): Worker {
  const worker = cluster.fork();
  worker.once('listening', () => listening.add(worker));
  worker.once('exit', () => listening.delete(worker));
  // A message to a worker that is about to end is lost; its exit will be noticed.
  worker.on('error', () => {});
  return worker;
}

/** Resolves to whether the worker accepts connections, or has ended before. */
const comesUp = (worker: Worker): Promise<boolean> =>
  new Promise((resolve) => worker.once('listening', () => resolve(true)).once('exit', () => resolve(false)));

const gone = (worker: Worker): Promise<void> =>
  new Promise((resolve) => (worker.isDead() ? resolve() : worker.once('exit', () => resolve())));

/** Runs so many workers until `stop` is aborted; returns the exit code. */
export async function runWorkers(count: number, stop: AbortSignal, logger: Logger): Promise<number> {
  const stopped = once(stop, 'abort');
  stop.addEventListener('abort', () => workers().forEach((worker) => worker.process.kill('SIGTERM')));
  // The first one starts alone: it does the one-time work, and prints the output of the start.
  const first = start();
  if (!(await comesUp(first))) return first.process.exitCode ?? 1;

  const leaving = new Set<Worker>();
  let failures = 0;
  const keep = (worker: Worker): void => {
    const since = performance.now();
    worker.once('exit', (code, signal) => {
      if (stop.aborted || leaving.delete(worker)) return;
      if (performance.now() - since > STABLE) failures = 0;
      const wait = Math.min(FIRST_WAIT * 2 ** failures++, LONGEST_WAIT);
      logger.error(
        { worker: worker.id, code, signal, wait },
        'A worker has ended; a replacement will start.',
      );
      sleep(wait, undefined, { signal: stop }).then(
        () => keep(start()),
        () => {},
      );
    });
  };
  keep(first);
  for (let i = 1; i < count; i++) keep(start());

  /** Replaces the workers one by one; each new one accepts connections before the former one leaves. */
  const exchange = async (): Promise<void> => {
    const formers = [...listening];
    for (const former of formers) {
      if (stop.aborted) return;
      leaving.add(former);
      const next = start();
      if (!(await comesUp(next))) {
        logger.error({ worker: next.id }, 'The new worker ended at once: the former workers stay.');
        if (!leaving.delete(former)) keep(start());
        return;
      }
      keep(next);
      former.send(LEAVE satisfies Message);
      await gone(former);
    }
    logger.info('All workers have been replaced.');
  };
  let exchanging: Promise<void> | undefined;
  process.on('SIGUSR2', () => {
    exchanging ??= exchange().finally(() => (exchanging = undefined));
  });
  await stopped;
  await Promise.all(workers().map(gone));
  return 0;
}

let asked = 0;

/** The answers of workers that accept connections, without those that take too long. */
export async function askWorkers<T>(question: Question): Promise<T[]> {
  const answers = await Promise.all([...listening].map((worker) => ask(worker, question)));
  return answers.filter((answer) => answer !== undefined) as T[];
}

function ask(worker: Worker, question: Question): Promise<unknown> {
  const id = ++asked;
  return new Promise((resolve) => {
    const hear = (message: Answer) => message.id === id && end(message.answer);
    const end = (answer?: unknown) => {
      clearTimeout(timer);
      worker.off('message', hear);
      resolve(answer);
    };
    const timer = setTimeout(end, PATIENCE);
    worker.on('message', hear);
    worker.send({ id, question } satisfies Message);
  });
}

/** In a worker: answers the primary's questions. */
export function answerPrimary(answers: Record<Question, () => Promise<unknown>>): void {
  process.on('message', (message: Message) => {
    if (message === LEAVE) return;
    const { id, question } = message;
    answers[question]().then(
      (answer) => process.send?.({ id, answer } satisfies Answer),
      () => {},
    );
  });
}

/** Resolves when another worker has replaced this one; never without workers. */
export const replaced = (): Promise<void> =>
  new Promise((resolve) => {
    if (cluster.isWorker) process.on('message', (message: Message) => message === LEAVE && resolve());
  });

/** Whether this process prints the output of a start: it is alone, or the first worker. */
export const speaks = (): boolean => cluster.isPrimary || cluster.worker?.id === 1;
