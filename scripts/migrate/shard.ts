import type { mongo } from 'mongoose';
import { isMongos } from '../../src/mongo/connect.ts';
import type { CollectionLayout } from '../../src/mongo/layout.ts';
import type { Surroundings } from './arguments.ts';

/** AlreadyInitialized: the collection has another shard key. */
const SHARDED_OTHERWISE = 23;
/** Compares strings by their bytes, as a shard key must. */
const collation = { locale: 'simple' };

/** Distributes the collections that grow over the shards of a cluster; answers the exit code. */
export async function shard({ db, wanted, growing, print }: Surroundings): Promise<number> {
  if (!isMongos(await db.admin().command({ hello: 1 })))
    throw new Error('The database is not a sharded cluster: MONGODB_URI must name its mongos.');
  const { databaseName, client } = db;
  for (const name of growing) {
    const layout = wanted[name];
    const unique = uniqueIndexOf(layout);
    if (unique) {
      print(`${name}: stays on one shard, because its index ${unique} is unique`);
      continue;
    }
    const key = shardKeyOf(layout);
    // MongoDB makes this index by itself only where there are no documents.
    if (key._id === 'hashed') await db.collection(name).createIndex(key, { collation });
    try {
      await client.db('admin').command({ shardCollection: `${databaseName}.${name}`, key, collation });
      print(`${name}: distributed by ${JSON.stringify(key)}`);
    } catch (error) {
      if ((error as mongo.MongoServerError).code !== SHARDED_OTHERWISE) throw error;
      print(`${name}: is distributed by another key, which stays`);
    }
  }
  return 0;
}

/** MongoDB can tell on each shard alone whether a value is unique only if the shard key is a part of the index. */
const uniqueIndexOf = (layout: CollectionLayout | undefined): string | undefined =>
  Object.entries(layout?.indexes ?? {}).find(([, { unique }]) => unique)?.[0];

/** ObjectIds grow with time: by ranges of them, all new documents would be written to one shard. */
const shardKeyOf = (layout: CollectionLayout | undefined): { _id: 'hashed' | 1 } => ({
  _id: layout?.schema?.properties?.['_id']?.bsonType === 'objectId' ? 'hashed' : 1,
});
