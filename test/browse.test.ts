import mongoose from 'mongoose';
import { MongoMemoryServer } from 'mongodb-memory-server-core';
import { findMongod } from '../src/mongo/embedded/binary.ts';
import { renewViews } from '../src/mongo/migrate/views.ts';
import { collections } from '../src/resources/api.ts';
import { viewsOf } from '../src/schema/views.ts';

/** What people may look at who browse a database that asks for a login. */

const { MongoClient } = mongoose.mongo;
const DATABASE = 'shelfmark';

let mongod: MongoMemoryServer;
const clients: InstanceType<typeof MongoClient>[] = [];

beforeAll(async () => {
  const { path, env } = await findMongod({
    binary: process.env['MONGOD_BINARY'],
    say: () => {},
  });
  Object.assign(process.env, env);
  mongod = await MongoMemoryServer.create({
    binary: { systemBinary: path },
    auth: { enable: true, customRootName: 'root', customRootPwd: 'root' },
  });
});
afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await mongod.stop();
});

async function as(username: string, authSource: string) {
  const auth = { username, password: username };
  const client = await new MongoClient(mongod.getUri(), { auth, authSource }).connect();
  clients.push(client);
  return client.db(DATABASE);
}

test('the role browse reads the views and nothing else; migrations renew it, where their user has the right to', async () => {
  const root = await as('root', 'admin');
  const all = { db: DATABASE, collection: '' };
  const roles = [
    // As scripts/compose/replica-set.js makes them; and a view that is no longer wanted.
    ['browse', [all, ['listCollections', 'dbStats']], [{ db: DATABASE, collection: 'old_named' }, ['find']]],
    ['letBrowse', [all, ['viewRole', 'grantRole', 'revokeRole']]],
  ] as const;
  for (const [createRole, ...privileges] of roles)
    await root.command({
      createRole,
      privileges: privileges.map(([resource, actions]) => ({ resource, actions })),
      roles: [],
    });
  for (const [createUser, roles] of [
    ['shelfmark', ['readWrite', 'dbAdmin', 'letBrowse']],
    ['limited', ['readWrite', 'dbAdmin']],
    ['browse', ['browse']],
  ] as const)
    await root.command({ createUser, pwd: createUser, roles });

  const views = viewsOf(collections);
  for (const { collection } of collections) await root.createCollection(collection);
  await root.collection('users').insertOne({ name: 'Ann', email: 'ann@example.org', passwordHash: 'x' });
  const browse = await as('browse', DATABASE);
  const outcome = (name: string) =>
    browse
      .collection(name)
      .find()
      .toArray()
      .then(
        () => 'shown',
        ({ code }) => code,
      );
  await renewViews(await as('limited', DATABASE), views);
  expect(await outcome('books_named')).toBe(13);

  for (const time of ['first', 'second']) {
    await renewViews(await as('shelfmark', DATABASE), views);
    for (const name of Object.keys(views))
      expect([time, name, await outcome(name)]).toEqual([time, name, 'shown']);
    for (const { collection } of collections)
      expect([time, collection, await outcome(collection)]).toEqual([time, collection, 13]);
    expect(await outcome('old_named')).toBe(13);
  }
  expect(JSON.stringify(await browse.collection('users_named').find().toArray())).not.toMatch(/email|Hash/);
  expect(Object.keys(views)).toEqual(expect.arrayContaining(['posts_named', 'books_named']));
  await expect(browse.collection('books_named').insertOne({})).rejects.toThrow();
});
