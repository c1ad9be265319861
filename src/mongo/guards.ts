import { AsyncLocalStorage } from 'node:async_hooks';
import { type mongo, Types } from 'mongoose';
import { database } from './connect.ts';
import { currentSession } from './session.ts';

/**
 * Guards keep a document in existence while others come to refer to it. MongoDB's transactions are snapshots:
 * "the author exists, store the post" and "the author has no posts, remove him" may both commit, because neither
 * writes what the other reads. So both write guards: who refers changes one of a document's guards, who removes
 * it changes all of them, and of two that meet MongoDB lets one win.
 *
 * A document may have up to 32 guards so that those who refer to it need not meet each other; each is made when
 * it is first needed. Why not touch the document itself: all who refer to a popular one would wait in line, and
 * its version, its editors and its followers would see changes where there are none.
 */
export interface Guarded {
  collection: string;
  id: Types.ObjectId;
}

/** The same for every process, also for those of another version: a removal must reach every guard. */
const STRIPES = 32;

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

/**
 * Changes one guard of each document, inside a transaction. Whether the documents exist is for the caller to
 * find out, after this.
 */
export async function changeGuards(documents: Guarded[]): Promise<void> {
  await change([...new Set(documents.map(guardOf))].sort());
}

/** Changes and removes all guards of documents, inside a transaction. */
export async function removeGuards(documents: Guarded[]): Promise<void> {
  const ids = documents
    .map(keyOf)
    .sort()
    .flatMap((key) => Array.from({ length: STRIPES }, (_, stripe) => `${key}:${stripe}`));
  // Those that do not exist are made first: else somebody else could make one unseen.
  await change(ids);
  await guards().deleteMany({ _id: { $in: ids } }, { session: currentSession() });
}

/** One command, and one round trip, whether the guards exist or not. */
const change = (ids: string[]) =>
  guards().bulkWrite(
    ids.map((_id) => ({ updateOne: { filter: { _id }, update: { $inc: { n: 1 } }, upsert: true } })),
    { session: currentSession() },
  );

/** Which stripe of a document this asynchronous context holds. */
const held = new AsyncLocalStorage<Map<string, number>>();

const guardOf = (document: Guarded): string => {
  const key = keyOf(document);
  return `${key}:${held.getStore()?.get(key) ?? Math.floor(Math.random() * STRIPES)}`;
};

/** The stripes of a document that this process uses: who waits for each, the last of them at the end. */
interface Lanes {
  loads: number[];
  tails: Promise<void>[];
  users: number;
}
const lanes = new Map<string, Lanes>();

/** Where this process looks first: were all to begin with the same stripe, they would meet there. */
const FIRST = Math.floor(Math.random() * STRIPES);

/**
 * Runs `work` while it holds a stripe of each document for itself, so that the transactions of one process do
 * not collide: a free stripe if there is one, otherwise its turn on the least busy. Who has met another process
 * there looks elsewhere at the next attempt. To be called before the transaction starts, because what its
 * snapshot does not see it cannot change.
 */
export async function holding<T>(documents: Guarded[], attempt: number, work: () => Promise<T>): Promise<T> {
  const first = attempt === 0 ? FIRST : Math.floor(Math.random() * STRIPES);
  const mine = new Map<string, number>();
  const releases: (() => void)[] = [];
  try {
    // In one order for all, so that no two wait for each other.
    for (const key of [...new Set(documents.map(keyOf))].sort()) {
      const { stripe, turn, release } = takeLane(key, first);
      releases.push(release);
      mine.set(key, stripe);
      await turn;
    }
    return await held.run(mine, work);
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
