import { setTimeout as sleep } from 'node:timers/promises';
import mongoose, { type mongo } from 'mongoose';
import { type Arguments, readArguments } from '../../scripts/migrate/arguments.ts';
import { migrate } from '../../scripts/migrate/command.ts';
import { AuditEntry } from '../../src/http/audit.ts';
import { IDEMPOTENCY } from '../../src/http/idempotency.ts';
import { migrations } from '../../src/migrations/index.ts';
import { database } from '../../src/mongo/connect.ts';
import { GUARDS } from '../../src/mongo/guards.ts';
import { collections } from '../../src/resources/api.ts';
import { Session } from '../../src/resources/sessions/session.ts';
import { databaseOf } from '../../src/schema/layout.ts';
import { modelOf } from '../../src/schema/model.ts';
import { Book } from '../sample/books/book.ts';
import type { Request } from '../sample/duels.ts';
import { aBook, aPost, aTag, aUser, validBook } from '../sample/factories.ts';
import { expectWinners, fight } from '../sample/fight.ts';
import { Post } from '../sample/posts/post.ts';
import { Tag } from '../sample/tags/tag.ts';
import { aCaller } from '../support/callers.ts';
import { follow } from '../support/feeds.ts';
import { dbName, mongoUri, useApi } from '../support/harness.ts';
import { type ServerProcess, startServer } from '../support/process.ts';
import type { Cluster } from './cluster.ts';

/** The program on a cluster of two shards, over which the collections that grow are distributed. */

const { shards } = (globalThis as unknown as { cluster: Cluster }).cluster;
const api = useApi();
let other: ServerProcess;

async function command(line: string, db: mongo.Db = database()) {
  const printed: string[] = [];
  const code = await migrate(readArguments(line.split(' ')) as Arguments, {
    db,
    migrations,
    wanted: databaseOf(collections),
    growing: ['users', 'books', 'tags', 'posts', AuditEntry.collection, IDEMPOTENCY, GUARDS],
    folder: '',
    signal: new AbortController().signal,
    say: () => {},
    print: (text) => printed.push(text),
    startProgress: () => ({ update() {}, stop() {} }),
  });
  return { code, text: printed.join('\n') };
}

beforeAll(async () => {
  expect(await command('shard')).toMatchObject({ code: 0 });
  // Sessions off the shard of their users, which any of several is.
  const sessions = modelOf(Session).collection;
  const known = await sessions.find().toArray();
  await sessions.deleteMany({});
  await shardCollection(Session.collection);
  await sessions.insertMany(known);
  other = await startServer(`${mongoUri}${dbName}`);
});
afterAll(() => other?.stop());

const admin = () => mongoose.connection.getClient().db('admin');
const shardCollection = (name: string) =>
  admin().command({ shardCollection: `${dbName}.${name}`, key: { _id: 'hashed' } });

/** On how many shards this collection has documents. */
async function shardsOf(collection: string): Promise<number> {
  const found = await database()
    .collection(collection)
    .aggregate([{ $collStats: { count: {} } }])
    .toArray();
  return found.filter(({ count }) => count > 0).length;
}

const times = <T>(count: number, work: (i: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, i) => work(i)));

test('migrations are applied and undone; the index that distributes a collection is no difference', async () => {
  const distributed = await command('status');
  expect(distributed).toMatchObject({ code: 0, text: expect.not.stringContaining('distribute') });
  expect(await command('plan')).toMatchObject({ code: 0 });
  expect((await command('shard')).text).toMatch(
    /users: stays on one shard.*\n.*\nposts: distributed by {"_id":"hashed"}/s,
  );
  const db = mongoose.connection.getClient().db(`${dbName}_migrations`);
  await command('up --all', db);
  expect(await command('status', db)).toMatchObject({
    code: 0,
    text: expect.stringContaining(
      '\nNot distributed over the shards: posts, audit, idempotency, refguards. ' +
        'To distribute them: npm run migrate -- shard\n',
    ),
  });
  expect(await command('down --to 0', db)).toMatchObject({ code: 0 });
  expect(await command('status', db)).toMatchObject({ code: 1 });
  expect(await command('up --all', db)).toMatchObject({ code: 0 });
  await db.dropDatabase();
});

test('writes refer to documents on other shards, whichever shard the session is on', async () => {
  const [{ _id: book }, { _id: tag }] = [await aBook(), await aTag()];
  const callers = await times(8, () => aCaller('editor'));
  const made = await times(40, (i) => {
    const { id: author, token: as } = callers[i % 8] as (typeof callers)[number];
    const key = { 'idempotency-key': `key ${i >> 1}` };
    const body = { title: `Post ${i >> 4}`, body: 'winter', author, books: [book], tags: [tag] };
    return api.post('/posts', body, { as, headers: i < 16 ? key : {} });
  });
  expect(made.map(({ status }) => status)).toEqual(Array(40).fill(201));
  for (const collection of [Post.collection, AuditEntry.collection, Session.collection])
    expect([collection, await shardsOf(collection)]).toEqual([collection, 2]);

  const { _id: added } = await aTag();
  const items = made.map(({ body, headers }) => ({ path: `/posts/${body.id}`, etag: headers.get('etag') }));
  for (const { path, etag } of items.slice(0, 6)) {
    const headers = { 'if-match': etag as string };
    expect((await api.patch(path, { tags: [tag, added] }, { headers })).status).toBe(200);
    expect((await api.patch(path, { title: 'Late' }, { headers })).status).toBe(412);
  }
  expect((await api.delete(`/books/${book}`)).body.blockers).toMatchObject([{ resource: 'posts' }]);
  expect((await api.delete(`/tags/${tag}`)).status).toBe(204);
  expect(await modelOf(Post).countDocuments({ tags: tag })).toBe(0);
  expect(await modelOf(Post).countDocuments({ tags: added })).toBe(6);
  for (const { path } of items.slice(0, 4)) expect((await api.delete(path)).status).toBe(204);
});

test('creates that share transactions get their own answers, refusals among them', async () => {
  const [taken, { _id: tag }] = [await aTag(), await aTag()];
  const { _id: author } = await aUser();
  const nobody = '0123456789abcdef01234567';
  const kinds: [number, string, (i: number) => object][] = [
    [201, '/tags', (i) => ({ name: `name ${i}` })],
    [409, '/tags', () => ({ name: taken.name })],
    [201, '/posts', () => ({ title: 'T', body: 'B', author, tags: [tag] })],
    [422, '/posts', () => ({ title: 'T', body: 'B', author, tags: [tag, nobody] })],
    [201, '/books', (i) => ({ title: `T ${i}`, authors: ['A'], tags: [tag] })],
  ];
  const answers = await times(60, (i) => {
    const [, path, body] = kinds[i % kinds.length] as (typeof kinds)[number];
    return api.post(path, body(i));
  });
  expect(answers.map(({ status }) => status)).toEqual(answers.map((_, i) => kinds[i % kinds.length]?.[0]));
  expect(answers[1]?.body.errors).toMatchObject([{ pointer: '/name', code: 'duplicate' }]);
  expect(answers[3]?.body.errors).toMatchObject([{ pointer: '/tags/1', code: 'reference_not_found' }]);
  for (const [resource, count] of [
    [Tag, 14],
    [Post, 12],
    [Book, 12],
  ] as const)
    expect([resource.name, await modelOf(resource as never).countDocuments()]).toEqual([
      resource.name,
      count,
    ]);
});

test('a repeated POST is done once, and a batch is done as a whole', async () => {
  const headers = { 'idempotency-key': 'once' };
  const answers = await times(10, () => api.post('/books', validBook, { headers }));
  expect(new Set(answers.map(({ status, body }) => `${status} ${body.id}`)).size).toBe(1);
  const { _id: author } = await aUser();
  const post = { title: 'T', body: 'B', author };
  const operations = Array.from({ length: 8 }, () => ({ method: 'create', resource: 'posts', body: post }));
  expect((await api.post('/batch', { operations })).status).toBe(200);
  const spoilt = [
    ...operations,
    {
      method: 'create',
      resource: 'posts',
      body: { ...post, author: author.toHexString().replace(/./g, '0') },
    },
  ];
  expect((await api.post('/batch', { operations: spoilt })).status).toBe(422);
  expect(await modelOf(Post).countDocuments()).toBe(8);
});

test('lists, joins, searches, counts, groups, exports, views and the feed read from both shards', async () => {
  const { _id: author } = await aUser();
  // It starts up to two seconds in the past: not among the posts of the test before.
  await sleep(2_500);
  const feed = await follow(`${api.url()}/posts/changes`, { token: (await aCaller('admin')).token });
  await times(30, (i) => api.post('/posts', { title: `Post ${i}`, body: i % 3 ? 'snow' : 'winter', author }));
  const { body } = await api.get('/posts?limit=20&sort=title&include=author&count=exact');
  expect(body.page.total).toBe(30);
  const titles = body.items.map(({ title }: { title: string }) => title);
  expect(titles).toEqual(
    Array.from({ length: 30 }, (_, i) => `Post ${i}`)
      .toSorted()
      .slice(0, 20),
  );
  expect(body.items[0].author.id).toBe(author.toHexString());
  const rest = await api.get(`/posts?limit=20&sort=title&after=${body.page.next}`);
  expect(rest.body.items).toHaveLength(10);
  expect((await api.get('/posts?q=winter&count=exact')).body.page.total).toBe(10);
  const groups = await api.get('/posts/groups?by=author&show=count');
  expect(groups.body.items).toMatchObject([{ count: 30 }]);
  expect((await api.get('/posts/export?format=ndjson')).body.trim().split('\n')).toHaveLength(30);
  const shown = await database().collection('posts_named').find().toArray();
  expect(shown).toHaveLength(30);
  expect(new Set((await feed.events(30)).map(({ documentId }: any) => documentId)).size).toBe(30);
  feed.close();
});

test('of two that refer to a document and remove it at once, one wins', async () => {
  const send = async (server: number, [method, path, body]: Request) => {
    if (server === 0) return api.call(method, path, { body });
    const headers = { authorization: credentials, 'content-type': 'application/json' };
    const answer = await fetch(other.url + path, {
      method,
      headers,
      body: body && JSON.stringify(body),
    } as RequestInit);
    const text = await answer.text();
    return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) };
  };
  const credentials = `Bearer ${(await aCaller('admin')).token}`;
  await expectWinners(await fight(6, send), 5);
});

test('without one of its shards it serves what the other has, and recovers by itself', async () => {
  const { _id: author } = await aUser();
  const posts = await times(20, () => aPost({ author, status: 'published', publishedAt: new Date() }));
  await aBook();
  const primary = await mongoose.connection
    .getClient()
    .db('config')
    .collection<any>('databases')
    .findOne({ _id: dbName });
  const [dead] = shards.filter(({ name }) => name !== primary.primary);
  if (!dead) throw new Error('There is no such shard.');
  await dead.kill();
  const start = performance.now();
  const reads = await times(20, (i) => api.get(`/posts/${posts[i]?._id}`, { as: '' }));
  const writes = await times(6, (i) => api.post('/posts', { title: `T ${i}`, body: 'B', author }));
  expect(performance.now() - start).toBeLessThan(25_000);
  const answers = [...reads, ...writes];
  expect(new Set(answers.map(({ status }) => status))).toEqual(
    new Set([200, 201, 503].filter((status) => answers.some((one) => one.status === status))),
  );
  const refused = answers.filter(({ status }) => status === 503);
  expect(refused.length).toBeGreaterThan(0);
  for (const { headers } of refused) expect(headers.get('retry-after')).toMatch(/^\d+$/);
  expect((await api.get('/books', { as: '' })).status).toBe(200);

  await dead.start();
  const back = performance.now();
  let status = 0;
  while (status !== 201 && performance.now() - back < 20_000) {
    status = (await api.post('/posts', { title: 'Again', body: 'B', author })).status;
    if (status !== 201) await sleep(200);
  }
  expect(status).toBe(201);
  for (const { _id } of posts) expect((await api.get(`/posts/${_id}`)).status).toBe(200);
});
