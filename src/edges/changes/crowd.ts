import type { Logger } from 'pino';
import { type Audience, audienceOf, type Cache, tell } from './audience.ts';
import type { Commit } from './commits.ts';
import { type Follower, isTooSlow } from './follower.ts';

/** Followers that are sent events live, grouped in audiences. */
export type Crowd = ReturnType<typeof createCrowd>;

interface Upkeep {
  /** The client does not read. */
  cut: (follower: Follower) => void;
  /** A commit could not be evaluated for them. */
  missed: (followers: Iterable<Follower>) => void;
}

export function createCrowd({ cut, missed }: Upkeep, logger: Logger) {
  const audiences = new Map<string, Audience<Follower>>();

  function join(follower: Follower): void {
    const made = audienceOf<Follower>(follower.question, follower.who);
    const audience = audiences.get(made.key) ?? made;
    audiences.set(audience.key, audience);
    audience.members.add(follower);
    follower.audience = audience;
  }

  function leave(follower: Follower): void {
    const { audience } = follower;
    audience?.members.delete(follower);
    if (audience?.members.size === 0) audiences.delete(audience.key);
    delete follower.audience;
  }

  function tellAll(commits: Commit[], mark: string): void {
    const cache: Cache = new Map();
    for (const audience of audiences.values()) {
      try {
        const told = commits.flatMap((commit) => tell(audience, commit, mark, cache));
        if (told.length === 0) continue;
        for (const follower of audience.members)
          if (isTooSlow(follower)) cut(follower);
          else follower.outlet.tell(told);
      } catch (error) {
        // An error must not become a silent gap.
        logger.error({ err: error }, 'A commit could not be sent to followers.');
        missed(audience.members);
      }
    }
  }

  return { join, leave, tellAll };
}
