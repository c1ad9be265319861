import { setTimeout as sleep } from 'node:timers/promises';
import type { mongo } from 'mongoose';
import type { Logger } from 'pino';
import { database } from '../../mongo/connect.ts';
import { JOURNAL } from '../../mongo/migrate/journal.ts';
import {
  after,
  type Batch,
  type Commit,
  type Followed,
  HistoryLost,
  readCommits,
  restOf,
} from './commits.ts';
import { markOf, type Position, toTime } from './position.ts';

/**
 * The end of the history as this process has it: one change stream, however many follow it, and the last commits in
 * a buffer, for those who were away for a moment.
 */

/** What the buffer holds, in bytes and in commits. */
const MAX_BYTES = 16 * 1024 * 1024;
const MAX_COMMITS = 20_000;
/** How long to wait, in milliseconds, before a stream that has failed is opened again; twice as long each time. */
const FIRST_WAIT = 100;
const LONGEST_WAIT = 2_000;

interface Listener {
  /** Commits of which documents are shown, in their order; what comes after waits until it is done. */
  commits(commits: Commit[]): Promise<void>;
  /** What happened up to the current position cannot be told. */
  lost(why: string): void;
  /** The position has moved on. */
  moved(): void;
}

export type Tail = ReturnType<typeof createTail>;

export function createTail(followed: Followed, listener: Listener, logger: Logger) {
  const commits: Commit[] = [];
  let bytes = 0;
  /** The buffer has everything after this time. */
  let floor = Number.POSITIVE_INFINITY;
  let position: Position = { time: 0 };
  let mark = '';
  let started: Promise<void> | undefined;
  let stopping = new AbortController();

  /** Begins where the database is now; those who call later wait for the same beginning. */
  function start(): Promise<void> {
    started ??= begin().catch((error) => {
      started = undefined;
      throw error;
    });
    return started;
  }

  async function begin(): Promise<void> {
    mark = await readMark();
    restart(await now());
    stopping = new AbortController();
    void run(stopping.signal);
  }

  function restart(time: number): void {
    commits.length = bytes = 0;
    floor = time;
    position = { time: time + 1 };
  }

  async function run(signal: AbortSignal): Promise<void> {
    let wait = FIRST_WAIT;
    while (!signal.aborted) {
      try {
        for await (const batch of readCommits(followed, position, signal)) {
          wait = FIRST_WAIT;
          await take(batch);
        }
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof HistoryLost) {
          logger.error(
            { err: error },
            'The feed of changes has lost the history: all who follow it begin anew.',
          );
          await lose('The database no longer has what happened meanwhile.').catch(() => {});
        } else if (wait === FIRST_WAIT * 8)
          logger.warn({ err: error }, 'The feed of changes waits for the database.');
        await sleep(wait, undefined, { ref: false });
        wait = Math.min(wait * 2, LONGEST_WAIT);
      }
    }
  }

  async function take(batch: Batch): Promise<void> {
    let tellable: Commit[] = [];
    const tell = async () => {
      const some = tellable;
      tellable = [];
      if (some.length > 0) await listener.commits(some);
    };
    for (const commit of batch.commits) {
      if (commit.lost === undefined) tellable.push(commit);
      else {
        await tell();
        restart(commit.time);
        listener.lost(commit.lost);
      }
    }
    await tell();
    position = batch.position;
    listener.moved();
  }

  async function lose(why: string): Promise<void> {
    restart(await now());
    listener.lost(why);
  }

  /** Takes commits up, in the same turn in which they are told. */
  function keep(some: Commit[]): void {
    for (const commit of some) {
      commits.push(commit);
      bytes += commit.size;
      position = after(commit);
    }
    let gone = 0;
    while (commits.length - gone > 1 && (bytes > MAX_BYTES || commits.length - gone > MAX_COMMITS)) {
      const oldest = commits[gone++] as Commit;
      bytes -= oldest.size;
      floor = oldest.time;
    }
    if (gone > 0) commits.splice(0, gone);
  }

  /** The commits in the buffer after a position; undefined where it does not reach back so far. */
  function since({ time, key }: Position): Commit[] | undefined {
    if (time <= floor) return undefined;
    let first = commits.length;
    while (first > 0 && (commits[first - 1] as Commit).time >= time) first--;
    const later = commits.slice(first);
    if (key === undefined) return later;
    for (const [i, commit] of later.entries()) {
      const rest = commit.time === time ? restOf(commit, key) : undefined;
      if (rest) return [...(rest.entries.length > 0 ? [rest] : []), ...later.slice(i + 1)];
    }
    throw new HistoryLost('The position is not in the history.');
  }

  /** What was read of the time before the buffer, up to it or into it, makes it reach back further. */
  function extend(earlier: Commit[], from: Position, to: Position): void {
    if (to.time <= floor || earlier.some(({ lost }) => lost !== undefined)) return;
    const start = from.key === undefined ? from.time - 1 : from.time;
    const older = earlier.filter(({ time }) => time > start && time <= floor);
    const size = older.reduce((sum, commit) => sum + commit.size, 0);
    if (bytes + size > MAX_BYTES / 2 || commits.length + older.length > MAX_COMMITS / 2) return;
    commits.unshift(...older);
    bytes += size;
    floor = start;
  }

  function stop(): void {
    started = undefined;
    stopping.abort();
  }

  return {
    start,
    stop,
    keep,
    since,
    extend,
    position: () => position,
    mark: () => mark,
  };
}

/** The time of the last write that the database has. */
export async function now(): Promise<number> {
  const { operationTime } = await database().command({ ping: 1 });
  return toTime(operationTime as mongo.Timestamp);
}

/** The collection of the migrations is made with the database, and goes with it. */
async function readMark(): Promise<string> {
  const [found] = await database().listCollections({ name: JOURNAL.collection }).toArray();
  return markOf((found as { info?: { uuid?: unknown } } | undefined)?.info?.uuid ?? database().databaseName);
}
