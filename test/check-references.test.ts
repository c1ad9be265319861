import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import mongoose, { Types } from 'mongoose';
import { database } from '../src/mongo/connect.ts';
import { GUARDS } from '../src/mongo/guards.ts';
import { resources } from '../src/resources/index.ts';
import { checkReferences } from '../src/schema/check.ts';
import { ref, setOf } from '../src/schema/fields.ts';
import { link } from '../src/schema/references.ts';
import { type AnyResource, resource } from '../src/schema/resource.ts';
import { empty, freshDatabase, liftRules } from './support/database.ts';
import { aBook, aPost, aTag } from './support/factories.ts';
import { dbName, mongoUri } from './support/harness.ts';
import { runAs, SYSTEM } from '../src/auth/caller.ts';
import { runScript } from './support/process.ts';

const uri = Object.assign(new URL(mongoUri), { pathname: `/${dbName}_check` }).href;
const SCRIPT = 'scripts/check-references.ts';
const run = (...args: string[]) => runScript(SCRIPT, args, { MONGODB_URI: uri });

beforeAll(async () => {
  await freshDatabase(uri);
  await mongoose.connect(uri, { bufferCommands: false });
  // Other tools can do more than the API.
  for (const { model } of resources) await liftRules(model);
});
beforeEach(() => empty(database()));
afterAll(async () => {
  await mongoose.connection.dropDatabase();
  await mongoose.disconnect();
});

const collection = (name: string) =>
  mongoose.connection.getClient().db(mongoose.connection.name).collection(name);
const everything = async () =>
  Promise.all(
    [...resources.map((one) => one.collection), GUARDS].map((name) =>
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
    await collection('books').updateMany({ _id: { $in: ids } }, { $set: { tags: [tag._id, gone, 'junk'] } });
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
        `/books/${book} tags: "junk" is no id${detached}`,
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
    expect(findings(stdout)).toEqual(lines('; would be taken out', '; would be removed'));
    expect(await everything()).toEqual(before);
  });

  test('is mended where its policy is detach; where that is restrict it remains, until somebody decides', async () => {
    const [users, tags, books, posts] = await everything();
    const { exitCode, stdout } = await run('--repair');
    expect(exitCode).toBe(1);
    expect(findings(stdout)).toEqual(lines('; taken out', '; removed'));
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

    await collection('posts').updateOne(
      { _id: broken.post },
      { $set: { author: users?.[0]?._id, books: [] } },
    );
    expect(await run()).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('Every reference leads to a document.'),
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
  link([Room, Chair, Lamp, Bulb]);
  const gone = new Types.ObjectId();

  const mend = (resource: AnyResource) =>
    runAs(SYSTEM, async () => {
      const found = [];
      for await (const { dangling } of checkReferences(resource, true)) found.push(...dangling);
      return found;
    });

  test('one reference becomes null', async () => {
    const room = await Room.model.create({});
    const [chair] = [await Chair.model.create({ room: gone }), await Chair.model.create({ room: room._id })];
    expect(await mend(Chair)).toMatchObject([{ id: chair._id, missing: [gone], mended: true }]);
    expect((await Chair.model.find().sort({ _id: 1 }).lean()).map(({ room }) => room)).toEqual([
      null,
      room._id,
    ]);
    expect(await mend(Chair)).toEqual([]);
  });

  test('a document that depends on another goes like that, unless something refers to it', async () => {
    const [lamp, needed] = [await Lamp.model.create({ room: gone }), await Lamp.model.create({ room: gone })];
    await Bulb.model.create({ lamps: [needed._id] });
    expect(await mend(Lamp)).toMatchObject([
      { id: lamp._id, mended: true },
      { id: needed._id, mended: false, reason: expect.stringContaining('1 bulbs by lamps') },
    ]);
    expect((await Lamp.model.find().lean()).map(({ _id }) => _id)).toEqual([needed._id]);
    expect(await mend(Bulb)).toEqual([]);
  });

  test('what breaks another rule of its collection stays, and keeps nothing else from being mended', async () => {
    const chairs = await Promise.all(Array.from({ length: 5 }, () => Chair.model.create({ room: gone })));
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
    expect(await Chair.model.countDocuments({ room: null })).toBe(4);
  });
});
