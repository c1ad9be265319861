import { setTimeout as sleep } from 'node:timers/promises';
import type { Types } from 'mongoose';
import type { Logger } from 'pino';
import type { Caller } from '../../auth/caller.ts';
import { Problem } from '../../errors.ts';
import type { Confirm } from '../../http/entrance.ts';
import { type Audience, audienceOf, type Cache, type Question, tell, type Told } from './audience.ts';
import { after, type Commit, type Followed, HistoryLost } from './commits.ts';
import { createHistory } from './history.ts';
import { type Position, write } from './position.ts';
import { createTail, now } from './tail.ts';

/** Who follows the changes, and how they come to them. */

/** Why what a client has read may not be what it would read now. */
export type Reset = 'history_lost' | 'rights_changed' | 'too_slow';
/** Why a feed ends. */
export type Ending = 'draining' | 'unauthenticated' | 'forbidden' | 'too_slow' | 'unavailable';

/** The way to a client; nothing of it throws, whatever has become of the connection. */
export interface Outlet {
  tell(told: Told[]): void;
  /** There is nothing to tell up to a position; `isCurrent`: what comes from now on comes as it happens. */
  pass(position: string, isCurrent: boolean): void;
  reset(why: Reset, detail: string, position: string): void;
  end(why: Ending, detail: string): void;
  /** Bytes that the client has not taken yet. */
  backlog(): number;
}

export interface Follower {
  question: Question;
  /** Who it is, as it was shown once; `who` is what is known of that caller now. */
  base: Caller;
  who: Caller;
  outlet: Outlet;
  /** The audience that it is in, as soon as it is told what happens as it happens. */
  audience?: Audience<Follower>;
  /** Where it waits for this process, which is not there yet. */
  at?: Position;
  /** The second of each heartbeat in which it is told its position. */
  beat: number;
  ended: boolean;
}

/** A client that leaves so many bytes unread is cut off; one that catches up is waited for from a quarter on. */
const MAX_BACKLOG = 1024 * 1024;
const PAUSE = MAX_BACKLOG / 4;
/** How long a client that catches up may take for what it was sent last, in milliseconds. */
const PATIENCE = 15_000;
/** Seconds between two signs of life. */
const HEARTBEAT = 15;
/** How long the change stream goes on when nobody follows it, in milliseconds: those who were cut off come back. */
const LINGER = 60_000;

export type Hub = ReturnType<typeof createHub>;

export function createHub(followed: Followed, confirm: Confirm, logger: Logger) {
  const audiences = new Map<string, Audience<Follower>>();
  const followers = new Set<Follower>();
  /** Those whose rights depend on a document, by its id: a user, a session, a key. */
  const dependents = new Map<string, Set<Follower>>();
  let beats = 0;
  let heart: NodeJS.Timeout | undefined;
  let lingering: NodeJS.Timeout | undefined;
  /** Those who wait for the position to move on. */
  let waiting: (() => void)[] = [];

  const tail = createTail(followed, { commits: takeCommits, lost: loseAll, moved: wake }, logger);
  const history = createHistory(followed, tail);
  const text = (position: Position): string => write(position, tail.mark());

  function wake(): void {
    const woken = waiting;
    waiting = [];
    for (const resolve of woken) resolve();
  }

  /** A change of rights counts from its own place in the history on. */
  async function takeCommits(commits: Commit[]): Promise<void> {
    let before: Commit[] = [];
    for (const commit of commits) {
      const affected = commit.entries.flatMap(({ id }) => [...(dependents.get(String(id)) ?? [])]);
      if (affected.length > 0) {
        fanOut(before);
        before = [];
        await Promise.all(affected.map(renewRights));
      }
      before.push(commit);
    }
    fanOut(before);
  }

  /** In one turn of the event loop: who comes meanwhile has either got it from the buffer or gets it here. */
  function fanOut(commits: Commit[]): void {
    if (commits.length === 0) return;
    tail.keep(commits);
    const cache: Cache = new Map();
    for (const audience of audiences.values()) {
      try {
        const told = commits.flatMap((commit) => tell(audience, commit, tail.mark(), cache));
        if (told.length > 0) for (const follower of audience.members) send(follower, told);
      } catch (error) {
        // A fault of ours must not become a silent gap.
        logger.error({ err: error }, 'A commit could not be told.');
        resetAll(audience, 'The server could not tell of a change.');
      }
    }
  }

  function send(follower: Follower, told: Told[]): void {
    // Not counting what is told now: one large document must not cut everybody off, again and again.
    if (follower.outlet.backlog() > MAX_BACKLOG) cut(follower);
    else follower.outlet.tell(told);
  }

  function cut(follower: Follower): void {
    const detail = `The client has left more than ${MAX_BACKLOG} bytes unread.`;
    follower.outlet.reset('too_slow', detail, '');
    end(follower, 'too_slow', detail);
  }

  function loseAll(why: string): void {
    for (const audience of audiences.values()) resetAll(audience, why);
  }

  function resetAll({ members }: Audience<Follower>, why: string): void {
    for (const { outlet } of members) outlet.reset('history_lost', why, text(tail.position()));
  }

  async function renewRights(follower: Follower): Promise<void> {
    try {
      const former = follower.who;
      follower.who = await confirm(follower.base);
      if (rightsOf(former) === rightsOf(follower.who) || follower.ended) return;
      // A filter that is no longer the caller's would go on telling what it looks at.
      audienceOf(follower.question, follower.who);
      if (follower.audience) {
        leaveAudience(follower);
        join(follower);
      }
      follower.outlet.reset('rights_changed', 'Other documents may be seen now.', text(tail.position()));
    } catch (error) {
      if (error instanceof Problem && error.status === 401) end(follower, 'unauthenticated', error.message);
      else if (error instanceof Problem && error.status === 403) end(follower, 'forbidden', error.message);
      else end(follower, 'unavailable', 'Whether the caller may go on cannot be found out at the moment.');
    }
  }

  function join(follower: Follower): void {
    const made = audienceOf<Follower>(follower.question, follower.who);
    const audience = audiences.get(made.key) ?? made;
    audiences.set(audience.key, audience);
    audience.members.add(follower);
    follower.audience = audience;
  }

  function leaveAudience(follower: Follower): void {
    const { audience } = follower;
    audience?.members.delete(follower);
    if (audience?.members.size === 0) audiences.delete(audience.key);
    delete follower.audience;
  }

  /**
   * Tells what happened after a position, or from now on, and goes on until it is left. A position that is none of
   * ours, or lies before the history, is `lost`.
   */
  async function follow(follower: Follower, from: Position | 'lost' | undefined): Promise<void> {
    enter(follower);
    let position = from;
    while (!follower.ended) {
      try {
        if (position === 'lost') position = await startAnew(follower);
        position = await advance(follower, position);
        if (!position) return;
      } catch (error) {
        // Otherwise the database is away: it goes on where it was.
        if (error instanceof HistoryLost) position = 'lost';
        else await sleep(500, undefined, { ref: false });
      }
      await untilRead(follower);
    }
  }

  /** The position is taken before the client is told, so that no change after the reset is missed. */
  async function startAnew(follower: Follower): Promise<Position> {
    const position = await present();
    const detail = 'The database does not have, or no longer has, what happened after this position.';
    if (!follower.ended) follower.outlet.reset('history_lost', detail, text(position));
    return position;
  }

  /** Tells what is at hand; answers where to go on, undefined when all that comes will be told by itself. */
  async function advance(follower: Follower, from: Position | undefined): Promise<Position | undefined> {
    await tail.start();
    if (follower.ended) return undefined;
    if (!from) return wait(follower, await present());
    if (isAhead(from, tail.position())) {
      // Another process was faster than this one, unless somebody has made the position up.
      if (!follower.at && isAhead(from, await present())) throw new HistoryLost();
      wait(follower, from);
      await new Promise<void>((resolve) => waiting.push(resolve));
      return from;
    }
    const kept = tail.since(from);
    if (kept) {
      const reached = catchUp(follower, kept);
      if (reached) return reached;
      join(follower);
      if (!follower.at) follower.outlet.pass(text(tail.position()), true);
      delete follower.at;
      return undefined;
    }
    const page = await history.read(from);
    const reached = catchUp(follower, page.commits);
    if (!reached) follower.outlet.pass(text(page.position), false);
    return reached ?? page.position;
  }

  /** It has been told all there is; what comes is told as soon as this process gets there. */
  function wait(follower: Follower, at: Position): Position {
    if (!follower.at) follower.outlet.pass(text(at), true);
    follower.at = at;
    return at;
  }

  /** Behind everything that was committed before this was asked. */
  const present = shared(async (): Promise<Position> => ({ time: (await now()) + 1 }));

  /** Answers where it has stopped, if the client does not read as fast. */
  function catchUp(follower: Follower, commits: Commit[]): Position | undefined {
    const { views } = audienceOf(follower.question, follower.who);
    for (const commit of commits) {
      if (follower.ended) return after(commit);
      if (commit.lost !== undefined) follower.outlet.reset('history_lost', commit.lost, text(after(commit)));
      const told = tell({ views }, commit, tail.mark(), new Map());
      if (told.length > 0) follower.outlet.tell(told);
      if (follower.outlet.backlog() > PAUSE) return after(commit);
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

  function enter(follower: Follower): void {
    followers.add(follower);
    for (const id of authoritiesOf(follower.base)) {
      const known = dependents.get(id) ?? new Set();
      dependents.set(id, known.add(follower));
    }
    clearTimeout(lingering);
    heart ??= setInterval(beat, 1_000).unref();
  }

  /** The client has gone, or has got all it wanted. */
  function leave(follower: Follower): void {
    follower.ended = true;
    if (!followers.delete(follower)) return;
    wake();
    leaveAudience(follower);
    for (const id of authoritiesOf(follower.base)) {
      const known = dependents.get(id);
      known?.delete(follower);
      if (known?.size === 0) dependents.delete(id);
    }
    if (followers.size > 0) return;
    clearInterval(heart);
    heart = undefined;
    lingering = setTimeout(tail.stop, LINGER).unref();
  }

  function end(follower: Follower, why: Ending, detail: string): void {
    if (follower.ended) return;
    leave(follower);
    follower.outlet.end(why, detail);
  }

  function beat(): void {
    beats++;
    const position = text(tail.position());
    const moment = Date.now();
    for (const follower of followers) {
      const { expiresAt } = follower.who;
      if (expiresAt && expiresAt.getTime() <= moment)
        end(follower, 'unauthenticated', 'The access token has expired.');
      else if ((beats + follower.beat) % HEARTBEAT > 0) continue;
      else if (follower.audience) follower.outlet.pass(position, true);
      else if (follower.at) follower.outlet.pass(text(follower.at), true);
    }
  }

  function drain(): void {
    for (const follower of followers) end(follower, 'draining', 'The server stops; come back in a moment.');
    clearTimeout(lingering);
    tail.stop();
  }

  /** The same caller has shown again who it is: by a newer token. */
  async function renew(follower: Follower, base: Caller): Promise<void> {
    if (follower.ended) return;
    for (const id of authoritiesOf(follower.base)) dependents.get(id)?.delete(follower);
    follower.base = base;
    enter(follower);
    await renewRights(follower);
  }

  /** The text of positions belongs to this database; where it is not known yet, the database is asked. */
  async function mark(): Promise<string> {
    await tail.start();
    return tail.mark();
  }

  return { follow, leave, drain, renew, mark, text, present };
}

/** Calls in the same turn of the event loop share one answer. */
function shared<T>(ask: () => Promise<T>): () => Promise<T> {
  let asked: Promise<T> | undefined;
  return () =>
    (asked ??= new Promise((resolve) => setImmediate(resolve)).then(() => {
      asked = undefined;
      return ask();
    }));
}

const isAhead = (a: Position, b: Position): boolean =>
  a.time > b.time || (a.time === b.time && a.key !== undefined && b.key === undefined);

/** What a caller may see depends on these documents. */
const authoritiesOf = ({ id, session, key }: Caller): string[] =>
  [id, session, key].flatMap((id: Types.ObjectId | undefined) => (id ? [id.toHexString()] : []));

const rightsOf = ({ role, scopes }: Caller): string => JSON.stringify([role, scopes]);
