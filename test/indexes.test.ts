import { z } from 'zod';
import { create, read, update } from '../src/http/crud.ts';
import { list } from '../src/http/list.ts';
import { database } from '../src/mongo/connect.ts';
import { differences } from '../src/mongo/differences.ts';
import { indexName, readLayout } from '../src/mongo/layout.ts';
import { decimal } from '../src/schema/decimal.ts';
import { day, instant, mapOf, ref, setOf, text } from '../src/schema/fields.ts';
import { databaseOf } from '../src/schema/layout.ts';
import { connect } from '../src/schema/references.ts';
import { resource } from '../src/schema/resource.ts';
import { useApi } from './support/harness.ts';

/** Indexes of every kind: those that a definition may declare are the ones that MongoDB can make and serve. */

const fields = {
  title: text(1, 50),
  state: z.enum(['open', 'closed', 'lost']),
  count: z.int(),
  isOld: z.boolean(),
  fee: decimal(7, 2).nullable(),
  begins: day(),
  at: instant().nullable(),
  parent: ref('Crate', 'cascade').nullable(),
  tags: setOf(text(1, 9), 5),
  marks: z.array(z.int()).max(5),
  size: z
    .strictObject({ width: z.number().nullable(), inner: z.strictObject({ note: text(0, 50) }) })
    .nullable(),
  parts: z
    .array(
      z.strictObject({ note: text(1, 50), colours: setOf(text(1, 9), 5), sizes: z.array(z.int()).max(5) }),
    )
    .max(5),
  labels: mapOf(text(1, 9), 5),
};
const example = {
  id: '65f000000000000000000e01',
  title: 'T',
  state: 'open' as const,
  count: 1,
  isOld: false,
  fee: null,
  begins: '2026-01-31',
  at: null,
  parent: null,
  tags: [],
  marks: [],
  size: null,
  parts: [],
  labels: {},
};
const { id: _id, title: _title, ...defaults } = example;
const parent = { key: { parent: 1, _id: 1 } } as const;
let count = 0;
const define = (rest: object) =>
  resource(`Crate${++count}`, {
    collection: `crates${count}`,
    description: 'A crate',
    fields,
    example,
    ...rest,
  } as never);

const Crate = resource('Crate', {
  collection: 'crates',
  description: 'A crate',
  fields,
  policy: { read: ['anyone'] },
  defaults,
  indexes: [
    parent,
    // Three of one key.
    { key: { title: 1 }, unique: true, where: { state: 'open' } },
    { key: { title: 1 }, unique: true, where: { state: 'lost', 'size.inner.note': { $gt: '' } } },
    { key: { title: 1, _id: 1 } },
    { key: { count: 1, 'size.width': 1 }, unique: true, where: { 'size.width': { $type: 'number' } } },
    { key: { 'parts.note': 1, 'parts.colours': 1 } },
    { key: { at: 1 }, expireAfterSeconds: 3600, where: { $or: [{ isOld: true }, { fee: { $gt: 0 } }] } },
  ],
  search: ['title', 'size.inner.note', 'parts.note'],
  example,
});
connect([Crate]);

const api = useApi({
  resources: [Crate],
  routes: [
    list(Crate, { filter: ['title'], sort: ['title'] }),
    create(Crate, { example: { title: 'T' } }),
    read(Crate),
    update(Crate, { example: { title: 'U' } }),
  ],
});
const crate = async (body: object) => {
  const { status, body: answer } = await api.post('/crates', { title: 'T', ...body });
  return [status, ...(answer.errors ?? []).map(({ pointer, code }: any) => `${pointer} ${code}`)];
};

test('values are unique among the documents that meet the filter, and a refusal names the fields', async () => {
  expect(await crate({})).toEqual([201]);
  expect(await crate({})).toEqual([409, '/title duplicate']);
  const lost = { state: 'lost', size: { width: null, inner: { note: 'x' } } };
  expect(await crate({ state: 'closed' })).toEqual([201]);
  expect(await crate({ state: 'closed' })).toEqual([201]);
  expect(await crate(lost)).toEqual([201]);
  expect(await crate(lost)).toEqual([409, '/title duplicate']);
  expect(await crate({ ...lost, size: null })).toEqual([201]);
  const wide = { state: 'closed', count: 7, size: { width: 2, inner: { note: '' } } };
  expect(await crate(wide)).toEqual([201]);
  expect(await crate(wide)).toEqual([409, '/count duplicate', '/size/width duplicate']);
  const { id } = (await api.get('/crates?title=T&sort=-id')).body.items[0];
  expect((await api.patch(`/crates/${id}`, { state: 'open' })).body.code).toBe('duplicate_key');
});

test('q looks into texts of any depth', async () => {
  const part = { note: 'a red lid', colours: [], sizes: [] };
  await crate({ title: 'One', parts: [part] });
  await crate({ title: 'Two', size: { width: null, inner: { note: 'Red inside' } } });
  await crate({ title: 'Three' });
  const { items } = (await api.get('/crates?q=red')).body;
  expect(items.map(({ title }: any) => title).toSorted()).toEqual(['One', 'Two']);
});

test('an index has the name that MongoDB gives it; one with a filter has another one for each filter', () => {
  expect(indexName({ key: { title: 1, _id: -1 } })).toBe('title_1__id_-1');
  const named = (where: Record<string, unknown>) => indexName({ key: { title: 1 }, where });
  expect(named({ state: 'open' })).toBe('title_1_where_{"state":"open"}');
  expect(named({ count: 1, state: { $eq: 'open' } })).toBe(named({ state: 'open', count: 1 }));
  expect(named({ state: 'lost' })).not.toBe(named({ state: 'open' }));
});

test('the same index under another name is no difference', async () => {
  const wanted = databaseOf([Crate]);
  const differing = async () =>
    differences(
      { crates: wanted['crates'] as never },
      { crates: (await readLayout(database(), 'crates'))['crates'] as never },
    );
  expect(await differing()).toEqual([]);
  const crates = database().collection('crates');
  const open = { unique: true, partialFilterExpression: { state: 'open' }, collation: { locale: 'en' } };
  const [name] = Object.keys(wanted['crates']?.indexes ?? {}).filter((one) => one.includes('"open"'));
  await crates.dropIndex(name as string);
  expect(await differing()).toMatchObject([{ what: 'index', name, found: undefined }]);
  await crates.createIndex({ title: 1 }, { ...open, name: 'title_1' });
  expect(await differing()).toEqual([]);
  await crates.dropIndex('title_1');
  await crates.createIndex({ title: 1 }, { ...open, name: name as string });
});

/** What MongoDB makes of an index, and whether it then stores a document that has values everywhere. */
async function takenByMongo(index: {
  key: object;
  where?: object;
  unique?: boolean;
  expireAfterSeconds?: number;
}) {
  const { key, where, ...options } = index;
  const collection = database().collection(`trial${++count}`);
  try {
    await collection.createIndex(key as never, {
      ...options,
      ...(where && { partialFilterExpression: where }),
    });
    const part = { note: 'x', colours: ['red', 'blue'], sizes: [1, 2] };
    await collection.insertOne({
      title: 'T',
      count: 1,
      tags: ['a', 'b'],
      marks: [1, 2],
      at: new Date(),
      parts: [part, part],
    });
    return true;
  } catch {
    return false;
  } finally {
    await collection.drop();
  }
}

describe('an index that MongoDB makes is accepted', () => {
  test.each<{ key: object; where?: object; unique?: true; expireAfterSeconds?: number }>([
    { key: { title: 1, 'size.inner.note': -1, createdAt: 1 } },
    { key: { tags: 1, title: 1 } },
    { key: { 'parts.note': 1, 'parts.colours': 1 } },
    { key: { title: 'text', tags: 'text', 'parts.note': 'text', 'parts.colours': 'text' } },
    { key: { count: 1, title: 'text', state: 'text', isOld: 1 }, where: { isOld: true } },
    { key: { at: 1 }, expireAfterSeconds: 0 },
    ...[
      { at: null },
      { at: { $eq: null } },
      { 'size.width': { $gte: 1.5, $lt: 3 } },
      { fee: { $gt: 0 } },
      { begins: { $lte: '2026-01-31' } },
      { at: { $gt: new Date(0) } },
      { state: { $in: ['open', 'lost'] } },
      { isOld: true, state: 'open' },
      { tags: [] },
      { 'parts.colours': 'red' },
      { parent: { $type: 'objectId' } },
      { size: { $exists: true } },
      { size: null },
      { $or: [{ count: 1 }, { $and: [{ count: { $gt: 5 } }, { title: { $gt: '' } }] }] },
      { createdAt: { $gt: new Date(0) } },
    ].map((where) => ({ key: { title: 1 }, where })),
  ])('%j', async (index) => {
    expect(() => define({ indexes: [index] })).not.toThrow();
    expect(await takenByMongo(index)).toBe(true);
  });
});

describe('an index that MongoDB refuses, or later each document, is refused at start', () => {
  test.each<[object, string]>([
    [
      { at: { $ne: null } },
      "has $ne in its filter, which MongoDB refuses there: write { 'at': { $type: 'date' } }",
    ],
    [{ state: { $ne: 'open' } }, `write { 'state': { $in: ["closed", "lost"] } }`],
    [{ state: { $nin: ['open', 'lost'] } }, `write { 'state': { $in: ["closed"] } }`],
    [{ at: { $exists: false } }, 'write { at: null }, which missing values equal'],
    [{ title: { $regex: 'x' } }, 'has $regex in its filter'],
    [{ title: { $not: { $gt: 'x' } } }, 'it takes values, null, $eq, $gt'],
    [{ $nor: [{ count: 1 }] }, 'has $nor in its filter'],
    [{ $expr: { $gt: ['$count', 1] } }, 'has $expr in its filter'],
    [{ parts: { $elemMatch: { note: 'x' } } }, 'has $elemMatch in its filter'],
    [{ tags: { $size: 1 } }, 'has $size in its filter'],
    [{ $or: [] }, 'has an empty $or'],
    [{ $and: [{ $or: [{ count: { $mod: [2, 0] } }] }] }, 'has $mod in its filter'],
    [{ at: { $type: 'time' } }, 'has a $type for at that is not one of'],
  ])('because of its filter: %j', async (where, message) => {
    const index = { key: { title: 1 }, where };
    expect(() => define({ indexes: [index] })).toThrow(message);
    expect(await takenByMongo(index)).toBe(false);
  });

  test.each<[object, string]>([
    [{ tags: 1, marks: 1 }, 'two lists, tags and marks, which MongoDB cannot index together'],
    [{ 'parts.colours': 1, count: 1, 'parts.sizes': 1 }, 'two lists, parts.colours and parts.sizes'],
    [{ tags: 1, 'parts.note': 1 }, 'two lists'],
    [{ tags: 1, title: 'text' }, 'has the list tags beside texts'],
    [{ title: 'text', count: 1, state: 'text' }, 'has another path between its texts'],
    [{ title: 0 }, "has 0 for title: write 1, -1 or 'text'"],
    [{ title: 'words' }, 'has "words" for title'],
    [{}, 'has no path'],
  ])('because of its key: %j', async (key, message) => {
    expect(() => define({ indexes: [{ key }] })).toThrow(message);
    expect(await takenByMongo({ key })).toBe(false);
  });

  test('as is a second text index, and one that lets documents expire by more than one time', async () => {
    expect(() => define({ indexes: [{ key: { title: 'text' } }], search: ['title'] })).toThrow(
      'one per collection',
    );
    expect(() => define({ indexes: [{ key: { title: 'text' } }, { key: { state: 'text' } }] })).toThrow(
      'one per',
    );
    const index = { key: { at: 1, title: 1 }, expireAfterSeconds: 5 };
    expect(() => define({ indexes: [index] })).toThrow('needs a key with a single instant()');
    expect(await takenByMongo(index)).toBe(false);
  });
});

describe('an index that could not do what it is for is refused at start', () => {
  test.each<[object, string]>([
    [
      { key: { title: 1, 'size.innr.note': 1 } },
      'names "size.innr.note", which is not a field; there are id, title',
    ],
    [
      { key: { title: 1, size: 1 } },
      'names "size", which is not a single value: name a path inside it, such as size.width',
    ],
    [{ key: { labels: 1 } }, 'names "labels", which is not a single value and has no paths'],
    [{ key: { id: 1 } }, 'names "id", which MongoDB stores as _id'],
    [{ key: { _id: 1 } }, 'is redundant'],
    [{ key: { count: 'text' } }, 'searches "count", which is not a text'],
    [{ key: { title: 1 }, where: {} }, 'has an empty filter'],
    [
      { key: { title: 1 }, where: { 'size.depth': 1 } },
      'has a filter that names "size.depth", which is not a field',
    ],
    [{ key: { title: 1 }, where: { count: '1' } }, "compares count with '1', which is no integer"],
    [{ key: { title: 1 }, where: { state: 'opn' } }, "compares state with 'opn', a value that it never has"],
    [{ key: { title: 1 }, where: { count: null } }, 'has null for count, which is never null'],
    [{ key: { title: 1 }, where: { at: { $gt: null } } }, 'matches no document'],
    [{ key: { title: 1 }, where: { fee: 0.5 } }, 'compares fee with 0.5, which is no whole number'],
    [{ key: { title: 1 }, where: { size: { width: 1 } } }, 'compares size: for an object, only null'],
    [{ key: { title: 1 }, where: { state: { $in: [] } } }, 'has an empty $in for state'],
    [{ key: { title: 1 }, unique: false }, 'has a "unique" that is not true'],
    [
      { key: { title: 1 }, sparse: true },
      'has no part "sparse"; there are key, unique, where, expireAfterSeconds',
    ],
    [{ key: { title: 1 }, expireAfterSeconds: 5 }, 'needs a key with a single instant()'],
    [{ key: { at: 1 }, expireAfterSeconds: -1 }, 'that is not a whole number'],
  ])('%j', (index, message) => {
    expect(() => define({ indexes: [index] })).toThrow(message);
  });

  test('as is one that stands there twice, and a search in what is no text or not for everybody', () => {
    const [one, other] = [
      { state: 'open', count: { $eq: 1 } },
      { count: 1, state: 'open' },
    ];
    const key = { title: 1 };
    expect(() =>
      define({
        indexes: [
          { key, where: one },
          { key, where: other },
        ],
      }),
    ).toThrow('is declared twice');
    expect(() => define({ indexes: [{ key }, { key, unique: true }] })).toThrow('is declared twice');
    expect(() => define({ search: ['size.width'] })).toThrow(
      'search searches "size.width", which is not a text',
    );
    expect(() => define({ search: ['size.inner.nte'] })).toThrow(
      'search names "size.inner.nte", which is not a field',
    );
    const access = { size: { read: ['admin'] } };
    expect(() => define({ access, search: ['size.inner.note'] })).toThrow(
      'search names "size.inner.note", and not every caller may read size',
    );
  });

  test('the compiler refuses it, too', () => {
    const definition = { collection: 'none', description: 'None', fields, example };
    const faults = [
      // @ts-expect-error A path that there is not.
      () => resource('None', { ...definition, indexes: [{ key: { 'size.innr.note': 1 } }] }),
      // @ts-expect-error A value that it never has.
      () => resource('None', { ...definition, indexes: [{ key: { title: 1 }, where: { state: 'opn' } }] }),
      // @ts-expect-error An operator that filters of indexes do not have.
      () => resource('None', { ...definition, indexes: [{ key: { at: 1 }, where: { at: { $ne: null } } }] }),
      // @ts-expect-error Nothing to search in.
      () => resource('None', { ...definition, search: ['size.innr.note'] }),
    ];
    for (const fault of faults) expect(fault).toThrow('is invalid');
  });

  test('a text index, and one of some documents, serve no filter, sort or reference', () => {
    const indexes = [
      { key: { count: 1, title: 'text' } },
      { key: { begins: 1, _id: 1 }, where: { isOld: true } },
    ];
    const Odd = define({ indexes });
    for (const filter of ['count', 'begins'])
      expect(() => list(Odd, { filter: [filter], sort: [] } as never)).toThrow('it leads no index');
    expect(() => list(Odd, { filter: [], sort: ['begins'] } as never)).toThrow('no index has that order');
  });
});
