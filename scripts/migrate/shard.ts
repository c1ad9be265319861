import type { mongo } from 'mongoose';
import { isMongos } from '../../src/mongo/connect.ts';
import type { CollectionLayout } from '../../src/mongo/layout.ts';
import type { Surroundings } from './arguments.ts';

/** AlreadyInitialized: the collection has another shard key. */
const SHARDED_OTHERWISE = 23;
/** Compares strings by their bytes, as a shard key must. */
const collation = { locale: 'simple' };

const isCluster = async (db: mongo.Db): Promise<boolean> => isMongos(await db.admin().command({ hello: 1 }));

/** Distributes the collections that grow over the shards of a cluster; returns the exit code. */
export async function shard({ db, wanted, growing, print }: Surroundings): Promise<number> {
  if (!(await isCluster(db)))
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
    // MongoDB creates this index automatically only for empty collections.
    if (key._id === 'hashed') await db.collection(name).createIndex(key, { collation });
    try {
      await client.db('admin').command({ shardCollection: `${databaseName}.${name}`, key, collation });
      print(`${name}: distributed by ${JSON.stringify(key)}`);
    } catch (error) {
      if ((error as mongo.MongoServerError).code !== SHARDED_OTHERWISE) throw error;
      print(`${name}: keeps its present shard key`);
    }
  }
  return 0;
}

/** The collections of a cluster that shard() would distribute; none if the database is not a cluster. */
export async function undistributed({ db, wanted, growing }: Surroundings): Promise<string[]> {
  if (!(await isCluster(db))) return [];
  const names = growing.filter((name) => !uniqueIndexOf(wanted[name]));
  // Not config.collections, which takes rights beyond this database.
  const stats = await Promise.all(names.map((collStats) => db.command({ collStats })));
  return names.filter((_, i) => !stats[i]?.['sharded']);
}

/** Each shard checks uniqueness by itself, which is only enough if the index begins with the shard key. */
const uniqueIndexOf = (layout: CollectionLayout | undefined): string | undefined =>
  Object.entries(layout?.indexes ?? {}).find(([, { unique }]) => unique)?.[0];

/** Hashed, because ObjectIds grow with time: with ranges of them, all new documents would go to one shard. */
const shardKeyOf = (layout: CollectionLayout | undefined): { _id: 'hashed' | 1 } => ({
  _id: layout?.schema?.properties?.['_id']?.bsonType === 'objectId' ? 'hashed' : 1,
});
