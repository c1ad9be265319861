import type { ClientSession, mongo } from 'mongoose';
import { database, isSharded } from './connect.ts';
import { byIds } from './documents.ts';

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
  /** Stages of an aggregation that follow, such as a join. */
  stages?: mongo.Document[];
}

/** Longest time that MongoDB may spend, in milliseconds. */
const maxTimeMS = 2_000;

/**
 * Reads documents of several collections in one round trip. On a sharded cluster it takes one for each collection: a
 * transaction that begins with a $lookup on another shard fails there.
 */
export async function readMany(wanted: Wanted[], session: ClientSession): Promise<mongo.Document[][]> {
  // A $lookup compares by no collation.
  const isSeparate = ({ condition, collated }: Wanted) => condition !== undefined && collated;
  const together = (await isSharded()) ? [] : wanted.filter((want) => !isSeparate(want));
  const found = new Map<Wanted, mongo.Document[]>();
  if (together.length > 1)
    for (const [i, documents] of (await readTogether(together, session)).entries())
      found.set(together[i] as Wanted, documents);
  for (const want of wanted) if (!found.has(want)) found.set(want, await readOne(want, session));
  return wanted.map((want) => found.get(want) as mongo.Document[]);
}

async function readTogether(wanted: Wanted[], session: ClientSession): Promise<mongo.Document[][]> {
  const parts = wanted.map((want, i) => ({
    $lookup: {
      from: want.collection,
      as: String(i),
      pipeline: [{ $match: filterOf(want) }, ...stagesOf(want)],
    },
  }));
  const [found] = await database()
    .aggregate([{ $documents: [{}] }, ...parts], { session, maxTimeMS })
    .toArray();
  return wanted.map((_, i) => found?.[i] as mongo.Document[]);
}

function readOne(want: Wanted, session: ClientSession): Promise<mongo.Document[]> {
  const collection = database().collection(want.collection);
  if (want.stages)
    return collection
      .aggregate([{ $match: filterOf(want) }, ...want.stages], { session, maxTimeMS })
      .toArray();
  const projection = want.idOnly && { projection: { _id: 1 } };
  return collection.find(filterOf(want), { session, maxTimeMS, ...projection }).toArray();
}

const stagesOf = ({ idOnly, stages = [] }: Wanted): mongo.Document[] =>
  idOnly ? [{ $project: { _id: 1 } }] : stages;

const filterOf = ({ ids, condition }: Wanted): mongo.Document => byIds(ids, condition);
