import { setTimeout as sleep } from 'node:timers/promises';
import mongoose, { Types } from 'mongoose';
import { runAs, SYSTEM } from '../src/auth/caller.ts';
import { database } from '../src/mongo/connect.ts';
import { GUARDS } from '../src/mongo/guards.ts';
import { Post } from './sample/posts/post.ts';
import { resources } from '../src/resources/api.ts';
import { checkGuards } from '../src/schema/check-guards.ts';
import { transaction } from '../src/mongo/transaction.ts';
import { checkReferences } from '../src/schema/check.ts';
import { ref, setOf } from '../src/schema/fields.ts';
import { connect } from '../src/schema/references.ts';
import { type AnyResource, resource } from '../src/schema/resource.ts';
import { CREDENTIALS, letIn } from './support/callers.ts';
import { freshDatabase, empty, liftRules } from './support/database.ts';
import { type Arena, arenas, type Request } from './sample/duels.ts';
import { aBook, aPost, aTag } from './sample/factories.ts';
import { dangling, expectWinners, fight } from './sample/fight.ts';
import { dbName, mongoUri } from './support/harness.ts';
import { runScript, type ServerProcess, startServer } from './support/process.ts';
import { modelOf } from '../src/schema/model.ts';

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

const check = () => runScript('scripts/check-references.ts', [], { MONGODB_URI: uri });

/** What the check finds. */
async function findings(): Promise<number> {
  let count = 0;
  for (const resource of resources)
    for await (const { dangling } of checkReferences(resource)) count += dangling.length;
  for await (const { surplus } of checkGuards(false)) count += surplus.length;
  return count;
}

/** What it finds again and again, until it is told that it is over. */
async function falseAlarms(isOver: () => boolean): Promise<number> {
  let count = 0;
  for (; !isOver(); await sleep(100)) count += await findings();
  return count;
}

const DUELS_OF_EACH = 12;

test('of two that refer to a document and remove it at once, either one is refused or none refers to it', async () => {
  let isOver = false;
  const watching = falseAlarms(() => isOver);
  const fought = await fight(DUELS_OF_EACH, send);
  isOver = true;
  expect(await watching).toBe(0);
  await expectWinners(fought, 10);
  expect(await check()).toMatchObject({ exitCode: 0 });
});

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
  while (acknowledged.length === 0) await sleep(100);
  const isWriting = async () => (await Promise.all(posts.map(isLocked))).includes(true);
  await servers[1]?.killBetweenCommands(isWriting);
  running = false;
  const killed = performance.now();
  await Promise.all(clients);
  expect(await isWriting()).toBe(true);

  servers[1] = await startServer(uri);
  for (const post of posts)
    while ((await send(1, ['PATCH', `/posts/${post}`, { title: 'Again' }])).status !== 200)
      expect(performance.now() - killed).toBeLessThan(15_000);

  expect(acknowledged.length).toBeGreaterThan(0);
  expect(await modelOf(Post).countDocuments({ _id: { $in: acknowledged } })).toBe(acknowledged.length);
  expect(await dangling()).toBe(0);
  expect(await findings()).toBe(0);
});

/** Whether a transaction that has not ended has written this document. */
async function isLocked(_id: Types.ObjectId): Promise<boolean> {
  const session = await mongoose.startSession();
  try {
    session.startTransaction();
    await modelOf(Post).updateOne({ _id }, { $set: { title: 'Free' } }, { session });
    return false;
  } catch (error) {
    expect(error).toMatchObject({ code: 112 });
    return true;
  } finally {
    await session.endSession();
  }
}

describe('npm run check-references', () => {
  const SCRIPT = 'scripts/check-references.ts';
  const run = (...args: string[]) => runScript(SCRIPT, args, { MONGODB_URI: uri });

  beforeAll(async () => {
    // Other tools can do more than the API.
    for (const resource of resources) await liftRules(modelOf(resource));
  });
  beforeEach(() => empty(database()));

  const collection = (name: string) =>
    mongoose.connection.getClient().db(mongoose.connection.name).collection(name);
  const everything = async () =>
    Promise.all(
      ['users', 'tags', 'books', 'posts', GUARDS].map((name) =>
        collection(name).find().sort({ _id: 1 }).toArray(),
      ),
    );
  const guardOf = (name: string, id: Types.ObjectId) => `${name}:${id.toHexString()}:3`;

  describe('what other tools have broken', () => {
    const gone = new Types.ObjectId();
    /** What stands in the lines about it, in this order. */
    let broken: { books: Types.ObjectId[]; post: Types.ObjectId };

    beforeEach(async () => {
      const [tag, book] = [await aTag(), await aBook()];
      const post = await aPost({ tags: [tag._id], books: [book._id] });
      await collection('posts').updateOne(
        { _id: post._id },
        { $set: { author: gone, tags: [gone], books: [book._id, gone] } },
      );
      const books = await Promise.all(Array.from({ length: 24 }, () => aBook()));
      const ids = books.map(({ _id }) => _id).sort((a, b) => (a.toHexString() < b.toHexString() ? -1 : 1));
      await collection('books').updateMany(
        { _id: { $in: ids } },
        { $set: { tags: [tag._id, gone, 'junk'] } },
      );
      await collection(GUARDS).insertMany(
        [guardOf('tags', tag._id), guardOf('tags', gone), guardOf('shelves', gone), 'junk'].map(
          (_id) => ({ _id, n: 1 }) as any,
        ),
      );
      broken = { books: ids, post: post._id };
    });

    const lines = (detached = '', removed = detached) => [
      ...broken.books
        .slice(0, 10)
        .flatMap((book) => [
          `/books/${book} tags: /tags/${gone} does not exist${detached}`,
          `/books/${book} tags: "junk" is not an id${detached}`,
        ]),
      '  and 28 more dangling books.tags',
      `/posts/${broken.post} author: /users/${gone} does not exist`,
      `/posts/${broken.post} books: /books/${gone} does not exist`,
      `/posts/${broken.post} tags: /tags/${gone} does not exist${detached}`,
      ...['junk', guardOf('shelves', gone), guardOf('tags', gone)].map(
        (guard) => `${GUARDS} ${guard}: its document does not exist${removed}`,
      ),
    ];
    const findings = (stdout: string) =>
      stdout.split('\n').filter((line) => /^(\/|refguards|  and)/.test(line));

    test('is found, and only that', async () => {
      const before = await everything();
      const { exitCode, stdout, stderr } = await run();
      expect([exitCode, stderr]).toEqual([1, '']);
      expect(findings(stdout)).toEqual(lines());
      expect(stdout).toContain('48 dangling books.tags');
      expect(await everything()).toEqual(before);
    });

    test('is left alone by a dry run, which says what a repair would do', async () => {
      const before = await everything();
      const { exitCode, stdout } = await run('--repair', '--dry-run');
      expect(exitCode).toBe(1);
      expect(findings(stdout)).toEqual(lines('; would be removed from the list', '; would be removed'));
      expect(await everything()).toEqual(before);
    });

    test('is mended where its policy is detach; where that is restrict it remains, until somebody decides', async () => {
      const [users, tags, books, posts] = await everything();
      const { exitCode, stdout } = await run('--repair');
      expect(exitCode).toBe(1);
      expect(findings(stdout)).toEqual(lines('; removed from the list', '; removed'));
      expect(stdout).toMatch(/1 dangling posts\.author: .*PATCH \/posts\/\{id\}/);

      const [tag] = tags as any[];
      const later = expect.any(Date);
      const mended = (books as any[]).map((book) =>
        book.tags.length === 0 ? book : { ...book, tags: [tag._id], updatedAt: later },
      );
      expect(await everything()).toEqual([
        users,
        tags,
        mended,
        [{ ...posts?.[0], tags: [], updatedAt: later }],
        [{ _id: guardOf('tags', tag._id), n: 1 }],
      ]);
      const trail = await collection('audit').find().toArray();
      expect(trail.map(({ operation, method, changed }) => [operation, method, changed])).toEqual([
        ['check-references', 'RUN', 24],
        ['check-references', 'RUN', 1],
      ]);
      expect(trail[1]?.['changes']).toEqual([{ resource: 'posts', document: broken.post, action: 'update' }]);

      await collection('posts').updateOne(
        { _id: broken.post },
        { $set: { author: users?.[0]?._id, books: [] } },
      );
      expect(await run()).toMatchObject({
        exitCode: 0,
        stdout: expect.stringContaining('No reference is dangling.'),
      });
    });
  });

  test.each([['--dry-run'], ['--repare'], ['posts']])('%s is refused with the usage', async (argument) => {
    const { exitCode, stdout, stderr } = await run(argument);
    expect([exitCode, stdout]).toEqual([2, '']);
    expect(stderr).toContain('Usage: npm run check-references');
  });

  describe('policies that no resource of Shelfmark has', () => {
    const definition = { description: 'D', example: { id: '65f000000000000000000e01' } as never };
    const Room = resource('Room', { ...definition, collection: 'rooms', fields: {} });
    const Chair = resource('Chair', {
      ...definition,
      collection: 'chairs',
      fields: { room: ref(Room, 'detach').nullable() },
      indexes: [{ key: { room: 1 } }],
    });
    const Lamp = resource('Lamp', {
      ...definition,
      collection: 'lamps',
      fields: { room: ref(Room, 'cascade') },
      indexes: [{ key: { room: 1 } }],
    });
    const Bulb = resource('Bulb', {
      ...definition,
      collection: 'bulbs',
      fields: { lamps: setOf(ref(Lamp, 'restrict'), 5) },
      indexes: [{ key: { lamps: 1 } }],
    });
    connect([Room, Chair, Lamp, Bulb]);
    const gone = new Types.ObjectId();

    const mend = (resource: AnyResource) =>
      runAs(SYSTEM, async () => {
        const found = [];
        for await (const { dangling } of checkReferences(resource, transaction)) found.push(...dangling);
        return found;
      });

    test('one reference becomes null', async () => {
      const room = await modelOf(Room).create({});
      const [chair] = [
        await modelOf(Chair).create({ room: gone }),
        await modelOf(Chair).create({ room: room._id }),
      ];
      expect(await mend(Chair)).toMatchObject([{ id: chair._id, missing: [gone], mended: true }]);
      expect((await modelOf(Chair).find().sort({ _id: 1 }).lean()).map(({ room }) => room)).toEqual([
        null,
        room._id,
      ]);
      expect(await mend(Chair)).toEqual([]);
    });

    test('a document that depends on another goes like that, unless something refers to it', async () => {
      const [lamp, needed] = [
        await modelOf(Lamp).create({ room: gone }),
        await modelOf(Lamp).create({ room: gone }),
      ];
      await modelOf(Bulb).create({ lamps: [needed._id] });
      expect(await mend(Lamp)).toMatchObject([
        { id: lamp._id, mended: true },
        { id: needed._id, mended: false, reason: expect.stringContaining('1 bulbs by lamps') },
      ]);
      expect((await modelOf(Lamp).find().lean()).map(({ _id }) => _id)).toEqual([needed._id]);
      expect(await mend(Bulb)).toEqual([]);
    });

    test('what breaks another rule of its collection stays, and keeps nothing else from being mended', async () => {
      const chairs = await Promise.all(
        Array.from({ length: 5 }, () => modelOf(Chair).create({ room: gone })),
      );
      const [bad] = chairs;
      await mongoose.connection.db?.command({
        collMod: 'chairs',
        validator: { bad: { $exists: false } },
        validationLevel: 'off',
      });
      await collection('chairs').updateOne({ _id: bad?._id as Types.ObjectId }, { $set: { bad: true } });
      await mongoose.connection.db?.command({ collMod: 'chairs', validationLevel: 'strict' });
      const found = await mend(Chair);
      expect(found.filter(({ mended }) => mended)).toHaveLength(4);
      expect(found.filter(({ mended }) => !mended)).toMatchObject([
        { id: bad?._id, reason: expect.any(String) },
      ]);
      expect(await modelOf(Chair).countDocuments({ room: null })).toBe(4);
    });
  });
});
