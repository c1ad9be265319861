import { setTimeout as sleep } from 'node:timers/promises';
import { audienceOf, tell } from './audience.ts';
import { after, type Commit, type Followed, HistoryLost } from './commits.ts';
import type { Crowd } from './crowd.ts';
import { DETAILS, type Follower, PAUSE, type Useless } from './follower.ts';
import { createHistory } from './history.ts';
import { isAhead, type Position } from './position.ts';
import { readClock, type Tail } from './tail.ts';

/** Brings a follower from its position to the point where events are sent as they happen. */

/** How long a client that is catching up may take to read what it was sent, in milliseconds. */
const PATIENCE = 15_000;

interface Surroundings {
  followed: Followed;
  tail: Tail;
  crowd: Crowd;
  /** A position in the form for this follower. */
  text: (follower: Follower, position: Position) => string;
  cut: (follower: Follower) => void;
}

export function createCatchUp({ followed, tail, crowd, text, cut }: Surroundings) {
  const history = createHistory(followed, tail);
  /** Followers waiting for this process's position to advance. */
  let waiting: (() => void)[] = [];

  /** Sends what happened after a position (or from now on), until the follower is live or has ended. */
  async function run(follower: Follower, from: Position | undefined): Promise<void> {
    let position = from;
    while (!follower.ended) {
      try {
        if (follower.useless) position = await beginAnew(follower, follower.useless);
        position = await advance(follower, position);
        if (!position) return;
      } catch (error) {
        if (error instanceof HistoryLost) follower.useless = 'history_lost';
        // Otherwise the database is unavailable: it resumes where it was.
        else await sleep(500, undefined, { ref: false });
      }
      await untilRead(follower);
    }
  }

  /** The position is taken before the client is told, so that no change after the reset is missed. */
  async function beginAnew(follower: Follower, why: Useless): Promise<Position> {
    const position = await present();
    if (!follower.ended) follower.outlet.reset(why, DETAILS[why], text(follower, position));
    follower.useless = undefined;
    return position;
  }

  /** Sends what is available; returns where to continue, or undefined once the follower is live. */
  async function advance(follower: Follower, from: Position | undefined): Promise<Position | undefined> {
    await tail.start();
    if (follower.ended) return undefined;
    if (!from) return wait(follower, await present());
    if (isAhead(from, tail.position())) {
      // Another process was ahead of this one, unless the position was forged.
      if (!follower.at && isAhead(from, { time: (await clock()).latest + 1 })) throw new HistoryLost();
      wait(follower, from);
      await new Promise<void>((resolve) => waiting.push(resolve));
      return from;
    }
    const kept = tail.since(from);
    if (kept) {
      const reached = tellThese(follower, kept);
      if (reached) return reached;
      crowd.join(follower);
      if (!follower.at) follower.outlet.pass(text(follower, tail.position()), true);
      delete follower.at;
      return undefined;
    }
    const page = await history.read(from);
    if (follower.ended) return undefined;
    const reached = tellThese(follower, page.commits);
    if (!reached) follower.outlet.pass(text(follower, page.position), false);
    return reached ?? page.position;
  }

  /** It has been sent everything so far; new events follow once this process gets there. */
  function wait(follower: Follower, at: Position): Position {
    if (!follower.at && !follower.ended) follower.outlet.pass(text(follower, at), true);
    follower.at = at;
    return at;
  }

  /** Returns where it stopped, if the client reads too slowly. */
  function tellThese(follower: Follower, commits: Commit[]): Position | undefined {
    const audience = audienceOf<never>(follower.question, follower.who);
    for (const commit of commits) {
      const reached = after(commit);
      if (follower.ended) return reached;
      if (commit.lost !== undefined)
        follower.outlet.reset('history_lost', commit.lost, text(follower, reached));
      const told = tell(audience, commit, tail.mark(), new Map());
      if (told.length > 0) follower.outlet.tell(told);
      if (follower.outlet.backlog() > PAUSE) return reached;
    }
    return undefined;
  }

  async function untilRead(follower: Follower): Promise<void> {
    const limit = performance.now() + PATIENCE;
    while (!follower.ended && follower.outlet.backlog() > PAUSE / 2) {
      if (performance.now() > limit) return cut(follower);
      await sleep(25, undefined, { ref: false });
    }
  }

  function wake(): void {
    const woken = waiting;
    waiting = [];
    for (const resolve of woken) resolve();
  }

  return { run, wake };
}

/** The present, read once for all calls of a turn of the event loop. */
const clock = shared(readClock);

/** A position behind what the majority has acknowledged; on a mongos, one to two seconds earlier. */
export const present = async (): Promise<Position> => ({ time: (await clock()).settled + 1 });

/** Calls in the same turn of the event loop share one result. */
function shared<T>(ask: () => Promise<T>): () => Promise<T> {
  let asked: Promise<T> | undefined;
  return () =>
    (asked ??= new Promise((resolve) => setImmediate(resolve)).then(() => {
      asked = undefined;
      return ask();
    }));
}
