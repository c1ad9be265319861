import { type mongo, Types } from 'mongoose';
import type { Write } from './bulk-write.ts';
import { database } from './connect.ts';
import { underway } from './session.ts';

/**
 * Guards keep a document in existence while another transaction adds a reference to it. MongoDB's transactions are
 * snapshots: "the author exists, store the post" and "the author has no posts, remove the author" could both commit,
 * because neither writes what the other reads. So both write guards: a transaction that refers to a document changes
 * one of its guards, a removal changes all of them, and MongoDB lets only one of two conflicting transactions commit.
 *
 * A document has up to 32 guards, so that transactions that refer to it rarely collide. Each guard is created when it is
 * first needed; the main one is created with the first of them. A removal that finds no main guard changes the main one
 * only: a concurrent transaction that creates another guard, which the removal would miss, either creates the main
 * guard too, or has seen one that was created after the removal's snapshot. Both conflict with the removal.
 *
 * The document itself is not touched: writes that refer to a popular one would queue up, and its version, its editors
 * and its followers would see changes where there are none.
 */
export interface Guarded {
  collection: string;
  id: Types.ObjectId;
}

/** The same for all processes and versions: a removal must reach every guard. */
const STRIPES = 32;

/** The main guard. */
const MAIN = 0;

export const GUARDS = 'refguards';

interface Guard {
  /** collection:id:stripe */
  _id: string;
  /** A counter, so that every write is a change: a write without a change causes no conflict. */
  n: number;
}

export const guards = (): mongo.Collection<Guard> => database().collection(GUARDS);

export const keyOf = ({ collection, id }: Guarded): string => `${collection}:${id.toHexString()}`;

/** The document of a guard; undefined if the id is not that of a guard. */
export function documentOf(guard: string): Guarded | undefined {
  const [, collection, id] = /^(.+):([0-9a-f]{24}):\d+$/.exec(guard) ?? [];
  return collection && id ? { collection, id: Types.ObjectId.createFromHexString(id) } : undefined;
}

/** The guards that this transaction changes to keep documents in existence, and their main guards. */
export function guardsOf(documents: Guarded[]): { ids: string[]; mains: string[] } {
  const keys = [...new Set(documents.map(keyOf))].sort();
  const { stripes } = underway();
  for (const key of keys) if (!stripes.has(key)) stripes.set(key, Math.floor(Math.random() * STRIPES));
  return { ids: keys.map((key) => `${key}:${stripes.get(key)}`), mains: mainGuards(documents) };
}

export const mainGuards = (documents: Guarded[]): string[] =>
  documents.map((document) => `${keyOf(document)}:${MAIN}`);

/** Changes these guards inside a transaction; `exists` tells which its snapshot contains. */
export function changeGuards(
  { ids, mains }: ReturnType<typeof guardsOf>,
  exists: (id: string) => boolean,
): void {
  const { guards } = underway();
  for (const id of [...ids, ...mains.filter((main) => !exists(main))]) guards.set(id, { exists: exists(id) });
}

/**
 * Changes and removes all guards of documents, inside a transaction. `hasMain` tells which main guards its snapshot
 * contains; without it, all guards are written.
 */
export function removeGuards(documents: Guarded[], hasMain: (main: string) => boolean = () => true): void {
  const { writes, guards } = underway();
  for (const key of [...new Set(documents.map(keyOf))].sort()) {
    for (const id of guards.keys()) if (id.startsWith(`${key}:`)) guards.delete(id);
    // Missing guards are created first: otherwise another transaction could create one unseen.
    const count = hasMain(`${key}:${MAIN}`) ? STRIPES : 1;
    for (let stripe = MAIN; stripe < count; stripe++) writes.push(make(`${key}:${stripe}`));
    // A range of ids: the semicolon is the character after the colon.
    const filter = { _id: { $gte: `${key}:`, $lt: `${key};` } };
    writes.push({ collection: GUARDS, statement: { delete: true, filter, multi: true } });
  }
}

const change = { $inc: { n: 1 } };
const make = (_id: string): Write => ({
  collection: GUARDS,
  statement: { filter: { _id }, updateMods: change, upsert: true },
});

/** The writes that change these guards, creating those that are missing. */
export function guardWrites(guards: ReadonlyMap<string, { exists: boolean }>): Write[] {
  const ids = (existing: boolean) =>
    [...guards].flatMap(([id, { exists }]) => (exists === existing ? [id] : []));
  const existing = ids(true);
  const one: Write = {
    collection: GUARDS,
    statement: { filter: { _id: { $in: existing } }, updateMods: change, multi: true },
  };
  return [...(existing.length > 0 ? [one] : []), ...ids(false).map(make)];
}

/** The stripes of a document that this process uses: for each, the last promise in its queue. */
interface Lanes {
  loads: number[];
  tails: Promise<void>[];
  users: number;
}
const lanes = new Map<string, Lanes>();

/** The stripe that this process tries first: if all began with the same one, they would collide there. */
let preferred = Math.floor(Math.random() * STRIPES);

/**
 * Runs `work` while it holds a stripe of each document, so that transactions of one process do not collide: a free
 * stripe if there is one, otherwise the shortest queue. After a collision with another process, this process prefers
 * another stripe. Must be called before the transaction starts, because a transaction cannot change what its snapshot
 * does not contain.
 */
export async function holding<T>(
  documents: Guarded[],
  attempt: number,
  work: (stripes: Map<string, number>) => Promise<T>,
): Promise<T> {
  if (attempt > 0) preferred = Math.floor(Math.random() * STRIPES);
  const mine = new Map<string, number>();
  const releases: (() => void)[] = [];
  try {
    // In the same order for all, so that there is no deadlock.
    for (const key of [...new Set(documents.map(keyOf))].sort()) {
      const { stripe, turn, release } = takeLane(key, preferred);
      releases.push(release);
      mine.set(key, stripe);
      await turn;
    }
    return await work(mine);
  } finally {
    for (const release of releases) release();
  }
}

function takeLane(key: string, first: number): { stripe: number; turn: Promise<void>; release: () => void } {
  const entry = lanes.get(key) ?? { loads: Array<number>(STRIPES).fill(0), tails: [], users: 0 };
  lanes.set(key, entry);
  const least = Math.min(...entry.loads);
  let stripe = first;
  while (entry.loads[stripe] !== least) stripe = (stripe + 1) % STRIPES;
  const turn = least === 0 ? Promise.resolve() : (entry.tails[stripe] ?? Promise.resolve());
  let finish = () => {};
  entry.tails[stripe] = Promise.all([turn, new Promise<void>((resolve) => (finish = resolve))]).then(
    () => {},
  );
  entry.loads[stripe] = least + 1;
  entry.users++;
  return {
    stripe,
    turn,
    release: () => {
      finish();
      entry.loads[stripe] = (entry.loads[stripe] ?? 1) - 1;
      if (--entry.users === 0) lanes.delete(key);
    },
  };
}
