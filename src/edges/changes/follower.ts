import type { Caller } from '../../auth/caller.ts';
import type { Audience, Question, Told } from './audience.ts';
import type { Position } from './position.ts';

/** A client of a feed, whatever the transport. */
export interface Follower {
  question: Question;
  /** The caller as the token, key or ticket shows him; `who` is what the database says of him now. */
  base: Caller;
  who: Caller;
  outlet: Outlet;
  /** Set as soon as events are sent as they happen. */
  audience?: Audience<Follower>;
  /** Set while the client is ahead of this process, which tells it nothing until it gets there. */
  at?: Position;
  /** Why nothing can be told from its position on: it will be told so, and begin anew. */
  useless?: Useless | undefined;
  /** In which second of each heartbeat it is told its position. */
  beat: number;
  ended: boolean;
}

/** The way to a client. It never throws, whatever has become of the connection. */
export interface Outlet {
  tell(told: Told[]): void;
  /** There is nothing to tell up to a position; `isCurrent`: from now on events are sent as they happen. */
  pass(position: string, isCurrent: boolean): void;
  reset(why: Reset, detail: string, position: string): void;
  end(why: Ending, detail: string): void;
  /** Bytes that the client has not taken yet. */
  backlog(): number;
}

/** Why what a client has read may not be what it would read now. */
export type Reset = 'history_lost' | 'rights_changed' | 'too_slow';
export type Useless = Exclude<Reset, 'too_slow'>;
/** Why a feed ends. */
export type Ending = 'draining' | 'unauthenticated' | 'forbidden' | 'too_slow' | 'unavailable';

/** A client that leaves so many bytes unread is cut off. */
const MAX_BACKLOG = 1024 * 1024;
/** A client that catches up is sent no more while it has so many bytes to read. */
export const PAUSE = MAX_BACKLOG / 4;

/** Events in flight do not count: one large document must not cut everybody off again and again. */
export const isTooSlow = ({ outlet }: Follower): boolean => outlet.backlog() > MAX_BACKLOG;

/** What a client is told, unless there is more to say. */
export const DETAILS: Record<Reset, string> = {
  history_lost: 'The database does not have, or no longer has, what happened after this position.',
  rights_changed: 'The rights of the caller have changed: other documents are visible now.',
  too_slow: `The client has left more than ${MAX_BACKLOG} bytes unread.`,
};
