import { afterAll, beforeAll, expect, test } from '@jest/globals';
import mongoose, { type Types } from 'mongoose';
import { setTimeout as sleep } from 'node:timers/promises';
import { checkReferences } from '../src/schema/check.ts';
import { checkGuards } from '../src/schema/check-guards.ts';
import { Post, resources } from '../src/resources/index.ts';
import { database } from '../src/mongo/connect.ts';
import { CREDENTIALS, letIn } from './support/callers.ts';
import { freshDatabase } from './support/database.ts';
import { type Arena, arenas, type Duel, duels, type Request } from './support/duels.ts';
import { dbName, mongoUri } from './support/harness.ts';
import { runScript, type ServerProcess, startServer } from './support/process.ts';

/** Two server processes on one database, and clients that refer to what others remove in the same moment. */

const uri = Object.assign(new URL(mongoUri), { pathname: `/${dbName}_references` }).href;
const servers: ServerProcess[] = [];

beforeAll(async () => {
  await freshDatabase(uri);
  await mongoose.connect(uri, { bufferCommands: false });
  await letIn(database());
  servers.push(...(await Promise.all([startServer(uri), startServer(uri)])));
});

afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  await mongoose.connection.dropDatabase();
  await mongoose.disconnect();
});

async function send(server: number, [method, path, body]: Request): Promise<{ status: number; body: any }> {
  const response = await fetch(`${servers[server]?.url}${path}`, {
    method,
    headers: { authorization: CREDENTIALS, 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
}

/** Runs `work` for each of the items, so many at once. */
async function each<T>(items: T[], atOnce: number, work: (item: T, index: number) => Promise<void>) {
  const queue = items.entries();
  const worker = async () => {
    for (const [index, item] of queue) await work(item, index);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

/** How many references lead nowhere. Not by the code that is tested. */
async function dangling(): Promise<number> {
  let count = 0;
  for (const { from, field, target } of resources.flatMap(({ references }) => references))
    count += (
      await from.model.aggregate([
        { $unwind: `$${field}` },
        { $lookup: { from: target.collection, localField: field, foreignField: '_id', as: 'found' } },
        { $match: { found: [] } },
      ])
    ).length;
  return count;
}

const check = () => runScript('scripts/check-references.ts', [], { MONGODB_URI: uri });

/** What a check finds that runs all the time, until it is told that it is over. */
async function falseAlarms(isOver: () => boolean): Promise<number> {
  let count = 0;
  while (!isOver()) {
    for (const resource of resources)
      for await (const { dangling } of checkReferences(resource, false)) count += dangling.length;
    for await (const { surplus } of checkGuards(false)) count += surplus.length;
  }
  return count;
}

const DUELS_OF_EACH = 12;

test('of two that refer to a document and remove it at once, either one is refused or none refers to it', async () => {
  const all = duels.flatMap((duel) => Array<Duel>(DUELS_OF_EACH).fill(duel));
  const places = await arenas(all.length);
  const fought: { duel: Duel; arena: Arena; id: Types.ObjectId; acknowledged: boolean; outcome: string }[] =
    [];

  const watching = falseAlarms(() => fought.length === all.length);
  await each(all, 16, async (duel, index) => {
    const arena = places[index] as Arena;
    const hesitate = () => sleep(Math.random() * 12);
    const [referred, removed] = await Promise.all([
      hesitate().then(() => send(index % 2, duel.refer(arena))),
      // Half of them on the same server.
      hesitate().then(() => send((index >> 1) % 2, duel.remove(arena))),
    ]);
    fought.push({
      duel,
      arena,
      id: referred.status === 201 ? referred.body.id : (referred.body?.results?.[0].id ?? arena.post),
      acknowledged: referred.status < 300,
      outcome: `${referred.status} ${removed.status}`,
    });
  });

  const surprises = fought.filter(({ duel, outcome }) => !duel.outcomes.includes(outcome));
  expect(surprises.map(({ duel, outcome }) => `${duel.name}: ${outcome}`)).toEqual([]);
  for (const which of [0, 1]) // Either side wins sometimes, or there was no duel.
    expect(fought.filter(({ duel, outcome }) => duel.outcomes[which] === outcome).length).toBeGreaterThan(10);

  expect(await watching).toBe(0);
  expect(await dangling()).toBe(0);
  for (const { duel, arena, id, acknowledged } of fought) {
    const exists = await mongoose.connection
      .collection(`${duel.target}s`)
      .findOne({ _id: arena[duel.target] });
    const refers = await duel.from.model.exists({ _id: id, [duel.field]: arena[duel.target] });
    expect([duel.name, refers !== null]).toEqual([duel.name, acknowledged && exists !== null]);
    if (acknowledged) expect([duel.name, await duel.from.model.exists({ _id: id })]).not.toContain(null);
  }
  expect(await check()).toMatchObject({ exitCode: 0 });
}, 60_000);

test('a process that is killed in the middle leaves nothing half done, and what it was writing can soon be written', async () => {
  const [shared, ...places] = await arenas(13);
  const { owner, spare, tag } = shared as Arena;
  const posts = places.map(({ post }) => post);
  const tags = () => (Math.random() < 0.5 ? [spare, tag] : [tag]);
  // Long transactions, of which the first operation writes one of the posts.
  const batches = posts.map((id) => (): Request => {
    const operation = { method: 'update', resource: 'posts', id, body: { tags: tags() } };
    return ['POST', '/batch', { operations: Array(20).fill(operation) }];
  });
  const creation = (): Request => [
    'POST',
    '/posts',
    { title: 'Post', body: 'Body', author: owner, tags: tags() },
  ];

  const acknowledged: string[] = [];
  let running = true;
  const clients = [...batches, ...Array<() => Request>(8).fill(creation)].map(async (request) => {
    while (running) {
      const answer = await send(1, request()).catch(() => undefined);
      if (answer?.status === 201) acknowledged.push(answer.body.id);
    }
  });
  await sleep(1_500);
  await servers[1]?.kill();
  running = false;
  const killed = performance.now();
  await Promise.all(clients);
  const locked = await Promise.all(posts.map(isLocked));
  expect(locked).toContain(true);

  servers[1] = await startServer(uri);
  for (const post of posts)
    while ((await send(1, ['PATCH', `/posts/${post}`, { title: 'Again' }])).status !== 200)
      expect(performance.now() - killed).toBeLessThan(15_000);

  expect(acknowledged.length).toBeGreaterThan(0);
  expect(await Post.model.countDocuments({ _id: { $in: acknowledged } })).toBe(acknowledged.length);
  expect(await dangling()).toBe(0);
  expect(await check()).toMatchObject({ exitCode: 0 });
}, 60_000);

/** Whether a transaction that has not ended has written this document. */
async function isLocked(_id: Types.ObjectId): Promise<boolean> {
  const session = await mongoose.startSession();
  try {
    session.startTransaction();
    await Post.model.updateOne({ _id }, { $set: { title: 'Free' } }, { session });
    return false;
  } catch (error) {
    expect(error).toMatchObject({ code: 112 });
    return true;
  } finally {
    await session.endSession();
  }
}
