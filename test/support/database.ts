import mongoose, { type Model, type mongo } from 'mongoose';
import { migrations } from '../../src/migrations/index.ts';
import { changeView, createCollection } from '../../src/mongo/migrate/structure.ts';
import { up } from '../../src/mongo/migrate/run.ts';
import { collections, resources } from '../../src/resources/api.ts';
import { databaseOf } from '../../src/schema/layout.ts';
import type { AnyResource } from '../../src/schema/resource.ts';
import { viewsOf } from '../../src/schema/views.ts';

/** Databases as the program needs them. */

/** Makes what the resources need: by the migrations, or as a test's own definitions say. */
export async function makeDatabase(db: mongo.Db, own: AnyResource[]): Promise<void> {
  if (own === resources) await up(db, migrations, { views: viewsOf(collections) });
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

/**
 * Makes the database of this connection as the resources need it, with no documents. What the migrations have made
 * is used again, if everything that MongoDB tells about it is still the same.
 */
export async function renewDatabase(db: mongo.Db, own: AnyResource[]): Promise<void> {
  const made = mongoose.connection.getClient().db('tests').collection<{ _id: string; of: string }>('made');
  const _id = db.databaseName;
  if (own === resources && (await made.findOne({ _id }))?.of === (await structureOf(db))) return empty(db);
  await db.dropDatabase();
  await makeDatabase(db, own);
  if (own === resources) await made.replaceOne({ _id }, { of: await structureOf(db) }, { upsert: true });
}

/** What a database is made of: its collections and views with all of their options, indexes and migrations. */
async function structureOf(db: mongo.Db): Promise<string> {
  const found = (await db.listCollections().toArray()) as mongo.CollectionInfo[];
  const parts = found
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(async ({ name, type, options }) => ({
      name,
      type,
      options,
      indexes:
        type === 'collection' && !name.startsWith('system.') ? await db.collection(name).indexes() : [],
      migrations: name.startsWith('migration') ? await db.collection(name).find().toArray() : [],
    }));
  return JSON.stringify(await Promise.all(parts));
}

/** An empty database with all migrations, for a process that the test starts. */
export async function freshDatabase(uri: string): Promise<void> {
  const client = await new mongoose.mongo.MongoClient(uri).connect();
  await client.db().dropDatabase();
  await up(client.db(), migrations, { views: viewsOf(collections) });
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
