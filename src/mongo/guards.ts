import { type mongo, Types } from 'mongoose';
import type { Write } from './bulk-write.ts';
import { database } from './connect.ts';
import { underway } from './session.ts';

/**
 * Guards keep a document in existence while others come to refer to it. MongoDB's transactions are snapshots:
 * "the author exists, store the post" and "the author has no posts, remove him" may both commit, because neither
 * writes what the other reads. So both write guards: a transaction that refers to a document changes one of its guards,
 * one that removes it changes all of them, and of two that meet MongoDB lets one win.
 *
 * A document may have up to 32 guards, so that transactions that refer to it rarely meet each other. Each guard is made
 * when it is first needed; the main one is made with the first of them. A removal that finds no main guard changes that
 * one only: a transaction that it could miss, because it makes another guard meanwhile, either makes the main guard, too,
 * or has seen one that was made after the removal's snapshot. Both conflict with the removal.
 *
 * Why not touch the document itself: all that refer to a popular one would wait in line, and its version, its editors
 * and its followers would see changes where there are none.
 */
export interface Guarded {
  collection: string;
  id: Types.ObjectId;
}

/** The same for every process, also for those of another version: a removal must reach every guard. */
const STRIPES = 32;

/** The main guard. */
const MAIN = 0;

export const GUARDS = 'refguards';

interface Guard {
  /** collection:id:stripe */
  _id: string;
  /** Counts, so that every write is a change: one that changes nothing conflicts with nothing. */
  n: number;
}

export const guards = (): mongo.Collection<Guard> => database().collection(GUARDS);

export const keyOf = ({ collection, id }: Guarded): string => `${collection}:${id.toHexString()}`;

/** The document that a guard is of; undefined where its id does not look like one. */
export function documentOf(guard: string): Guarded | undefined {
  const [, collection, id] = /^(.+):([0-9a-f]{24}):\d+$/.exec(guard) ?? [];
  return collection && id ? { collection, id: Types.ObjectId.createFromHexString(id) } : undefined;
}

/** The guards that this transaction changes to keep documents in existence, and the main guards of these. */
export function guardsOf(documents: Guarded[]): { ids: string[]; mains: string[] } {
  const keys = [...new Set(documents.map(keyOf))].sort();
  const { stripes } = underway();
  for (const key of keys) if (!stripes.has(key)) stripes.set(key, Math.floor(Math.random() * STRIPES));
  return { ids: keys.map((key) => `${key}:${stripes.get(key)}`), mains: mainGuards(documents) };
}

export const mainGuards = (documents: Guarded[]): string[] =>
  documents.map((document) => `${keyOf(document)}:${MAIN}`);

/** Changes these guards, inside a transaction; `exists` tells what its snapshot has. */
export function changeGuards(
  { ids, mains }: ReturnType<typeof guardsOf>,
  exists: (id: string) => boolean,
): void {
  const { guards } = underway();
  for (const id of [...ids, ...mains.filter((main) => !exists(main))]) guards.set(id, { exists: exists(id) });
}

/**
 * Changes and removes all guards of documents, inside a transaction. `hasMain` tells what its snapshot has; without it
 * none is left out.
 */
export function removeGuards(documents: Guarded[], hasMain: (main: string) => boolean = () => true): void {
  const { writes, guards } = underway();
  for (const key of [...new Set(documents.map(keyOf))].sort()) {
    for (const id of guards.keys()) if (id.startsWith(`${key}:`)) guards.delete(id);
    // Those that do not exist are made first: else another transaction could make one unseen.
    const count = hasMain(`${key}:${MAIN}`) ? STRIPES : 1;
    for (let stripe = MAIN; stripe < count; stripe++) writes.push(make(`${key}:${stripe}`));
    // A range of ids: the semicolon comes right after the colon.
    const filter = { _id: { $gte: `${key}:`, $lt: `${key};` } };
    writes.push({ collection: GUARDS, statement: { delete: true, filter, multi: true } });
  }
}

const change = { $inc: { n: 1 } };
const make = (_id: string): Write => ({
  collection: GUARDS,
  statement: { filter: { _id }, updateMods: change, upsert: true },
});

/** The writes that change these guards; those that do not exist are made. */
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

/** The stripes of a document that this process uses: who waits for each, the last of them at the end. */
interface Lanes {
  loads: number[];
  tails: Promise<void>[];
  users: number;
}
const lanes = new Map<string, Lanes>();

/** Where this process looks first: were all to begin with the same stripe, they would meet there. */
let preferred = Math.floor(Math.random() * STRIPES);

/**
 * Runs `work` while it holds a stripe of each document for itself, so that the transactions of one process do
 * not collide: a free stripe if there is one, otherwise its turn on the least busy. Who has met another process
 * there looks elsewhere from then on. To be called before the transaction starts, because what its
 * snapshot does not see it cannot change.
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
    // In one order for all, so that no two wait for each other.
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
