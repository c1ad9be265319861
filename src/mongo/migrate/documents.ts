import type { mongo } from 'mongoose';
import type { Filter } from '../layout.ts';
import type { Documents, Foresight, How, Step, Structure } from './migration.ts';

type Change = { where: Filter } & How;

/**
 * Changes documents in one transaction: all of them, or none. Consecutive changes in a migration share one
 * transaction. For up to 10,000 documents; use `backfill` for more.
 */
export const change = (
  collection: string,
  { down, ...up }: Change & { /** What undoes it, or why nothing can. */ down: Change | string },
): Step => ({
  up: documents(collection, up),
  down: typeof down === 'string' ? down : documents(collection, down),
});

/** The inverse of a step that needs none. */
export const nothing: Structure = { kind: 'structure', title: 'nothing to undo', apply: async () => {} };

type OnlineChange = Change & {
  /**
   * What no document may match at the end; defaults to `where`. `false`: the previous version keeps storing such
   * documents, and a later step handles them.
   */
  verify?: Filter | false;
};

/**
 * Changes any number of documents while others read and write them: in batches, ordered by id, each a transaction that
 * also records its progress. So it can be stopped or killed at any moment and resumes where it was; each document is
 * changed once.
 */
export const backfill = (
  collection: string,
  {
    down,
    ...up
  }: OnlineChange & {
    /** What undoes it, or why nothing can. */
    down: OnlineChange | typeof nothing | string;
  },
): Step => ({
  up: online(collection, up),
  down: typeof down === 'string' || 'kind' in down ? down : online(collection, down),
});

const documents = (collection: string, { where, ...how }: Change): Documents => ({
  kind: 'documents',
  title: `change documents of ${collection}`,
  collection,
  where,
  how,
});

const online = (collection: string, { verify, ...change }: OnlineChange): Documents => ({
  ...documents(collection, change),
  title: `backfill ${collection}`,
  online: { ...(verify !== false && { verify: verify ?? change.where }), repeatable: verify === undefined },
});

/** Changes the matching documents, inside a transaction; returns how many changed. */
export async function changeMatching(
  db: mongo.Db,
  { collection, how }: Documents,
  where: Filter,
  options: { session: mongo.ClientSession; hint?: mongo.Hint },
): Promise<number> {
  const documents = db.collection(collection);
  if ('update' in how) return (await documents.updateMany(where, how.update, options)).modifiedCount;
  const found = await documents.find(where, options).toArray();
  const writes = found.flatMap((document) => {
    const update = updateOf(how.each(document));
    return update ? [{ updateOne: { filter: { _id: document._id }, update } }] : [];
  });
  if (writes.length === 0) return 0;
  return (await documents.bulkWrite(writes, { session: options.session, ordered: false })).modifiedCount;
}

function updateOf(fields: Record<string, unknown>): mongo.UpdateFilter<mongo.Document> | undefined {
  const entries = Object.entries(fields);
  const set = entries.filter(([, value]) => value !== undefined);
  const unset = entries.filter(([, value]) => value === undefined);
  if (entries.length === 0) return undefined;
  return {
    ...(set.length > 0 && { $set: Object.fromEntries(set) }),
    ...(unset.length > 0 && { $unset: Object.fromEntries(unset.map(([name]) => [name, ''])) }),
  };
}

const SAMPLES = 2;

/** How many documents would change, and the first few before and after. */
export async function foreseeDocuments(
  db: mongo.Db,
  { collection, where, how }: Documents,
): Promise<Foresight> {
  const documents = db.collection(collection);
  const first = [{ $match: where }, { $sort: { _id: 1 } }, { $limit: SAMPLES }];
  const before = await documents.aggregate(first).toArray();
  const after =
    'update' in how
      ? await documents.aggregate([...first, ...how.update]).toArray()
      : before.map((document) => merged(document, how.each(document)));
  return {
    changes: await documents.countDocuments(where),
    samples: before.map((document, i) => ({ before: document, after: after[i] })),
  };
}

const merged = (document: object, fields: object): object =>
  Object.fromEntries(Object.entries({ ...document, ...fields }).filter(([, value]) => value !== undefined));
