import mongoose, { Types } from 'mongoose';
import { migrations } from '../../src/migrations/index.ts';
import { database } from '../../src/mongo/connect.ts';
import { differences } from '../../src/mongo/differences.ts';
import { type Layout, readLayout } from '../../src/mongo/layout.ts';
import { JOURNAL } from '../../src/mongo/migrate/journal.ts';
import { LOCK } from '../../src/mongo/migrate/lock.ts';
import { down, up } from '../../src/mongo/migrate/run.ts';
import { collections } from '../../src/resources/api.ts';
import { databaseOf } from '../../src/schema/layout.ts';
import { viewsOf } from '../../src/schema/views.ts';
import { dbName, mongoUri } from '../support/harness.ts';

/** The registered migrations bring a database to where the registered definitions say. */

beforeAll(() => mongoose.connect(mongoUri, { dbName: `${dbName}_migrations`, bufferCommands: false }));
beforeEach(() => mongoose.connection.dropDatabase());
afterAll(async () => {
  await mongoose.connection.dropDatabase();
  await mongoose.disconnect();
});

const wanted = databaseOf(collections);
const views = viewsOf(collections);

test('make of an empty database what the definitions want', async () => {
  await up(database(), migrations, { views });
  expect(differences(wanted, await readLayout(database()))).toEqual([]);
});

/** Views are no part of migrations. */
const tables = async (): Promise<Layout> =>
  Object.fromEntries(Object.entries(await readLayout(database())).filter(([, { view }]) => !view));

test('can be undone as far as none says that it cannot, and applied again', async () => {
  const last = migrations.findLast(({ steps }) => steps.some(({ down }) => typeof down === 'string'));
  const to = last?.id ?? '0';
  if (last) await up(database(), migrations, { to });
  const before = await tables();
  await up(database(), migrations, { views });
  await down(database(), migrations, { to });
  const after = await tables();
  if (last) expect(differences(before, after)).toEqual([]);
  else expect(Object.keys(after)).toEqual([LOCK.collection, JOURNAL.collection]);
  await up(database(), migrations, { views });
  expect(differences(wanted, await readLayout(database()))).toEqual([]);
});

test('begin with one that takes a database that was filled before, and changes nothing in it', async () => {
  // As it makes one, but without rules and without a journal.
  const first = { to: '0001' };
  await up(database(), migrations, first);
  const made = await readLayout(database());
  const [user, tag, book, post] = Array.from({ length: 4 }, () => new Types.ObjectId());
  const when = { createdAt: new Date(0), updatedAt: new Date(0) };
  const stored: Record<string, object> = {
    users: {
      _id: user,
      name: 'Ann',
      email: 'ann@example.org',
      role: 'member',
      bio: null,
      passwordHash: null,
    },
    tags: { _id: tag, name: 'epic', description: null },
    books: {
      _id: book,
      title: 'Iliad',
      authors: ['Homer'],
      year: -750,
      isbn: null,
      language: 'grc',
      tags: [tag],
    },
    posts: {
      _id: post,
      title: 'Rage',
      body: 'Sing.',
      author: user,
      books: [book],
      tags: [tag],
      status: 'draft',
      publishedAt: null,
    },
  };
  for (const [name, document] of Object.entries(stored)) {
    await database().collection(name).insertOne(Object.assign(document, when));
    await database().command({ collMod: name, validator: {} });
  }
  for (const { collection } of [JOURNAL, LOCK]) await database().dropCollection(collection);

  await up(database(), migrations, first);
  expect(differences(made, await readLayout(database()))).toEqual([]);
  for (const [name, document] of Object.entries(stored))
    expect(await database().collection(name).find().toArray()).toEqual([document]);
});

test('leave validators that a person can read', async () => {
  for (const [collection, { schema, view }] of Object.entries(wanted)) {
    if (view || collection === 'refguards') continue;
    expect([schema?.title, schema?.description]).toEqual([expect.any(String), expect.any(String)]);
  }
});
