import type { Types } from 'mongoose';
import type { Caller } from '../../auth/caller.ts';
import { Problem } from '../../errors.ts';
import type { Confirm } from '../../http/entrance.ts';
import { audienceOf, type Question } from './audience.ts';
import type { Commit } from './commits.ts';
import type { Ending, Follower } from './follower.ts';

interface Upkeep {
  /** The follower can read other documents, or other fields of them, than before. */
  changed: (follower: Follower) => void;
  end: (follower: Follower, why: Ending, detail: string) => void;
}

/** The rights of followers, and the consequences when they change. */
export function createRights(confirm: Confirm, { changed, end }: Upkeep) {
  /** Followers by what their rights depend on: the id of a user, a session or a key. */
  const dependents = new Map<string, Set<Follower>>();

  /** How often each follower's rights have been read. */
  const turns = new WeakMap<Follower, number>();

  function watch(follower: Follower): void {
    for (const id of authoritiesOf(follower.base))
      dependents.set(id, (dependents.get(id) ?? new Set()).add(follower));
  }

  function forget(follower: Follower): void {
    for (const id of authoritiesOf(follower.base)) {
      const known = dependents.get(id);
      known?.delete(follower);
      if (known?.size === 0) dependents.delete(id);
    }
  }

  const affectedBy = ({ entries }: Commit): Set<Follower> =>
    new Set(entries.flatMap(({ id }) => [...(dependents.get(String(id)) ?? [])]));

  async function renew(follower: Follower): Promise<void> {
    const former = rightsOf(follower);
    if ((await read(follower)) && rightsOf(follower) !== former) changed(follower);
  }

  /** Reads the caller's present rights; ends the feed of a caller who may no longer follow it. */
  async function read(follower: Follower): Promise<boolean> {
    const turn = (turns.get(follower) ?? 0) + 1;
    turns.set(follower, turn);
    try {
      const who = await confirm(follower.base);
      // A later reading has begun meanwhile: what it finds is newer.
      if (turns.get(follower) !== turn) return !follower.ended;
      // Refuses a filter by fields that the caller may no longer read: its events would reveal their values.
      audienceOf(follower.question, who);
      follower.who = who;
    } catch (error) {
      if (error instanceof Problem && error.status === 401) end(follower, 'unauthenticated', error.message);
      else if (error instanceof Problem && error.status === 403) end(follower, 'forbidden', error.message);
      else end(follower, 'unavailable', "The caller's rights cannot be read at the moment.");
    }
    return !follower.ended;
  }

  return { watch, forget, affectedBy, renew, read };
}

const authoritiesOf = ({ id, session, key }: Caller): string[] =>
  [id, session, key].flatMap((id: Types.ObjectId | undefined) => (id ? [id.toHexString()] : []));

/** The form that positions record. */
export const rightsOf = ({ question, who }: { question: Question; who: Caller }): string =>
  audienceOf(question, who).rights;
