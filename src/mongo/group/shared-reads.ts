import type { mongo } from 'mongoose';
import type { Wanted } from '../read-many.ts';
import type { Underway } from '../session.ts';

/**
 * The members of a group read together, in one round trip, once each of them is waiting or done: MongoDB performs the
 * operations of a transaction one at a time.
 */

type Read = NonNullable<Underway['shared']>;

interface Request {
  wanted: Wanted[];
  resolve: (found: mongo.Document[][]) => void;
  reject: (error: unknown) => void;
}

export function sharedReads(members: number, read: Read) {
  let running = members;
  let requests: Request[] = [];
  let failure: unknown;

  const readIfAllWait = (): void => {
    if (requests.length === 0 || requests.length < running) return;
    const waiting = requests;
    requests = [];
    answer(waiting, read).catch((error: unknown) => {
      failure = error;
      for (const { reject } of waiting) reject(error);
    });
  };

  const lookUp: Read = (wanted) =>
    new Promise((resolve, reject) => {
      requests.push({ wanted, resolve, reject });
      readIfAllWait();
    });
  /** To be called when a member is done. */
  const leave = (): void => {
    running--;
    readIfAllWait();
  };
  /** Throws the error of a failed read: it has aborted the transaction. */
  const requireRead = (): void => {
    if (failure) throw failure;
  };
  return { lookUp, leave, requireRead };
}

/** Reads of one collection under one condition are merged into one part of the query. */
async function answer(requests: Request[], read: Read): Promise<void> {
  const parts = new Map<string, { want: Wanted; ids: Map<string, unknown> }>();
  for (const want of requests.flatMap(({ wanted }) => wanted)) {
    const key = keyOf(want);
    const { ids } = parts.get(key) ?? { ids: new Map<string, unknown>() };
    for (const id of want.ids) ids.set(String(id), id);
    parts.set(key, { want, ids });
  }
  const merged = [...parts.values()].map(({ want, ids }) => ({ ...want, ids: [...ids.values()] }));
  const found = await read(merged);
  const byKey = new Map(
    [...parts.keys()].map((key, i) => [key, new Map(found[i]?.map((one) => [String(one['_id']), one]))]),
  );
  for (const { wanted, resolve } of requests)
    resolve(wanted.map((want) => want.ids.flatMap((id) => byKey.get(keyOf(want))?.get(String(id)) ?? [])));
}

const keyOf = ({ ids, ...want }: Wanted): string => JSON.stringify(want);
