import mongoose, { type Model, type mongo } from 'mongoose';
import { migrations } from '../../src/migrations/index.ts';
import { changeView, createCollection } from '../../src/mongo/migrate/structure.ts';
import { up } from '../../src/mongo/migrate/run.ts';
import { collections, resources } from '../../src/resources/index.ts';
import { databaseOf } from '../../src/schema/layout.ts';
import type { AnyResource } from '../../src/schema/resource.ts';

/** Databases as the program needs them. */

/** Makes what the resources need: by the migrations, or as a test's own definitions say. */
export async function makeDatabase(db: mongo.Db, own: AnyResource[]): Promise<void> {
  if (own === resources) await up(db, migrations);
  else
    for (const [name, { indexes, ...layout }] of Object.entries(
      databaseOf([...new Set([...collections, ...own])]),
    )) {
      const { view, ...rest } = layout;
      const { up } = view
        ? changeView(name, { to: view })
        : createCollection(name, {
            ...rest,
            indexes: Object.entries(indexes).map(([name, index]) => ({ name, ...index })),
          });
      if (up.kind === 'structure') await up.apply(db, async () => {});
    }
}

/** An empty database with all migrations, for a process that the test starts. */
export async function freshDatabase(uri: string): Promise<void> {
  const client = await new mongoose.mongo.MongoClient(uri).connect();
  await client.db().dropDatabase();
  await up(client.db(), migrations);
  await client.close();
}

/** For what breaks the rules: it may have come there before there was a rule, or past it. */
export const anyhow = { bypassDocumentValidation: true };

export const storeAnyhow = ({ collection }: Pick<Model<any>, 'collection'>, ...documents: object[]) =>
  collection.insertMany(documents as mongo.Document[], anyhow);

/** Has a collection take what breaks the rules, also when it is changed later. */
export const liftRules = ({ collection }: Pick<Model<any>, 'collection'>) =>
  mongoose.connection
    .getClient()
    .db(mongoose.connection.name)
    .command({ collMod: collection.collectionName, validationLevel: 'off' });

/** Removes all documents; what the database is made of stays, as do its migrations. */
export async function empty(db: mongo.Db): Promise<void> {
  for (const { name } of await db.listCollections({ type: 'collection' }, { nameOnly: true }).toArray())
    if (!/^(migration|system\.)/.test(name)) await db.collection(name).deleteMany({});
}
