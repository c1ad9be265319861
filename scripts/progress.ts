import { SingleBar } from 'cli-progress';
import { count } from './program.ts';

export interface Progress {
  /** `done` of the total, and the number of rows so far. */
  update(done: number, rows: number): void;
  stop(): void;
}

const LINE_EVERY = 5_000;

/** A bar on a terminal; otherwise, or if the total is unknown, a line every few seconds. On standard error. */
export const startProgress = (total: number | undefined): Progress =>
  total && process.stderr.isTTY ? bar(total) : lines(total);

function bar(total: number): Progress {
  const start = performance.now();
  const bar = new SingleBar({
    format: '{bar} {percentage}% | {rows} rows | {rate} rows/s | {eta_formatted} left',
    stream: process.stderr,
    barsize: 30,
    etaBuffer: 50,
    hideCursor: null,
  });
  bar.start(total, 0, { rows: 0, rate: 0 });
  return {
    update: (done, rows) =>
      bar.update(Math.min(done, total), { rows: count(rows), rate: count(rate(rows, start)) }),
    stop: () => bar.stop(),
  };
}

function lines(total: number | undefined): Progress {
  const start = performance.now();
  let last = start;
  return {
    update(done, rows) {
      if (performance.now() - last < LINE_EVERY) return;
      last = performance.now();
      const part = total ? `, ${Math.floor((100 * Math.min(done, total)) / total)}%` : '';
      console.error(`${count(rows)} rows, ${count(rate(rows, start))} rows/s${part}`);
    },
    stop() {},
  };
}

const rate = (rows: number, start: number): number =>
  Math.round((1000 * rows) / Math.max(performance.now() - start, 1));
