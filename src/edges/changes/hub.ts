import type { Logger } from 'pino';
import type { Caller } from '../../auth/caller.ts';
import type { Confirm } from '../../http/entrance.ts';
import type { Question } from './audience.ts';
import { createCatchUp, present } from './catch-up.ts';
import type { Commit, Followed } from './commits.ts';
import { createCrowd } from './crowd.ts';
import { DETAILS, type Ending, type Follower } from './follower.ts';
import { type Given, type Position, write } from './position.ts';
import { createRights, rightsOf } from './rights.ts';
import { createTail } from './tail.ts';

/** Seconds between heartbeats. */
const HEARTBEAT = 15;
/** How long the change stream stays open without followers, in milliseconds: clients that were cut off come back. */
const LINGER = 60_000;
const DRAINING = 'The server is stopping; reconnect in a moment.';

/** Where a feed starts: after a position, at a time, or at a value that is not a position of this database. */
export type Start = Given | { position: Position } | 'lost' | undefined;

export type Hub = ReturnType<typeof createHub>;

/** All followers of this process. `whole` asks for everything that any feed reports. */
export function createHub(followed: Followed, whole: Question, confirm: Confirm, logger: Logger) {
  const followers = new Set<Follower>();
  const rights = createRights(confirm, { changed: tellOfRights, end });
  let beats = 0;
  let heart: NodeJS.Timeout | undefined;
  let lingering: NodeJS.Timeout | undefined;
  let isDraining = false;

  const tail = createTail(
    followed,
    { commits: takeCommits, lost: loseAll, moved: () => catchUp.wake() },
    logger,
  );
  const crowd = createCrowd(
    { cut, missed: (some) => resetAll(some, 'The server could not report a change.') },
    logger,
  );
  const catchUp = createCatchUp({ followed, tail, crowd, text, cut });

  /** A change of rights takes effect at its own place in the history. */
  async function takeCommits(commits: Commit[]): Promise<void> {
    let before: Commit[] = [];
    for (const commit of commits) {
      const affected = rights.affectedBy(commit);
      if (affected.size > 0) {
        tellAll(before);
        before = [];
        await Promise.all([...affected].map(rights.renew));
      }
      before.push(commit);
    }
    tellAll(before);
  }

  /** In one turn of the event loop: a joining follower gets a commit either from the buffer or here. */
  function tellAll(commits: Commit[]): void {
    if (commits.length === 0) return;
    tail.keep(commits);
    crowd.tellAll(commits, tail.mark());
  }

  /** The lost part may contain a logout. */
  async function loseAll(why: string): Promise<void> {
    const some = [...followers];
    resetAll(
      some.filter(({ audience }) => audience),
      why,
    );
    await Promise.all(some.map(rights.renew));
  }

  function resetAll(some: Iterable<Follower>, why: string): void {
    for (const follower of some) follower.outlet.reset('history_lost', why, text(follower, tail.position()));
  }

  function tellOfRights(follower: Follower): void {
    if (!follower.audience) {
      follower.useless = 'rights_changed';
      return;
    }
    crowd.leave(follower);
    crowd.join(follower);
    follower.outlet.reset('rights_changed', DETAILS.rights_changed, text(follower, tail.position()));
  }

  /** Sends what happened after the start, and continues until the client leaves. */
  async function follow(follower: Follower, start: Start): Promise<void> {
    if (follower.ended) return;
    if (isDraining) return end(follower, 'draining', DRAINING);
    enter(follower);
    // The caller was authenticated earlier: a logout since then has gone unnoticed.
    if (!(await rights.read(follower))) return;
    if (start === 'lost') follower.useless = 'history_lost';
    else if (start && 'rights' in start && !isFor(start.rights, follower))
      follower.useless = 'rights_changed';
    await catchUp.run(follower, start === 'lost' ? undefined : start?.position);
  }

  /** A position of the feed of everything is valid in the others too, as long as the rights are the same. */
  const isFor = (given: string, { question, who }: Follower): boolean =>
    [question, whole].some((asked) => rightsOf({ question: asked, who }) === given);

  function enter(follower: Follower): void {
    followers.add(follower);
    rights.watch(follower);
    clearTimeout(lingering);
    heart ??= setInterval(beat, 1_000).unref();
  }

  /** The client has disconnected, or has got everything it wanted. */
  function leave(follower: Follower): void {
    follower.ended = true;
    if (!followers.delete(follower)) return;
    catchUp.wake();
    crowd.leave(follower);
    rights.forget(follower);
    if (followers.size > 0) return;
    clearInterval(heart);
    heart = undefined;
    linger();
  }

  function linger(): void {
    clearTimeout(lingering);
    lingering = setTimeout(tail.stop, LINGER).unref();
  }

  function end(follower: Follower, why: Ending, detail: string): void {
    if (follower.ended) return;
    leave(follower);
    follower.outlet.end(why, detail);
  }

  function cut(follower: Follower): void {
    follower.outlet.reset('too_slow', DETAILS.too_slow, '');
    end(follower, 'too_slow', DETAILS.too_slow);
  }

  function beat(): void {
    beats++;
    const moment = Date.now();
    for (const follower of followers) {
      const { expiresAt } = follower.who;
      if (expiresAt && expiresAt.getTime() <= moment)
        end(follower, 'unauthenticated', 'The access token has expired.');
      else if ((beats + follower.beat) % HEARTBEAT > 0) continue;
      else if (follower.audience) follower.outlet.pass(text(follower, tail.position()), true);
      else if (follower.at) follower.outlet.pass(text(follower, follower.at), true);
    }
  }

  function drain(): void {
    isDraining = true;
    for (const follower of followers) end(follower, 'draining', DRAINING);
    clearTimeout(lingering);
    tail.stop();
  }

  /** The same caller has presented a newer token. */
  async function renew(follower: Follower, base: Caller): Promise<void> {
    if (follower.ended) return;
    rights.forget(follower);
    follower.base = base;
    rights.watch(follower);
    await rights.renew(follower);
  }

  /** Positions contain the database's mark; if it is not known yet, the database is asked. */
  async function mark(): Promise<string> {
    clearTimeout(lingering);
    await tail.start();
    if (followers.size === 0) linger();
    return tail.mark();
  }

  /** A position in the form for the follower. */
  function text(follower: Pick<Follower, 'question' | 'who' | 'audience'>, position: Position): string {
    return write({ position, rights: follower.audience?.rights ?? rightsOf(follower) }, tail.mark());
  }

  return { follow, leave, drain, renew, mark, text, present };
}
