import { execFileSync } from 'node:child_process';
import { Ajv2020 } from 'ajv/dist/2020.js';
import mongoose, { Types, mongo } from 'mongoose';
import { pino } from 'pino';
import { z } from 'zod';
import { create, remove, update } from '../src/http/crud.ts';
import { list } from '../src/http/list.ts';
import { drain } from '../src/http/server.ts';
import { migrations } from '../src/migrations/index.ts';
import { database } from '../src/mongo/connect.ts';
import { rulesBroken } from '../src/mongo/failures.ts';
import { toMongo, type Validator } from '../src/mongo/layout.ts';
import { up } from '../src/mongo/migrate/run.ts';
import { Book } from './sample/books/book.ts';
import { User } from '../src/resources/users/user.ts';
import { Post } from './sample/posts/post.ts';
import { Tag } from './sample/tags/tag.ts';
import { resources, collections } from '../src/resources/api.ts';
import { decimal } from '../src/schema/decimal.ts';
import { day, instant, mapOf, objectId, ref, setOf, text } from '../src/schema/fields.ts';
import { connect } from '../src/schema/references.ts';
import type { Path } from '../src/schema/paths.ts';
import { typical } from '../src/schema/example.ts';
import { databaseOf } from '../src/schema/layout.ts';
import { resource, type AnyResource } from '../src/schema/resource.ts';
import { brokenRules } from '../src/schema/rules.ts';
import { shapeOf } from '../src/schema/shape.ts';
import { validatorOf } from '../src/schema/validator.ts';
import { viewsOf } from '../src/schema/views.ts';
import { CREDENTIALS, letIn } from './support/callers.ts';
import { dbName, mongoUri, serve } from './support/harness.ts';
import { compiled } from './support/process.ts';
import { modelOf } from '../src/schema/model.ts';

/** What holds for every definition, and what the parts of a definition promise. */

const textField = text;
let count = 0;
/** A definition of which only the fields matter. */
const define = (fields: Record<string, z.ZodType>, rest: object = {}) =>
  resource(`Thing${++count}`, {
    collection: `things${count}`,
    description: 'A thing',
    fields,
    example: { id: '65f000000000000000000e01' },
    ...rest,
  } as any);

describe('a definition is refused at start', () => {
  test.each([
    ['z.map()', z.map(z.string(), z.string())],
    ['z.any()', z.any()],
    ['z.unknown()', z.unknown()],
    ['z.string().default()', z.string().default('x')],
    ['z.string().optional()', z.string().optional()],
    ['z.array(z.any())', z.array(z.any())],
    ['z.strictObject({ a: z.any() })', z.strictObject({ a: z.any() })],
    ['z.object({ a: z.string() })', z.object({ a: z.string() })],
    ['z.array(z.array(z.string()))', z.array(z.array(z.string()))],
    ['z.union([…])', z.union([z.string(), z.int()])],
    ['z.record()', z.record(z.string(), z.string())],
    ['z.record() of other keys', z.record(z.enum(['a']), z.string())],
    ['a map of references', mapOf(ref('Tag', 'detach'), 9)],
    ['a multiple of a fraction', z.number().multipleOf(0.1)],
    ...[/x/m, /x/g, /x/y, /^.$/, /[^a]/, /\S/, /[\S]/u].map(
      (pattern) => [String(pattern), z.string().regex(pattern)] as const,
    ),
    [
      'a union with a reference',
      z.discriminatedUnion('a', [z.strictObject({ a: z.literal('x'), b: ref('Tag', 'detach') })]),
    ],
    ['a list of references or null', z.array(ref('Tag', 'detach').nullable())],
    ['z.literal(null)', z.literal(null)],
    ['z.literal() of several types', z.literal(['a', 1])],
    ['z.coerce.number()', z.coerce.number()],
    ['z.bigint()', z.bigint()],
    ['a transform', z.string().transform(String)],
    [
      'a codec of its own',
      z.codec(z.string(), z.instanceof(mongo.Decimal128), {
        decode: (text) => mongo.Decimal128.fromString(text),
        encode: String,
      }),
    ],
    ['z.date()', z.date()],
    ['z.custom()', z.custom(() => true)],
    [
      'an object five levels deep',
      [1, 2, 3, 4, 5].reduce((inner: z.ZodType) => z.strictObject({ a: inner }), z.string()),
    ],
  ])('for a field of a kind that is not supported: %s', (_, field) => {
    expect(() => define({ odd: field })).toThrow(/The field odd.*\n.*Supported: text/);
  });

  test('for a field with a name that a path cannot have, at any level', () => {
    for (const name of ['a.b', '$a', 'id', '__proto__x', ''])
      for (const fields of [{ [name]: z.int() }, { a: z.strictObject({ [name]: z.int() }) }])
        expect(() => define(fields)).toThrow('needs another name');
  });

  test('for a list that sorts by what is not one value', () => {
    expect(() => list(Book, { filter: [], sort: ['authors'] })).toThrow('Book cannot be sorted by authors');
    expect(() =>
      list(define({ place: z.strictObject({ city: text(1, 9) }) }), { filter: [], sort: ['place'] }),
    ).toThrow('sorted');
  });

  test('for a list that filters or sorts by what no answer shows', () => {
    const name = 'passwordHash';
    expect(() => list(User, { filter: [name], sort: [] })).toThrow(`User cannot be filtered by ${name}`);
    expect(() => list(User, { filter: [], sort: [name] })).toThrow(`User cannot be sorted by ${name}`);
  });

  test('for a filter or an order without an index, and says which to add', () => {
    const fields = { name: text(1, 9), year: z.int() };
    const indexes = [
      { key: { name: 1, _id: 1 }, where: { name: { $gt: '' } } },
      { key: { year: 1 } },
      { key: { year: -1, name: 1, _id: 1 } },
    ];
    const thing = define(fields, { indexes });
    const listing = (filter: string[], sort: string[]) => () => list(thing, { filter, sort } as never);
    expect(listing(['year'], ['-year,name', 'year,-name'])).not.toThrow();
    expect(listing(['name'], [])).toThrow(
      /Thing\d+ cannot be filtered by name: it leads no index. Add { key: { name: 1, _id: 1 } } to/,
    );
    // One of some documents, one without an end that is unique, one in which the other field goes the other way.
    for (const [sort, key] of [
      ['name', 'name: 1, _id: 1'],
      ['year', 'year: 1, _id: 1'],
      ['year,name', 'year: 1, name: 1, _id: 1'],
    ] as const)
      expect(listing([], [sort])).toThrow(
        `cannot be sorted by ${sort}: no index has that order. Add { key: { ${key} } }`,
      );
  });

  test.each([
    ['an access list', { access: { naem: { read: [] } } }, 'access names "naem", which is not a field'],
    ['a part of an access', { access: { name: { raed: [] } } }, 'access.name has no part "raed"; there are'],
    ['an access', { access: { name: 'hidden' } }, 'access.name has two lists'],
    [
      'who reads a field',
      { access: { name: { read: ['owners'] } } },
      'access.name.read takes anyone, owner, member, editor, admin, not "owners".',
    ],
    [
      'who writes a field',
      { access: { name: { write: [{ kind: 'a' }] } } },
      'access.name.write takes anyone, owner, member, editor, admin, not {"kind":"a"}.',
    ],
    ['a list', { policy: { read: 'anyone' } }, 'policy.read must be a list, not "anyone".'],
    [
      'who reads',
      { policy: { read: ['owners'] } },
      'policy.read takes anyone, owner, member, editor, admin, or a condition such as',
    ],
    ['who creates', { policy: { create: ['everyone'] } }, 'not "everyone".'],
    [
      'who updates',
      { policy: { update: [{ kind: 'a' }] } },
      'policy.update takes anyone, owner, member, editor, admin, not {"kind":"a"}.',
    ],
    ['who removes', { policy: { remove: ['editorr'] } }, 'not "editorr".'],
    ['an owner', { policy: { owner: 'naem' } }, 'policy.owner names "naem", which is not a field'],
    ['whose it is', { policy: { owner: 'name' } }, 'policy.owner names "name", which is not the id of one'],
    [
      'an owner that none is before',
      { policy: { owner: 'id', create: ['owner'] } },
      'a user cannot create itself',
    ],
    [
      'an owner that there is none of',
      { policy: { read: ['owner'] } },
      'policy.read names the owner, but policy.owner is missing.',
    ],
    [
      'a condition',
      { policy: { read: [{ knid: 'a' }] } },
      'policy.read names "knid", which is not a field; there are id, name, kind, place, place.city,',
    ],
    ['a value of a condition', { policy: { read: [{ kind: 'c' }] } }, 'policy.read: kind is never "c".'],
    [
      'what is searched, though not everybody may read it',
      { access: { name: { read: ['admin'] } } },
      'search names "name", and not every caller may read name',
    ],
    [
      'who writes what is part of an object, and cannot be left out',
      { access: { 'place.city': { write: ['admin'] } }, policy: { update: ['editor'] } },
      'access.place.city.write keeps some callers from writing a required field: give it a default.',
    ],
    ['a default', { defaults: { naem: null } }, 'defaults names "naem", which is not a field'],
    ['what is searched', { search: ['naem'] }, 'search names "naem", which is not a field'],
    [
      'an index',
      { indexes: [{ key: { naem: 1, _id: 1 } }] },
      'The index { key: { naem: 1, _id: 1 } } names "naem", which is not a field',
    ],
    ['a part', { acces: {} }, 'It has no part "acces".'],
    ['a part of the policy', { policy: { raed: ['admin'] } }, 'policy has no part "raed"; there are owner,'],
    ['the id of an example', { example: { id: 'x' } }, 'example.id must be 24 hexadecimal digits'],
  ])('for a typo in %s', (_, faulty, fault) => {
    const fields = {
      name: text(1, 9),
      kind: z.enum(['a', 'b']),
      place: z.strictObject({ city: text(1, 9) }),
    };
    const right = {
      access: { name: { write: ['owner'] }, 'place.city': { read: ['owner'] } },
      policy: { owner: 'id', read: ['owner', { kind: 'a' }], create: ['anyone'], update: ['editor'] },
      defaults: { kind: 'a' },
      search: ['name'],
      indexes: [{ key: { 'place.city': 1, createdAt: -1, _id: 1 } }],
    };
    expect(() => define(fields, right as object)).not.toThrow();
    expect(() => define(fields, { ...right, ...faulty } as object)).toThrow(fault);
  });

  test('with all that is wrong, and a collection that another has', () => {
    const faulty = { access: { b: { read: [] } }, policy: { owner: 'a' } } as object;
    expect(() => define({ name: text(1, 9) }, faulty)).toThrow(/Thing\d+ is invalid:\n.*"a".*\n.*"b"/);
    const [one, twin] = [define({}, { collection: 'twins' }), define({}, { collection: 'twins' })];
    expect(() => connect([one, twin])).toThrow('has the collection twins, which another resource has too.');
  });

  test('without its parts, as is a route, which the compiler refuses, too', () => {
    expect(() => define({}, { example: undefined, description: undefined })).toThrow(
      /The resource Thing\d+ lacks "description", "example"/,
    );
    // @ts-expect-error
    expect(() => create(Book)).toThrow('create(Book, …) lacks "example"');
    // @ts-expect-error
    expect(() => update(Book, {})).toThrow('update(Book, …) lacks "example"');
    // @ts-expect-error
    expect(() => remove(Book)).toThrow('remove(Book, …) lacks "example"');
    // @ts-expect-error
    expect(() => list(Book)).toThrow('The list of Book lacks "filter", "sort"');
  });

  test('for a filter or an order that is no field; the compiler refuses it too, and an example that lacks a field', () => {
    // @ts-expect-error
    expect(() => list(Book, { filter: ['colour'], sort: [] })).toThrow();
    // @ts-expect-error
    expect(() => list(Book, { filter: [], sort: ['colour'] })).toThrow();
    const nameless = {
      collection: 'x',
      description: 'x',
      fields: { name: text(1, 2) },
      example: { id: '65f000000000000000000e01' },
    };
    // @ts-expect-error
    expect(() => resource('Nameless', nameless)).not.toThrow();
  });
});

test('the paths of a resource are its fields, and those inside objects, lists and unions', () => {
  const thing = define({
    title: text(1, 9),
    condition: z.strictObject({ before: text(1, 9), after: text(1, 9).nullable() }).nullable(),
    notes: z.array(z.strictObject({ by: ref('User', 'restrict'), tags: z.array(ref('Tag', 'detach')) })),
    labels: mapOf(text(1, 9), 3),
    payment: z.discriminatedUnion('by', [
      z.strictObject({ by: z.literal('card'), last4: text(4, 4), at: instant() }),
      z.strictObject({ by: z.literal(['cash', 'gift']), at: instant(), odd: z.int() }),
      z.strictObject({ by: z.literal('free'), odd: z.boolean() }),
    ]),
  });
  const paths = [...thing.paths.values()].map(({ path, kind, lists, nullable, optional, reference }) => [
    path,
    kind,
    lists.join(),
    `${nullable ? 'nullable' : optional ? 'optional' : ''}`,
    reference?.target ?? '',
  ]);
  expect(paths).toEqual([
    ['id', 'id', '', '', ''],
    ['title', 'text', '', '', ''],
    ['condition', 'object', '', 'nullable', ''],
    ['condition.before', 'text', '', 'optional', ''],
    ['condition.after', 'text', '', 'nullable', ''],
    ['notes', 'object', 'notes', '', ''],
    ['notes.by', 'id', 'notes', '', 'User'],
    ['notes.tags', 'id', 'notes,notes.tags', '', 'Tag'],
    ['labels', 'map', '', '', ''],
    ['payment', 'union', '', '', ''],
    ['payment.by', 'enum', '', '', ''],
    ['payment.last4', 'text', '', 'nullable', ''],
    ['payment.at', 'instant', '', 'nullable', ''],
    ['createdAt', 'instant', '', '', ''],
    ['updatedAt', 'instant', '', '', ''],
  ]);
  expect(thing.paths.get('payment.by')?.schema.safeParse('gift').success).toBe(true);
});

describe('text()', () => {
  const ajv = new Ajv2020({ strict: false });
  test.each<[string, number, number, boolean]>([
    ['', 0, 5, true],
    ['', 1, 5, false],
    ['a', 1, 5, true],
    ['abcde', 1, 5, true],
    ['abcdef', 1, 5, false],
    ['📚📚📚📚📚', 1, 5, true],
    ['📚📚📚📚📚📚', 1, 5, false],
    ['📚', 2, 5, false],
    ['e\u0301', 2, 2, true],
    ['   ', 1, 5, false],
    ['   ', 0, 5, true],
    ['\u2003\u00a0', 1, 5, false],
    [' a ', 1, 5, true],
  ])('says of %j with %i to %i characters: %s, and so does its JSON Schema', (value, min, max, fits) => {
    expect(text(min, max).safeParse(value).success).toBe(fits);
    expect(ajv.validate(z.toJSONSchema(text(min, max)), value)).toBe(fits);
  });

  test.each(['\0', 'a\0b', '\ud800', '\udc00\ud800', 'a\udfff'])(
    'refuses %j, which MongoDB or another tool would change',
    (value) => {
      expect(text(0, 9).safeParse(value).success).toBe(false);
    },
  );
});

describe('what is one thing on the wire and another in MongoDB', () => {
  test('is an id there and back', () => {
    const id = objectId().parse('65F000000000000000000b01');
    expect(id).toBeInstanceOf(Types.ObjectId);
    expect(z.encode(objectId(), id)).toBe('65f000000000000000000b01');
    for (const bad of [
      '',
      'x',
      '65f000000000000000000b0',
      '65f000000000000000000b011',
      'abcdefabcdef',
      1,
      null,
      { $oid: '' },
    ])
      expect(objectId().safeParse(bad).success).toBe(false);
  });

  test('is a time there and back, whatever its zone', () => {
    expect(z.encode(instant(), instant().parse('2026-01-31T13:00:00+01:00'))).toBe(
      '2026-01-31T12:00:00.000Z',
    );
    for (const bad of [
      '',
      '2026-01-31',
      '2026-02-30T00:00:00Z',
      '2026-01-31T12:00:00',
      '2026-01-31 12:00:00Z',
      0,
      null,
    ])
      expect([bad, instant().safeParse(bad).success]).toEqual([bad, false]);
  });

  test('is a list in which nothing stands twice, however it is written', () => {
    const ids = setOf(objectId(), 2);
    expect(ids.safeParse(['65f000000000000000000b01', '65f000000000000000000b02']).success).toBe(true);
    const { error } = ids.safeParse(['65f000000000000000000b01', '65F000000000000000000B01']);
    expect(error?.issues).toMatchObject([{ path: [1], params: { code: 'repeated' } }]);
  });
});

test('an answer has the declared fields only, at every depth, and no value fails it', () => {
  const shape = shapeOf(
    z.strictObject({
      id: objectId(),
      at: instant().nullable(),
      list: z.array(z.strictObject({ name: text(1, 9) })),
      place: z.strictObject({ city: text(1, 9) }).nullable(),
    }),
  );
  const _id = new Types.ObjectId('65f000000000000000000b01');
  expect(
    shape({
      _id,
      at: new Date(0),
      list: [{ name: 'a', secret: 1 }],
      place: { city: 'b', secret: 1 },
      secret: 1,
    }),
  ).toEqual({
    id: '65f000000000000000000b01',
    at: '1970-01-01T00:00:00.000Z',
    list: [{ name: 'a' }],
    place: { city: 'b' },
  });
  expect(shape({ _id })).toEqual({ id: '65f000000000000000000b01', at: null, list: [], place: null });
  for (const odd of [null, 'x', 5, [], [null, 'x'], new Date(Number.NaN)])
    expect(() => JSON.stringify(shape({ _id, at: odd, list: odd, place: odd }))).not.toThrow();
});

describe('what MongoDB checks', () => {
  /** What MongoDB checks is what the definitions say, and the migrations bring a database there. */

  beforeAll(() => mongoose.connect(mongoUri, { dbName: `${dbName}_validators`, bufferCommands: false }));
  beforeEach(() => mongoose.connection.dropDatabase());
  afterAll(async () => {
    await mongoose.connection.dropDatabase();
    await mongoose.disconnect();
  });

  test('views show names for ids and nothing that is private; references that lead nowhere; what was migrated', async () => {
    await up(database(), migrations, { views: viewsOf(collections) });
    const [user, tag, book, post, gone] = Array.from({ length: 5 }, () => new Types.ObjectId());
    const when = { createdAt: new Date(0), updatedAt: new Date(0) };
    const ann = { ...User.defaults, name: 'Ann', email: 'ann@example.org', passwordHash: 's3cret' };
    await modelOf(User).collection.insertOne({ _id: user, ...ann, ...when } as never);
    await modelOf(Tag).collection.insertOne({ _id: tag, ...Tag.defaults, name: 'epic', ...when } as never);
    const iliad = { ...Book.defaults, title: 'Iliad', authors: ['Homer'], tags: [tag] };
    await modelOf(Book).collection.insertOne({ _id: book, ...iliad, ...when } as never);
    const rage = { ...Post.defaults, title: 'Rage', body: 'Sing.', author: user, books: [book, gone] };
    await modelOf(Post).collection.insertOne({ _id: post, ...rage, ...when } as never);
    const shown = (view: string) => database().collection(view).find().toArray();

    expect(await shown('users_named')).toEqual([{ _id: user, name: 'Ann', bio: null, ...when }]);
    expect(await shown('books_named')).toEqual([{ _id: book, ...iliad, tags: ['epic'], ...when }]);
    expect(await shown('posts_named')).toEqual([
      { _id: post, ...rage, author: 'Ann', books: ['Iliad', gone], ...when },
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
    const ids = (count: number) => Array.from({ length: count }, () => new Types.ObjectId());

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
        'a@-b.co',
        'a@b..co',
        '用户@例子.中国',
        'a\u00a0b@c.de',
        `${'a'.repeat(64)}@b.co`,
        `${'a'.repeat(65)}@b.co`,
        `a@${'b'.repeat(64)}.co`,
        ...['aa', 'aaa'].map((local) => `${local}@${Array(4).fill('b'.repeat(62)).join('.')}`),
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
      'Book.year': [
        -4001,
        -4000,
        -3999.5,
        2100,
        2101,
        1999.0000001,
        Long.fromNumber(2100),
        new Double(2100.5),
      ],
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
        'de-CH-x-phonebk',
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
      'Book.language': ['en-a', 'en-abcdefg-abcdefg'],
    };
    /** Nor, of a number that need not be a whole one, that it is no long which JavaScript cannot hold. */
    const looserIn = ({ name, paths, fields }: AnyResource): [string, unknown][] =>
      Object.keys(fields).flatMap((field) => {
        const at = `${name}.${field}`;
        const path = paths.get(field);
        const isNumber = path?.kind === 'number' && !path.many && path.schema.safeParse(2 ** 63).success;
        return [...(isNumber ? [Long.MAX_VALUE] : []), ...(looser[at] ?? [])].map(
          (value): [string, unknown] => [at, value],
        );
      });

    // And a resource with the kinds of field that ours have not.
    const place = z.strictObject({ city: textField(1, 3), at: z.strictObject({ x: z.number() }).nullable() });
    const amounts = (...values: string[]) => values.map((value) => Decimal128.fromString(value));
    const Kinds = define(
      {
        rating: z.number().min(0).nullable(),
        factor: z.number().gt(-1).lt(1.5),
        even: z.int().multipleOf(2),
        done: z.boolean(),
        level: z.literal([1, 2]),
        yes: z.literal(true),
        due: day(),
        fine: decimal(5, 2),
        fee: decimal(3, 3, { min: 0 }).nullable(),
        huge: decimal(34, 12),
        units: decimal(22, 0, { min: -5, max: 1000 }),
        word: z.string().regex(/^ab.c?\s$/iu),
        dots: z.string().regex(/^.[^\n]$/su),
        code: z
          .string()
          .startsWith('x.')
          .max(5)
          .regex(/[[\]y]$/),
        place,
        stops: z.array(place).max(2),
        labels: mapOf(textField(1, 3).nullable(), 2),
        paid: z
          .discriminatedUnion('by', [
            z.strictObject({ by: z.literal('card'), last4: textField(4, 4) }),
            z.strictObject({ by: z.literal(['cash', 'gift']), at: instant() }),
          ])
          .nullable(),
      },
      {
        example: {
          id: '65f000000000000000000e01',
          rating: 4.5,
          factor: 1,
          even: 2,
          done: true,
          level: 1,
          yes: true,
          due: '2026-01-31',
          fine: '12.50',
          fee: null,
          huge: '1',
          units: '7',
          word: 'abxc ',
          dots: '\nx',
          code: 'x.y',
          place: { city: 'Rom', at: null },
          stops: [],
          labels: { en: 'x' },
          paid: null,
        },
        rules: [
          {
            code: 'rated_undone',
            fields: ['rating'],
            message: 'must be null unless it is done',
            check: ({ rating, done }: { rating: unknown; done: boolean }) => rating === null || done,
            expression: { $or: [{ $eq: ['$rating', null] }, '$done'] },
          },
        ],
      },
    );
    valid.push([Kinds, typical(Kinds)]);
    const { city, at } = { city: 'Rom', at: { x: 0.5 } };
    const ofKinds: Record<string, unknown[]> = {
      rating: [-0.1, -0, 0, 1e-300, Number.MAX_VALUE],
      factor: [-1, -0.9999999999999999, 1.4999999999999998, 1.5, 0.1 + 0.2],
      even: [1, 2, -4, new Double(2.5), Long.fromNumber(6)],
      level: [1, 2, 3, '1', new Double(1), Long.fromNumber(2), 1.5],
      due: ['2024-02-29', '2023-02-29', '2026-1-31', '2026-01-31T00:00:00Z', '0000-01-01', '2026-01-31\n'],
      fine: amounts(
        '999.99',
        '-999.99',
        '1000',
        '-1000',
        '999.999',
        '0.001',
        '1E+2',
        '1E+3',
        '-0',
        'NaN',
        'Infinity',
        '1.230',
      ),
      fee: [...amounts('0.999', '0.9990', '1', '0', '-0.001', '0.0001', '1E-3', '1E-4'), 0.5, '0.5'],
      huge: amounts(
        '9999999999999999999999.999999999999',
        '-9999999999999999999999.999999999999',
        '10000000000000000000000',
        '0.000000000001',
        '0.0000000000001',
      ),
      units: amounts('-5', '-6', '1000', '1001', '1.0', '0.5'),
      word: ['ABx ', 'abc\u00a0', 'ab😀c\u2003', 'ab\n ', 'ab\u2028 ', 'abx\u0085', 'xabx '],
      dots: ['\n😀', '😀😀', 'x\n', '\u2028\u2029', 'x'],
      code: ['x.[', 'x.]', 'xy]', 'x.abcy', 'x.aby', 'x.y\n', 'x.\\'],
      place: [
        { city, at },
        { at, city },
        { city },
        { city, at: {} },
        { city, at: { x: '1' } },
        { city: '', at },
        { city, at, z: 1 },
      ],
      stops: [
        [{ city, at }],
        [
          { city, at: null },
          { city, at },
        ],
        [{ city }],
        [1],
        Array(3).fill({ city, at }),
      ],
      labels: [
        {},
        { a: 'x', b: null },
        { a: 'x', b: 'x', c: 'x' },
        { 'a b': 'x' },
        { '😀': 'x' },
        { ['x'.repeat(100)]: 'x' },
        { ['x'.repeat(101)]: 'x' },
        { '': 'x' },
        { 'a.b': 'x' },
        { a: 1 },
        { a: 'long' },
        { '\n': 'x' },
      ],
      paid: [
        { by: 'card', last4: '1234' },
        { by: 'card', at: new Date() },
        { by: 'gift', at: new Date() },
        { by: 'cash', at: new Date(), last4: '1234' },
        { by: 'free' },
        { last4: '1234' },
        { by: 'cash', at: 'x' },
      ],
    };
    for (const [field, values] of Object.entries(ofKinds)) special[`${Kinds.name}.${field}`] = values;

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
      if (type === 'record') return stored({ valueType: asStored(schema.def.valueType) });
      if (type === 'union') return stored({ options: schema.def.options.map(asStored) });
      if (type !== 'object') return schema;
      return stored({
        shape: Object.fromEntries(Object.entries(shape).map(([name, field]) => [name, asStored(field)])),
      });
    }

    test.each([...resources, Kinds])('$name', async (resource) => {
      const documents = corpus.filter((one) => one.resource === resource);
      // As MongoDB gives back what it stores: numbers of all types as numbers.
      const stored = documents.map(({ document }) =>
        mongo.BSON.deserialize(mongo.BSON.serialize(document), { promoteValues: true }),
      );
      const fields = { _id: objectId(), ...resource.fields, createdAt: instant(), updatedAt: instant() };
      const schema = asStored(z.strictObject(fields));
      const checked = { ...resource, rules: resource.rules.filter(({ expression }) => expression) };
      const byZod = stored.map(
        (document) => schema.safeParse(document).success && brokenRules(checked, document).length === 0,
      );

      const collection = await database().createCollection<any>('corpus', {
        validator: toMongo(databaseOf([resource])[resource.collection] as Validator),
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
      ).toEqual(looserIn(resource));
      for (const verdict of [true, false])
        expect(byMongo.filter((one) => one === verdict).length).toBeGreaterThan(10);
    });

    test('of a corpus that is large enough, and has every kind of field', () => {
      expect(corpus.length).toBeGreaterThan(500);
      // The compiler asks for those that come later.
      const kinds: Record<Path['kind'], true> = {
        text: true,
        day: true,
        integer: true,
        number: true,
        decimal: true,
        enum: true,
        boolean: true,
        instant: true,
        id: true,
        object: true,
        map: true,
        union: true,
      };
      const found = [...resources, Kinds].flatMap(({ fields, paths }) =>
        [...paths.values()].filter(({ path }) => path in fields).map(({ kind }) => kind),
      );
      expect(new Set(found)).toEqual(new Set(Object.keys(kinds)));
    });
  });
});

test('a definition is a value: importing one loads neither Mongoose nor the driver', () => {
  const loadedBy = (source: string): string[] => {
    const url = compiled(source).href;
    const script = `
      import { createRequire } from 'node:module';
      await import('${url}');
      console.log(JSON.stringify(Object.keys(createRequire('${url}').cache)));`;
    const output = execFileSync(process.execPath, ['--input-type=module', '--eval', script], {
      encoding: 'utf8',
    });
    return JSON.parse(output).filter((path: string) => /node_modules.(mongoose|mongodb)\b/.test(path));
  };
  expect(loadedBy('test/sample/posts/post.ts')).toEqual([]);
  expect(loadedBy('src/schema/model.ts')).not.toEqual([]);
});
