import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import mongoose, { mongo, Types } from 'mongoose';
import { pino } from 'pino';
import { z } from 'zod';
import { drain } from '../src/http/server.ts';
import { migrations } from '../src/migrations/index.ts';
import { database } from '../src/mongo/connect.ts';
import { rulesBroken } from '../src/mongo/failures.ts';
import { differences } from '../src/mongo/differences.ts';
import { readLayout } from '../src/mongo/layout.ts';
import { JOURNAL } from '../src/mongo/migrate/journal.ts';
import { LOCK } from '../src/mongo/migrate/lock.ts';
import { down, up } from '../src/mongo/migrate/run.ts';
import { Book, collections, Post, resources, Tag, User } from '../src/resources/index.ts';
import { instant, objectId } from '../src/schema/fields.ts';
import { databaseOf } from '../src/schema/layout.ts';
import { typical } from '../src/schema/example.ts';
import type { AnyResource } from '../src/schema/resource.ts';
import { validatorOf } from '../src/schema/validator.ts';
import { seed } from '../src/seed.ts';
import { CREDENTIALS, letIn } from './support/callers.ts';
import { dbName, mongoUri, serve } from './support/harness.ts';

/** What MongoDB checks is what the definitions say, and the migrations bring a database there. */

beforeAll(() => mongoose.connect(mongoUri, { dbName: `${dbName}_validators`, bufferCommands: false }));
beforeEach(() => mongoose.connection.dropDatabase());
afterAll(async () => {
  await mongoose.connection.dropDatabase();
  await mongoose.disconnect();
});

describe('the migrations', () => {
  const wanted = databaseOf(collections);

  test('make of an empty database what the definitions want', async () => {
    await up(database(), migrations);
    expect(differences(wanted, await readLayout(database()))).toEqual([]);
  });

  test('can be undone, and applied again', async () => {
    await up(database(), migrations);
    await down(database(), migrations, { to: '0' });
    expect(Object.keys(await readLayout(database()))).toEqual([LOCK.collection, JOURNAL.collection]);
    await up(database(), migrations);
    expect(differences(wanted, await readLayout(database()))).toEqual([]);
  });

  test('take a database that was filled before there were any, and change nothing in it', async () => {
    for (const { collection, model } of resources) {
      const { collation, indexes } = wanted[collection] as (typeof wanted)[string];
      await database().createCollection(collection, { ...(collation && { collation }) });
      for (const [name, { key, ...options }] of Object.entries(indexes))
        await model.collection.createIndex(key as mongo.IndexSpecification, { name, ...options });
    }
    await database().createCollection('refguards');
    await seed(() => {});
    const everything = () => Promise.all(resources.map(({ model }) => model.find().sort({ _id: 1 }).lean()));
    const before = await everything();
    expect(before.flat().length).toBeGreaterThan(15);
    await up(database(), migrations);
    expect(differences(wanted, await readLayout(database()))).toEqual([]);
    expect(await everything()).toEqual(before);
  });

  test('leave validators that a person can read', async () => {
    for (const [collection, { schema, view }] of Object.entries(wanted)) {
      if (view || collection === 'refguards') continue;
      expect([schema?.title, schema?.description]).toEqual([expect.any(String), expect.any(String)]);
    }
    expect(wanted['books']?.schema?.properties?.['year']?.description).toContain('negative is BC');
  });
});

test('views show names for ids and nothing that is private; references that lead nowhere; what was migrated', async () => {
  await up(database(), migrations);
  const [user, tag, book, post, gone] = ids(5) as [Id, Id, Id, Id, Id];
  const when = { createdAt: new Date(0), updatedAt: new Date(0) };
  const ann = { ...User.defaults, name: 'Ann', email: 'ann@example.org', passwordHash: 's3cret' };
  await User.model.collection.insertOne({ _id: user, ...ann, ...when } as never);
  await Tag.model.collection.insertOne({ _id: tag, ...Tag.defaults, name: 'epic', ...when } as never);
  const iliad = { ...Book.defaults, title: 'Iliad', authors: ['Homer'], tags: [tag] };
  await Book.model.collection.insertOne({ _id: book, ...iliad, ...when } as never);
  const rage = { ...Post.defaults, title: 'Rage', body: 'Sing.', author: user, books: [book, gone] };
  await Post.model.collection.insertOne({ _id: post, ...rage, ...when } as never);
  const shown = (view: string) => database().collection(view).find().toArray();

  expect(await shown('users_named')).toEqual([
    { _id: user, name: 'Ann', role: 'member', bio: null, ...when },
  ]);
  expect(await shown('books_named')).toEqual([{ _id: book, ...iliad, tags: ['epic'], ...when }]);
  expect(await shown('posts_named')).toEqual([
    { _id: post, ...rage, author: 'Ann', books: ['Iliad'], ...when },
  ]);
  expect(await shown('dangling_references')).toEqual([
    expect.objectContaining({ collection: 'posts', document: post, field: 'books', missing: gone }),
  ]);
  expect((await shown('migration_history')).map(({ _id, state }) => [_id, state])).toEqual(
    migrations.map(({ id }) => [id, 'applied']).reverse(),
  );
  await expect(
    database()
      .collection('books_named')
      .updateOne({}, { $set: { title: 'x' } }),
  ).rejects.toThrow(/view/);
});

type Id = Types.ObjectId;
const ids = (count: number): Id[] => Array.from({ length: count }, () => new Types.ObjectId());

test('what only MongoDB refuses is a 500, and the log names the rules, not the values', async () => {
  await up(database(), migrations);
  const { properties, ...rest } = validatorOf(Book);
  const title = { bsonType: 'string', maxLength: 3, pattern: '^x' };
  const $jsonSchema = { ...rest, properties: { ...properties, title }, required: ['shelf'] };
  await database().command({ collMod: 'books', validator: { $jsonSchema } });
  const lines: string[] = [];
  const logger = pino({}, { write: (line: string) => void lines.push(line) });
  await letIn(database());
  const { server, url } = await serve({ logger });
  const response = await fetch(`${url}/books`, {
    method: 'POST',
    headers: { authorization: CREDENTIALS, 'content-type': 'application/json' },
    body: JSON.stringify({ title: 'Middlemarch', authors: ['George Eliot'] }),
  });
  expect(await response.json()).toMatchObject({ status: 500, code: 'internal_error' });
  await drain(server);
  const log = lines.join('');
  for (const rule of ['title.maxLength', 'title.pattern', 'shelf.required']) expect(log).toContain(rule);
  expect(log).not.toMatch(/Middlemarch|Eliot/);
});

describe('MongoDB and Zod take the same documents', () => {
  const { Long, Int32, Double, Decimal128, Binary, Timestamp, MinKey, BSONRegExp } = mongo;
  const id = new Types.ObjectId();
  const stamps = { createdAt: new Date(), updatedAt: new Date() };
  const text = (length: number) => 'x'.repeat(length);

  /** A valid document of each, as it is stored; an e-mail address stands in no example, since it is private. */
  const valid = resources.map((resource): [AnyResource, Record<string, unknown>] => [
    resource,
    { ...typical(resource), ...(resource === User && { email: 'ann@example.org' }) },
  ]);

  const anything: unknown[] = [
    null,
    true,
    false,
    0,
    -1,
    1.5,
    2 ** 31,
    2 ** 53,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    new Int32(7),
    new Double(7),
    Long.fromNumber(7),
    Long.MAX_VALUE,
    Decimal128.fromString('7'),
    '',
    ' ',
    'x',
    '\u00a0',
    '\u2003\ufeff',
    '\u0085',
    'a\0b',
    '\0',
    'é\n',
    '😀',
    '\u2028x',
    id,
    id.toHexString(),
    new Date(),
    new Date(-1),
    [],
    [null],
    ['x'],
    ['x', 'x'],
    [id],
    [id, id],
    [[id]],
    {},
    { $x: 1 },
    new Binary(Buffer.from('x')),
    new Timestamp({ t: 1, i: 1 }),
    new MinKey(),
    new BSONRegExp('x'),
  ];

  const lengths = (...limits: number[]) =>
    limits.flatMap((limit) => [
      text(limit - 1),
      text(limit),
      text(limit + 1),
      '😀'.repeat(limit),
      '😀'.repeat(limit + 1),
    ]);
  const lists = (limit: number) => [ids(limit), ids(limit + 1)];

  /** Values that are near the edge of a field's own rules. */
  const special: Record<string, unknown[]> = {
    'User.name': lengths(100),
    'User.email': [
      'a@b.co',
      'A.B+c@example.org',
      'a@b',
      '@b.co',
      'a b@c.de',
      'ä@b.co',
      'a@b.co\n',
      'a..b@c.de',
      '.a@b.co',
      `${text(248)}@b.co`,
      `${text(249)}@b.co`,
      `${text(250)}@b.co`,
    ],
    'User.role': ['member', 'editor', 'admin', 'Admin', 'member\n'],
    'User.bio': lengths(2000),
    'User.passwordHash': lengths(500),
    'Tag.name': lengths(60),
    'Tag.description': lengths(1000),
    'Book.title': lengths(300),
    'Book.authors': [
      ...lengths(200).map((name) => [name]),
      ...[100, 101].map((count) => Array(count).fill('A')),
      ['A', ''],
      ['A', ' '],
      ['A', 1],
      ['A', 'A'],
    ],
    'Book.year': [-4001, -4000, -3999.5, 2100, 2101, 1999.0000001, Long.fromNumber(2100), new Double(2100.5)],
    'Book.isbn': [
      '0439023483',
      '043942089X',
      '9780061054884',
      '978006105488',
      '9770061054884',
      '043942089x',
      '043X42089X',
      '9780061054884\n',
      ' 9780061054884',
      '٠439023483',
      '97800610548840',
    ],
    'Book.language': [
      'en',
      'eng',
      'en-US',
      'EN',
      'e',
      'en-',
      'en_US',
      'zh-Hant-TW',
      'en\n',
      `en${'-abcdefg'.repeat(4)}`,
      `en${'-abcdefgh'.repeat(4)}`,
    ],
    'Book.tags': lists(20),
    'Post.title': lengths(200),
    'Post.body': lengths(20_000),
    'Post.status': ['draft', 'published', 'Draft'],
    'Post.publishedAt': [new Date(0), new Date('9999-12-31'), '2026-01-31T12:00:00Z', Date.now()],
    'Post.author': [id.toHexString(), { $oid: id.toHexString() }],
    'Post.books': lists(20),
    'Post.tags': lists(20),
  };

  /** What the schema language of MongoDB cannot say. */
  const looser: Record<string, unknown[]> = {
    'Book.isbn': ['0439023484', '9780061054885', '0439420890'],
  };

  const corpus = valid.flatMap(([resource, fields]) => {
    const document = { _id: null as unknown, ...fields, ...stamps };
    // Each has an id of its own, unless that is what it is about.
    const like = (changes: object) => ({ ...document, _id: new Types.ObjectId(), ...changes });
    const without = (name: string) =>
      Object.fromEntries(Object.entries(like({})).filter(([key]) => key !== name));
    const named = (name: string, values: unknown[] = []) =>
      values.map((value) => ({
        resource,
        name: `${resource.name}.${name}`,
        document: like({ [name]: value }),
      }));
    return [
      { resource, name: resource.name, document: like({}) },
      ...['extra', '__v', 'id'].map((name) => ({ resource, name, document: like({ [name]: 1 }) })),
      ...Object.keys(document).flatMap((name) => [
        ...(name === '_id' ? [] : [{ resource, name: `no ${name}`, document: without(name) }]),
        ...named(
          name,
          anything.filter((value) => name !== '_id' || mayBeId(value)),
        ),
        ...named(name, special[`${resource.name}.${name}`]),
        ...named(name, looser[`${resource.name}.${name}`]),
      ]),
    ];
  });

  /**
   * The driver makes an id where there is none. Whatever the validator, MongoDB takes no list, regular expression or
   * object with a dollar for one.
   */
  function mayBeId(value: unknown): boolean {
    return (
      value !== null &&
      !Array.isArray(value) &&
      !(value instanceof BSONRegExp) &&
      !(value instanceof Object && '$x' in value)
    );
  }

  /** A schema of what stands in MongoDB: of codecs the other side than that of JSON. */
  function asStored(schema: any): z.ZodType {
    const { type, shape, innerType, element, out } = schema.def;
    const stored = (part: object) => schema.clone({ ...schema.def, ...part });
    if (type === 'pipe') return out;
    if (type === 'nullable') return stored({ innerType: asStored(innerType) });
    if (type === 'array') return stored({ element: asStored(element) });
    if (type !== 'object') return schema;
    return stored({
      shape: Object.fromEntries(Object.entries(shape).map(([name, field]) => [name, asStored(field)])),
    });
  }

  test.each(resources)('$name', async (resource) => {
    const documents = corpus.filter((one) => one.resource === resource);
    // As MongoDB gives back what it stores: numbers of all types as numbers.
    const stored = documents.map(({ document }) =>
      mongo.BSON.deserialize(mongo.BSON.serialize(document), { promoteValues: true }),
    );
    const fields = { _id: objectId(), ...resource.fields, createdAt: instant(), updatedAt: instant() };
    const schema = asStored(z.strictObject(fields));
    const byZod = stored.map((document) => schema.safeParse(document).success);

    const collection = await database().createCollection<any>('corpus', {
      validator: { $jsonSchema: validatorOf(resource) },
    });
    const inserted = collection.insertMany(
      documents.map(({ document }) => document),
      { ordered: false },
    );
    const failure: mongo.MongoBulkWriteError = await inserted.catch((error) => error);
    const errors = [failure.writeErrors].flat();
    // What a command says of it: it names a field, and its rule.
    expect(rulesBroken(failure)?.[0]).toMatch(/^\w+\.\w+$/);
    expect(new Set(errors.map(({ code }) => code))).toEqual(new Set([121]));
    const refused = new Set(errors.map(({ index }) => index));
    const byMongo = documents.map((_, i) => !refused.has(i));
    const differing = documents.filter((_, i) => byZod[i] !== byMongo[i]);
    expect(
      differing.map(({ name, document }) => [name, (document as any)[name.split('.')[1] ?? '']]),
    ).toEqual(
      Object.entries(looser)
        .filter(([name]) => name.startsWith(`${resource.name}.`))
        .flatMap(([name, values]) => values.map((value) => [name, value])),
    );
    for (const verdict of [true, false])
      expect(byMongo.filter((one) => one === verdict).length).toBeGreaterThan(10);
  });

  test('of a corpus that is large enough', () => {
    expect(corpus.length).toBeGreaterThan(500);
  });
});
