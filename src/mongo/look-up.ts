import type { mongo } from 'mongoose';
import { sendBefore } from './collected.ts';
import { database, isSharded } from './connect.ts';
import { underway } from './session.ts';

/** Documents of one collection, by their ids. */
export interface Wanted {
  collection: string;
  ids: readonly unknown[];
  /** What they must meet. */
  condition?: mongo.Document | undefined;
  /** Whether the collection has a collation, by which the condition compares texts. */
  collated?: boolean;
  /** Only their ids are needed. */
  idOnly?: true;
}

/** Longest time that MongoDB may spend, in milliseconds. */
const maxTimeMS = 2_000;

/**
 * Reads documents of several collections in one round trip, inside a transaction. On a sharded cluster it takes one for
 * each collection: a transaction that begins with a $lookup on another shard fails there.
 */
export async function lookUp(wanted: Wanted[]): Promise<mongo.Document[][]> {
  await sendBefore(...wanted.map(({ collection }) => collection));
  // A $lookup compares by no collation.
  const isSeparate = ({ condition, collated }: Wanted) => condition !== undefined && collated;
  const together = (await isSharded()) ? [] : wanted.filter((want) => !isSeparate(want));
  const found = new Map<Wanted, mongo.Document[]>();
  if (together.length > 1)
    for (const [i, documents] of (await lookUpAll(together)).entries())
      found.set(together[i] as Wanted, documents);
  for (const want of wanted) if (!found.has(want)) found.set(want, await find(want));
  return wanted.map((want) => found.get(want) as mongo.Document[]);
}

async function lookUpAll(wanted: Wanted[]): Promise<mongo.Document[][]> {
  const parts = wanted.map((want, i) => ({
    $lookup: {
      from: want.collection,
      as: String(i),
      pipeline: [{ $match: filterOf(want) }, ...(want.idOnly ? [{ $project: { _id: 1 } }] : [])],
    },
  }));
  const [found] = await database()
    .aggregate([{ $documents: [{}] }, ...parts], { session: underway().session, maxTimeMS })
    .toArray();
  return wanted.map((_, i) => found?.[i] as mongo.Document[]);
}

const find = (want: Wanted): Promise<mongo.Document[]> =>
  database()
    .collection(want.collection)
    .find(filterOf(want), {
      session: underway().session,
      maxTimeMS,
      ...(want.idOnly && { projection: { _id: 1 } }),
    })
    .toArray();

const filterOf = ({ ids, condition }: Wanted): mongo.Document => {
  const byId = { _id: ids.length === 1 ? ids[0] : { $in: ids } };
  return condition ? { $and: [byId, condition] } : byId;
};
