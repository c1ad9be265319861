import type { Caller } from '../../auth/caller.ts';
import type { Audience, Question, Told } from './audience.ts';
import type { Position } from './position.ts';

/** A client of a feed, whatever its transport. */
export interface Follower {
  question: Question;
  /** The caller as authenticated by the token, key or ticket; `who` has the rights read from the database last. */
  base: Caller;
  who: Caller;
  outlet: Outlet;
  /** Set once events are sent live. */
  audience?: Audience<Follower>;
  /** Set while the client is ahead of this process, which sends it nothing until it gets there. */
  at?: Position;
  /** Why nothing can be reported after its position: it gets a reset and starts anew. */
  useless?: Useless | undefined;
  /** In which second of each heartbeat it gets its position. */
  beat: number;
  ended: boolean;
}

/** The connection to a client. Never throws, whatever the state of the connection. */
export interface Outlet {
  tell(told: Told[]): void;
  /** Nothing to report up to a position; `isCurrent`: from now on events are sent live. */
  pass(position: string, isCurrent: boolean): void;
  reset(why: Reset, detail: string, position: string): void;
  end(why: Ending, detail: string): void;
  /** Bytes that the client has not taken yet. */
  backlog(): number;
}

/** Why the client's state may be out of date. */
export type Reset = 'history_lost' | 'rights_changed' | 'too_slow';
export type Useless = Exclude<Reset, 'too_slow'>;
/** Why a feed ends. */
export type Ending = 'draining' | 'unauthenticated' | 'forbidden' | 'too_slow' | 'unavailable';

/** A client that leaves this many bytes unread is cut off. */
const MAX_BACKLOG = 1024 * 1024;
/** A client that is catching up gets no more while it has this many bytes to read. */
export const PAUSE = MAX_BACKLOG / 4;

/** Events in flight do not count: one large document must not cut clients off again and again. */
export const isTooSlow = ({ outlet }: Follower): boolean => outlet.backlog() > MAX_BACKLOG;

/** Messages for clients, unless there is more to say. */
export const DETAILS: Record<Reset, string> = {
  history_lost: 'The changes after this position are not, or no longer, available.',
  rights_changed: "The caller's rights have changed: other documents are visible now.",
  too_slow: `The client has left more than ${MAX_BACKLOG} bytes unread.`,
};
