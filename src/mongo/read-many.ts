import type { ClientSession, mongo } from 'mongoose';
import { database, isSharded } from './connect.ts';
import { byIds } from './documents.ts';
import { QUERY_TIME } from './times.ts';

/** Documents of one collection, by their ids. */
export interface Wanted {
  collection: string;
  ids: readonly unknown[];
  /** A condition on the documents. */
  condition?: mongo.Document | undefined;
  /** The collation of the condition. */
  collation?: mongo.CollationOptions | undefined;
  /** Read the ids only. */
  idOnly?: true;
  /** Documents to read along with each one. */
  join?: Join | undefined;
}

/** The documents of another collection whose ids are in a list field. */
export interface Join {
  from: string;
  field: string;
  as: string;
}

export const joining = ({ from, field, as }: Join): mongo.Document => ({
  $lookup: { from, localField: field, foreignField: '_id', as },
});

/**
 * Reads documents of several collections in one round trip. On a sharded cluster it takes one per collection: there, a
 * transaction whose first read is a $lookup on another shard fails (error 51113).
 */
export async function readMany(wanted: Wanted[], session: ClientSession): Promise<mongo.Document[][]> {
  // All parts of one aggregation share a collation, and guards are compared by the bytes of their ids.
  const isSeparate = ({ condition, collation }: Wanted) => condition !== undefined && collation !== undefined;
  const isApart = await isSharded();
  const together = isApart ? [] : wanted.filter((want) => !isSeparate(want));
  const found = new Map<Wanted, mongo.Document[]>();
  if (together.length > 1)
    for (const [i, documents] of (await readTogether(together, session)).entries())
      found.set(together[i] as Wanted, documents);
  const read = isApart ? readApart : readOne;
  for (const want of wanted) if (!found.has(want)) found.set(want, await read(want, session));
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
    .aggregate([{ $documents: [{}] }, ...parts], { session, maxTimeMS: QUERY_TIME })
    .toArray();
  return wanted.map((_, i) => found?.[i] as mongo.Document[]);
}

function readOne(want: Wanted, session: ClientSession): Promise<mongo.Document[]> {
  const collection = database().collection(want.collection);
  const options = {
    session,
    maxTimeMS: QUERY_TIME,
    ...(want.condition && want.collation && { collation: want.collation }),
  };
  if (want.join)
    return collection.aggregate([{ $match: filterOf(want) }, joining(want.join)], options).toArray();
  const projection = want.idOnly && { projection: { _id: 1 } };
  return collection.find(filterOf(want), { ...options, ...projection }).toArray();
}

/** The same without a $lookup. */
async function readApart({ join, ...want }: Wanted, session: ClientSession): Promise<mongo.Document[]> {
  const found = await readOne(want, session);
  if (!join || found.length === 0) return found;
  const { from, field, as } = join;
  const others = await readOne({ collection: from, ids: found.map((one) => one[field]) }, session);
  return found.map((one) => ({ ...one, [as]: others.filter(({ _id }) => _id.equals(one[field])) }));
}

const stagesOf = ({ idOnly, join }: Wanted): mongo.Document[] => [
  ...(idOnly ? [{ $project: { _id: 1 } }] : []),
  ...(join ? [joining(join)] : []),
];

const filterOf = ({ ids, condition }: Wanted): mongo.Document => byIds(ids, condition);
