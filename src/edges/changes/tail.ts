import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { database, isMongos } from '../../mongo/connect.ts';
import { unavailable } from '../../mongo/failures.ts';
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
import { markOf, type Position, SECOND, type Time, toTime } from './position.ts';

/**
 * The end of the history in this process: one change stream for all followers, and a buffer of the latest commits for
 * clients that were away briefly.
 */

/** The capacity of the buffer, in bytes and commits. */
const MAX_BYTES = 16 * 1024 * 1024;
const MAX_COMMITS = 20_000;
/** How long to wait before a failed stream is reopened, in milliseconds; doubled each time. */
const FIRST_WAIT = 100;
const LONGEST_WAIT = 2_000;

interface Listener {
  /** New commits, in order; later ones wait until the handler is done. */
  commits(commits: Commit[]): Promise<void>;
  /** Changes up to the current position cannot be reported; later ones wait until the handler is done. */
  lost(why: string): Promise<void>;
  /** The position has advanced. */
  moved(): void;
}

export type Tail = ReturnType<typeof createTail>;

export function createTail(followed: Followed, listener: Listener, logger: Logger) {
  const commits: Commit[] = [];
  let bytes = 0;
  /** The buffer contains everything after this time. */
  let floor = Number.POSITIVE_INFINITY;
  let position: Position = { time: 0 };
  let mark = '';
  /** The database was dropped, and the one with its name has no journal yet. */
  let isDropped = false;
  let started: Promise<void> | undefined;
  let stopping = new AbortController();

  /** Starts at the database's present position; later callers wait for the same start. */
  function start(): Promise<void> {
    if (started) return started;
    stopping = new AbortController();
    const starting = begin(stopping.signal).catch((error) => {
      if (started === starting) started = undefined;
      throw error;
    });
    return (started = starting);
  }

  async function begin(signal: AbortSignal): Promise<void> {
    mark = (await readMark()) ?? markOf(database().databaseName);
    const { settled } = await readClock();
    if (signal.aborted) return;
    // With the last commit itself: clients that have seen it return with a position inside the buffer.
    restart(settled - 1);
    void run(signal);
  }

  function restart(time: Time): void {
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
        isDropped = !signal.aborted;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof HistoryLost) {
          logger.error({ err: error }, 'The feed of changes has lost the history: all followers are reset.');
          await lose('The database no longer has the changes since then.').catch(() => {});
        } else if (wait === FIRST_WAIT * 8)
          logger.warn({ err: error }, 'The feed of changes is waiting for the database.');
      }
      await sleep(wait, undefined, { ref: false });
      wait = Math.min(wait * 2, LONGEST_WAIT);
    }
  }

  async function take(batch: Batch): Promise<void> {
    if (isDropped) {
      const found = await readMark();
      isDropped = found === undefined;
      mark = found ?? mark;
    }
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
        await listener.lost(commit.lost);
      }
    }
    await tell();
    position = batch.position;
    listener.moved();
  }

  async function lose(why: string): Promise<void> {
    const { settled } = await readClock();
    const told = position.key === undefined ? position.time - 1 : position.time;
    restart(Math.max(settled, told));
    await listener.lost(why);
  }

  /** Adds commits to the buffer, in the same turn in which they are sent. */
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

  /** The buffered commits after a position; undefined if the buffer does not reach back far enough. */
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

  /** History that was read up to the buffer or into it extends it backwards. */
  function extend(earlier: Commit[], from: Position, to: Position): void {
    const start = from.key === undefined ? from.time - 1 : from.time;
    const isContiguous = start < floor && to.time > floor;
    if (!isContiguous || earlier.some(({ lost }) => lost !== undefined)) return;
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

/** Two moments in the history of the database. */
interface Clock {
  /** No commit can still appear before or at this one. */
  settled: Time;
  /** The time of the last write. */
  latest: Time;
}

/**
 * Reads the present from the database. A commit gets its time before it becomes visible, so one under way may be older
 * than the last write, and a feed that started there would miss it. No commit can still appear before the majority
 * commit point. A mongos does not report that point: the clocks of its shards are assumed to differ by less than a
 * second.
 */
export async function readClock(): Promise<Clock> {
  const hello = await database().command({ hello: 1 });
  const { operationTime, lastWrite } = hello;
  const latest = toTime(operationTime);
  if (isMongos(hello)) return { settled: (Math.floor(latest / SECOND) - 1) * SECOND, latest };
  if (!lastWrite?.majorityOpTime) throw unavailable();
  return { settled: toTime(lastWrite.majorityOpTime.ts), latest };
}

/** The journal's collection is created and dropped with the database. */
async function readMark(): Promise<string | undefined> {
  const [found] = await database().listCollections({ name: JOURNAL.collection }).toArray();
  const uuid = (found as { info?: { uuid?: unknown } } | undefined)?.info?.uuid;
  return uuid === undefined ? undefined : markOf(uuid);
}
