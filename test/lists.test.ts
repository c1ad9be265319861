import { get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import mongoose from 'mongoose';
import type { Route } from '../src/http/route.ts';
import { database } from '../src/mongo/connect.ts';
import { Book } from './sample/books/book.ts';
import { resources, routes } from '../src/resources/api.ts';
import type { AnyResource } from '../src/schema/resource.ts';
import { admin, CREDENTIALS, letIn } from './support/callers.ts';
import { makeDatabase, storeAnyhow } from './support/database.ts';
import { aBook, aTag, aPost, aUser } from './sample/factories.ts';
import { useApi } from './support/harness.ts';
import { modelOf } from '../src/schema/model.ts';

const api = useApi();

interface Page {
  items: { id: string; title: string }[];
  page: { limit: number; next: string | null; prev: string | null };
}
type Query = Record<string, string | number>;

const url = (query: Query, path = '/books'): string => {
  const parameters = Object.entries(query).map(([name, value]) => [name, String(value)] as [string, string]);
  return `${path}?${new URLSearchParams(parameters).toString()}`;
};

async function list(query: Query): Promise<Page> {
  const { status, body } = await api.get(url(query));
  expect([status, body.errors]).toEqual([200, undefined]);
  return body;
}

/** Without the check against the schema, which what other tools have stored need not fit. */
async function plainly(path: string): Promise<any> {
  const response = await fetch(api.url() + path, { headers: { authorization: CREDENTIALS } });
  expect([path, response.status]).toEqual([path, 200]);
  return response.json();
}
const listPlainly = (query: Query): Promise<Page> => plainly(url(query));

const titles = async (query: Query) => (await list(query)).items.map(({ title }) => title);
const ids = (pages: Page[]) => pages.flatMap(({ items }) => items.map(({ id }) => id));

/** From the first page to the last; `meanwhile` runs between two pages. */
async function walk(query: Query, { read = list, meanwhile = async () => {} } = {}): Promise<Page[]> {
  const pages = [await read(query)];
  for (let next = pages[0]?.page.next; next; next = pages.at(-1)?.page.next) {
    await meanwhile();
    pages.push(await read({ ...query, after: next }));
  }
  return pages;
}

async function walkBack(query: Query, last: Page, { read = list } = {}): Promise<Page[]> {
  const pages = [last];
  for (let prev = last.page.prev; prev; prev = pages[0]?.page.prev as string | null)
    pages.unshift(await read({ ...query, before: prev }));
  return pages;
}

/** What MongoDB itself says of the order. */
async function inOrder(sort: string): Promise<string[]> {
  const direction = sort.startsWith('-') ? -1 : 1;
  const field = sort.replace(/^-/, '').replace(/^id$/, '_id');
  const found = await modelOf(Book)
    .collection.find({}, { sort: { [field]: direction, _id: direction }, collation: { locale: 'en' } })
    .toArray();
  return found.map(({ _id }) => _id.toHexString());
}

/** Books with ties and nulls; those that are older than the rules lack a field here and there. */
async function manyBooks({ old = false } = {}): Promise<void> {
  const books = Array.from({ length: 15 }, (_, i) => ({
    title: ['Emma', 'emma', 'Ivanhoe', 'Ulysses 📚', 'É'][i % 5],
    authors: ['A'],
    year: [null, 1900, 1900, -50, 2000, 1900, null][i % 7],
    createdAt: new Date(1.7e12 + 1000 * (i % 3)),
    updatedAt: new Date(),
  }));
  const lacking = ([i, book]: [number, object]) =>
    Object.fromEntries(
      Object.entries(book).filter(([name]) => name !== ['title', 'year', 'createdAt'][i % 4]),
    );
  await storeAnyhow(modelOf(Book), ...(old ? [...books.entries()].map(lacking) : books));
}

const orders = ['title', '-title', 'year', '-year', 'createdAt', '-createdAt', 'id', '-id'];

test('a list answers 20 documents unless told otherwise, the newest first', async () => {
  for (let i = 0; i < 22; i++) await aBook({ title: `${i}` });
  const { items, page } = await list({});
  expect(items.map(({ title }) => title)).toEqual(Array.from({ length: 20 }, (_, i) => `${21 - i}`));
  expect(page).toEqual({ limit: 20, next: expect.any(String), prev: null });
  expect((await list({ limit: 100 })).items).toHaveLength(22);
  expect(await titles({ limit: 1 })).toEqual(['21']);
});

test('an empty list has no pages before or after it', async () => {
  expect(await list({})).toEqual({ items: [], page: { limit: 20, next: null, prev: null } });
});

test('next is null on the last page also where that page is full', async () => {
  for (let i = 0; i < 4; i++) await aBook();
  const pages = await walk({ limit: 2 });
  expect(pages.map(({ items, page }) => [items.length, page.prev === null, page.next === null])).toEqual([
    [2, true, false],
    [2, false, true],
  ]);
});

describe.each<[string, { old?: boolean }, typeof list]>([
  ['every book', {}, list],
  ['every book, also one that lacks the field,', { old: true }, listPlainly],
])('a walk forward and back meets %s once and in order', (_, kind, read) => {
  test.each(orders)('by %s', async (sort) => {
    await manyBooks(kind);
    const expected = await inOrder(sort);
    for (const limit of [1, 4]) {
      const pages = await walk({ sort, limit }, { read });
      expect(ids(pages)).toEqual(expected);
      expect(pages[0]?.page.prev).toBeNull();

      const back = await walkBack({ sort, limit }, pages.at(-1) as Page, { read });
      expect(ids(back)).toEqual(expected);
      expect(back[0]?.page.next).not.toBeNull();
    }
  });
});

test.each(['title', '-year', '-id'])(
  'what is added and removed during a walk by %s moves no other book',
  async (sort) => {
    await manyBooks();
    const before = await inOrder(sort);
    const staying = before.filter((_, i) => i % 5 !== 0);
    const leaving = before.filter((_, i) => i % 5 === 0);
    const meanwhile = async () => {
      await aBook({ title: 'A new one', year: -4000 });
      await aBook({ title: 'Zest', year: 1950 });
      await modelOf(Book).deleteOne({ _id: leaving.pop() as string });
    };
    const met = ids(await walk({ sort, limit: 3 }, { meanwhile }));
    expect(new Set(met).size).toBe(met.length);
    expect(met.filter((id) => staying.includes(id))).toEqual(staying);
  },
);

describe('a cursor', () => {
  const cursorOf = async (query: Query) => (await list(query)).page.next as string;

  test.each<[string, Query]>([
    ['in another sort', { sort: 'year' }],
    ['in the opposite sort', { sort: '-title' }],
    ['with a filter', { sort: 'title', year: 1900 }],
  ])('is refused %s', async (_, query) => {
    await manyBooks();
    const cursor = await cursorOf({ sort: 'title', limit: 2 });
    for (const side of ['after', 'before']) {
      const { status, body } = await api.get(url({ ...query, [side]: cursor }));
      expect([status, body.code]).toEqual([400, 'invalid_cursor']);
    }
  });

  test('is refused with another value of its filter, and by the list of another resource', async () => {
    await manyBooks();
    for (let i = 0; i < 3; i++) await aTag();
    const filtered = await cursorOf({ year: 1900, limit: 2 });
    expect((await api.get(url({ year: 1901, after: filtered }))).body.code).toBe('invalid_cursor');
    const { body: tags } = await api.get('/tags?limit=2');
    expect((await api.get(url({ after: tags.page.next }))).body.code).toBe('invalid_cursor');
    expect((await api.get(url({ after: await cursorOf({ limit: 2 }) }, '/tags'))).body.code).toBe(
      'invalid_cursor',
    );
  });

  test('holds for another limit', async () => {
    await manyBooks();
    const cursor = await cursorOf({ sort: 'title', limit: 2 });
    expect((await list({ sort: 'title', limit: 100, after: cursor })).items).toHaveLength(13);
  });

  test('that was tampered with is refused, whatever character of it changed', async () => {
    await manyBooks();
    const cursor = await cursorOf({ sort: 'title', limit: 2 });
    for (let i = 0; i < cursor.length - 2; i += 7) {
      const changed = cursor.slice(0, i) + (cursor[i] === 'A' ? 'B' : 'A') + cursor.slice(i + 1);
      const { status, body } = await api.get(url({ sort: 'title', after: changed }));
      expect([i, status, body.code]).toEqual([i, 400, 'invalid_cursor']);
    }
  });

  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  test.each([
    ['nothing', ''],
    ['garbage', '💥'],
    ['no list', encode({ $ne: null })],
    ['null', encode(null)],
    ['an empty list', encode([])],
    ['no digest', encode([{ $oid: '65f000000000000000000b01' }])],
    ['an operator', encode(['x', { $gt: '' }])],
    ['a regular expression', encode(['x', { $regularExpression: { pattern: '.', options: '' } }])],
    ['a broken id', encode(['x', { $oid: 'zz' }])],
    ['7,000 characters', 'A'.repeat(7000)],
  ])('that is %s is refused', async (_, cursor) => {
    for (const side of ['after', 'before']) {
      const { status, body } = await api.get(url({ [side]: cursor }));
      expect([status, body.code]).toEqual([400, 'invalid_cursor']);
    }
  });

  test.each<[string, unknown]>([
    ['a word', 'MCM'],
    ['a number in words', '1984'],
    ['an object', { bc: 1 }],
    ['a list', [1, 2]],
    ['a time', new Date(0)],
    ['true', true],
    ['not a number', Number.NaN],
    ['binary', new mongoose.mongo.Binary(Buffer.from('a'))],
  ])('of a document that has %s for a year is never a failure of the server', async (_, year) => {
    await storeAnyhow(modelOf(Book), { year }, { year }, { year: 5 });
    for (const sort of ['year', '-year']) {
      for (const limit of [1, 2]) {
        const { page } = await listPlainly({ sort, limit });
        const response = await fetch(api.url() + url({ sort, limit, after: page.next as string }));
        const { code } = (await response.json()) as { code?: string };
        expect([200, 400]).toContain(response.status);
        if (response.status === 400) expect(code).toBe('invalid_cursor');
      }
    }
  });

  test('cannot be combined with another one', async () => {
    await manyBooks();
    const cursor = await cursorOf({ limit: 2 });
    const { status, body } = await api.get(url({ after: cursor, before: cursor }));
    expect([status, body.errors]).toEqual([422, [expect.objectContaining({ parameter: 'before' })]]);
  });
});

describe('a filter', () => {
  const shelf = async () => {
    await aBook({ title: 'Iliad', authors: ['Homer'], year: -750, language: 'grc' });
    await aBook({ title: 'Odyssey', authors: ['Homer', 'Emily Wilson'], year: null, isbn: '9780441013593' });
    await aBook({ title: 'Ulysses', authors: ['James Joyce'], year: 1922 });
    await aBook({ title: 'Omeros', authors: ['Derek Walcott'], year: 1990 });
  };
  test.each<[Query, string[]]>([
    [{ title: 'Iliad' }, ['Iliad']],
    [{ title: 'iliad' }, []],
    [{ title: 'Ili' }, []],
    [{ authors: 'Homer' }, ['Iliad', 'Odyssey']],
    [{ authors: 'Emily Wilson' }, ['Odyssey']],
    [{ authors: 'Homer,Emily Wilson' }, []],
    [{ isbn: '9780441013593' }, ['Odyssey']],
    [{ language: 'grc' }, ['Iliad']],
    [{ year: 1922 }, ['Ulysses']],
    [{ year: -750 }, ['Iliad']],
    [{ 'year[gt]': 1922 }, ['Omeros']],
    [{ 'year[gte]': 1922 }, ['Omeros', 'Ulysses']],
    [{ 'year[lt]': 1922 }, ['Iliad']],
    [{ 'year[lte]': 1922 }, ['Iliad', 'Ulysses']],
    [{ 'year[gt]': -750, 'year[lt]': 1990 }, ['Ulysses']],
    [{ 'year[gte]': 0, authors: 'Derek Walcott' }, ['Omeros']],
    [{ title: '{"$ne":null}' }, []],
    [{ title: '$ne' }, []],
    [{ authors: '.*' }, []],
  ])('%j is met by %j', async (query, expected) => {
    await shelf();
    expect(await titles({ ...query, sort: 'title' })).toEqual(expected);
  });

  test('holds on every page of a walk', async () => {
    await manyBooks();
    const expected = await modelOf(Book)
      .find({ year: { $gte: 1900 } })
      .sort({ title: 1, _id: 1 })
      .distinct('_id');
    const pages = await walk({ 'year[gte]': 1900, sort: 'title', limit: 3 });
    expect(ids(pages).sort()).toEqual(expected.map(String).sort());
  });

  test('takes values that are encoded in any way a URL allows', async () => {
    await aBook({ title: 'A & B = C+D / É 📚' });
    const { body } = await api.get('/books?title=A+%26%20B+=%20C%2BD+/+%C3%89+%F0%9F%93%9A');
    expect(body.items).toHaveLength(1);
  });
});

describe('parameters', () => {
  const faultsOf = async (query: string) => {
    await aBook();
    const { status, body } = await api.get(`/books?${query}`);
    expect(body.errors?.every((fault: any) => fault.in === 'query')).toBe(true);
    return [status, body.code, ...body.errors.map((fault: any) => [fault.parameter, fault.code])];
  };

  test.each([
    '0',
    '101',
    '-1',
    '1e2',
    '1e9',
    '0x10',
    '',
    ' 5',
    '5 ',
    '5.0',
    '٥',
    'five',
    '9'.repeat(400),
    'null',
  ])('limit=%s is refused', async (limit) => {
    const [status, code, fault, ...others] = await faultsOf(`limit=${encodeURIComponent(limit)}`);
    expect([status, code, fault?.[0], others]).toEqual([422, 'validation_failed', 'limit', []]);
  });

  test.each([
    ['limit', 'limit'],
    ['year=abc', 'year'],
    ['year=1.5', 'year'],
    ['year=', 'year'],
    ['year[gte]=x', 'year[gte]'],
    ['title=', 'title'],
    ['title=%00', 'title'],
    ['title=a%00b', 'title'],
    ['title=%20', 'title'],
    [`title=${'a'.repeat(1001)}`, 'title'],
    ['sort=colour', 'sort'],
    ['sort=', 'sort'],
    ['sort=authors', 'sort'],
    ['sort=--id', 'sort'],
    ['sort=title,year', 'sort'],
    ['sort=%24natural', 'sort'],
  ])('%s is refused', async (query, parameter) => {
    const [status, code, fault, ...others] = await faultsOf(query);
    expect([status, code, fault?.[0], others]).toEqual([422, 'validation_failed', parameter, []]);
  });

  test.each([
    'titel=x',
    'Title=x',
    'title[regex]=x',
    'title[$ne]=x',
    'title[]=x',
    'year[gt][]=1',
    'createdAt[gt]=2020-01-01T00:00:00Z',
    '__proto__=x',
    '__proto__[limit]=1',
    'constructor=x',
    'toString=x',
    'hasOwnProperty=x',
    '$where=sleep(1000)',
    'where={}',
    'skip=10',
    '=x',
    '%E2%80%8Btitle=x',
  ])('%s is refused as unknown', async (query) => {
    const name = decodeURIComponent(query.slice(0, query.indexOf('=')));
    expect(await faultsOf(query)).toEqual([422, 'unknown_parameter', [name, 'unknown_parameter']]);
  });

  test('an unknown one is told what was meant', async () => {
    const { body } = await api.get('/books?titel=x&limits=5&colour=red');
    expect(body.errors.map((fault: any) => fault.message)).toEqual([
      expect.stringMatching(/did you mean title\?$/),
      expect.stringMatching(/did you mean limit\?$/),
      expect.stringMatching(/^is not a parameter of this operation$/),
    ]);
  });

  test('two of the same name are refused, also if they say the same', async () => {
    for (const query of ['limit=5&limit=5', 'title=a&title=b', 'year[gt]=1&year%5Bgt%5D=1'])
      expect(await faultsOf(query)).toEqual([
        422,
        'validation_failed',
        [expect.any(String), 'repeated_parameter'],
      ]);
  });

  test('all that is wrong is said at once', async () => {
    const [status, , ...faults] = await faultsOf(
      'limit=0&sort=colour&titel=x&year=abc&language=&isbn=1&isbn=2',
    );
    expect(status).toBe(422);
    expect(faults.map(([parameter]: any) => String(parameter)).toSorted()).toEqual([
      'isbn',
      'language',
      'limit',
      'sort',
      'titel',
      'year',
    ]);
  });

  test('thousands of unknown ones are answered quickly, and 50 of them named', async () => {
    const start = performance.now();
    const { status, body } = await api.get(
      `/books?${Array.from({ length: 1500 }, (_, i) => `p${i}`).join('&')}`,
    );
    expect([status, body.errors.length]).toEqual([422, 50]);
    expect(performance.now() - start).toBeLessThan(1000);
  });

  test.each(['title=%', 'title=%zz', 'title=%E0%A4%A', 'title=%C0%80', 'title=%ED%A0%80', '%FF=x'])(
    'the malformed query %s is a 400',
    async (query) => {
      const { status, body } = await api.get(`/books?${query}`);
      expect([status, body.code]).toEqual([400, 'malformed_query']);
    },
  );

  test('none is taken where a route declares none', async () => {
    const { _id } = await aBook();
    for (const path of [`/books/${_id}`, '/health/live', '/problems']) {
      const { status, body } = await api.get(`${path}?limit=5`);
      expect([path, status, body.code]).toEqual([path, 422, 'unknown_parameter']);
    }
    expect((await api.post('/books?upsert=true', { title: 'A', authors: ['A'] })).status).toBe(422);
    expect((await api.delete(`/books/${_id}?force=true`)).status).toBe(422);
    expect(await modelOf(Book).countDocuments()).toBe(1);
  });

  test('a query string of nothing is none', async () => {
    expect((await api.get('/books?')).status).toBe(200);
    expect((await api.get('/books?&&')).status).toBe(200);
  });
});

describe('the database reads little more than the page, by an index,', () => {
  const LIMIT = 5;
  const COUNT = 120;
  beforeAll(async () => {
    // An index of a field that ever held a list, as an older document above, sorts no more.
    await mongoose.connection.dropDatabase();
    await makeDatabase(database(), resources);
    await letIn(database());
  });

  const lists = resources.map((resource) => {
    const path = `/${resource.collection}`;
    const { query } = routes.find((route) => route.method === 'get' && route.path === path) as Route;
    const sorts = query.shape.sort.unwrap().options as string[];
    const filters = Object.keys(query.shape).filter((name) => name.replace(/\[.*/, '') in resource.fields);
    return { resource, path, sorts, filters };
  });

  test.each(lists)(
    'for every sort of $path, at its start and from a cursor',
    async ({ resource, path, sorts }) => {
      await fill(resource);
      for (const sort of sorts) {
        const first = await costOf(url({ limit: LIMIT, sort }, path));
        const second = await costOf(url({ limit: LIMIT, sort, after: first.next }, path));
        const back = await costOf(url({ limit: LIMIT, sort, before: second.next }, path));
        for (const cost of [first, second, back]) {
          expectIndexed(cost);
          expect(cost.sorted).toBe(false);
        }
      }
    },
  );

  test.each(lists)('for every filter of $path', async ({ resource, path, sorts, filters }) => {
    await fill(resource);
    const { items } = await plainly(`${path}?limit=100`);
    const [middle] = items.filter((_: unknown, i: number) => (COUNT - 1 - i) % 4 === 2);
    for (const parameter of filters) {
      const [, field = '', operator] = /^(\w+)(?:\[(\w+)\])?$/.exec(parameter) ?? [];
      const [value] = [middle[field]].flat();
      const operand = operator === 'exists' ? true : value;
      const cost = await costOf(
        url(
          { limit: LIMIT, [parameter]: operand, ...(operator && sorts.includes(field) && { sort: field }) },
          path,
        ),
      );
      // What contains some letters can only be found by looking at every key.
      expectIndexed(operator === 'contains' ? { ...cost, read: 0 } : cost);
      // Of an enumeration every document has the same value.
      if (operator !== 'ne' && operator !== 'nin') expect(cost.count).toBeGreaterThan(0);
      // A single document needs no order.
      if (cost.count > 1)
        expect({ path: cost.path, sorted: cost.sorted }).toEqual({ path: cost.path, sorted: false });
    }
  });

  const expectIndexed = ({ path, plan, read }: Awaited<ReturnType<typeof costOf>>) =>
    expect({ path, plan, read: read <= LIMIT + 5 ? 'little' : read }).toEqual({
      path,
      plan: expect.stringMatching(/^IXSCAN/),
      read: 'little',
    });

  /** Documents of four kinds, equal but in what is unique; one kind is null where it may be. */
  async function fill(resource: AnyResource): Promise<void> {
    const { fields, indexes } = resource;
    const unique = indexes.filter((index) => index.unique).flatMap(({ key }) => Object.keys(key));
    const documents = Array.from({ length: COUNT }, (_, i) => ({
      ...Object.fromEntries(
        Object.entries(fields).map(([name, field]) => [
          name,
          sample(field, unique.includes(name) ? i : i % 4),
        ]),
      ),
      createdAt: new Date(i % 4),
    }));
    await storeAnyhow(modelOf(resource), ...documents);
  }

  function sample({ def }: any, kind: number): unknown {
    switch (def.type) {
      case 'nullable':
        return kind === 0 ? null : sample(def.innerType, kind);
      case 'array':
        return [sample(def.element, kind)];
      case 'enum':
        return Object.values(def.entries)[0];
      case 'number':
        return kind;
      case 'pipe':
        return def.out.def.type === 'date'
          ? new Date(kind)
          : new mongoose.Types.ObjectId(`${kind}`.padStart(24, '0'));
      default:
        return `text ${kind}`;
    }
  }

  /** What the query of a request cost, as MongoDB's own profiler saw it. */
  async function costOf(path: string) {
    const db = mongoose.connection.db as mongoose.mongo.Db;
    const profile = db.collection('system.profile');
    await profile.drop().catch(() => {});
    await db.command({ profile: 2 });
    const body = await plainly(path);
    await db.command({ profile: 0 });
    const ns = `${db.databaseName}.${path.slice(1).replace(/\?.*/, '')}`;
    const [query, ...others] = await profile
      .find({ ns, op: 'query', 'command.filter._id': { $ne: admin._id } })
      .toArray();
    expect(others.map(({ command }) => command)).toEqual([]);
    return {
      path,
      plan: query?.['planSummary'] as string,
      read: query?.['keysExamined'] as number,
      sorted: (query?.['hasSortStage'] ?? false) as boolean,
      count: body.items.length as number,
      next: body.page.next as string,
    };
  }
});

describe('an export', () => {
  const ndjson = { headers: { accept: 'application/x-ndjson' } };
  const csv = { headers: { accept: 'text/csv' } };
  const rows = async (path: string): Promise<string[]> => (await api.get(path, csv)).body.split('\r\n');

  const lines = (text: string): any[] =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));

  test('is one JSON document a line, with the same filters, sort, fields and joins', async () => {
    const ann = await aUser({ name: 'Ann' });
    for (let i = 0; i < 3; i++) await aPost({ title: `p${i}`, author: ann._id });
    await aPost({ title: 'other' });
    const { status, headers, body } = await api.get(
      `/posts/export?author=${ann._id}&sort=-title&include=author&fields=title,author.name`,
      ndjson,
    );
    expect([status, headers.get('content-type')]).toEqual([200, 'application/x-ndjson']);
    expect(lines(body)).toEqual(
      ['p2', 'p1', 'p0'].map((title) => ({
        id: expect.any(String),
        title,
        author: { id: String(ann._id), name: 'Ann' },
      })),
    );
    expect(headers.get('content-disposition')).toBe('attachment; filename="posts.ndjson"');
  });

  test('is CSV if Accept or format says so, names first', async () => {
    await aBook({ title: 'A "b", c', authors: ['X', 'Y'], year: null });
    const { headers, body } = await api.get('/books/export?fields=title,authors,year', csv);
    expect(headers.get('content-type')).toMatch(/^text\/csv/);
    expect(body.split('\r\n')).toEqual([
      'id,title,authors,year',
      expect.stringMatching(/^[0-9a-f]{24},"A ""b"", c","\[""X"",""Y""\]",$/),
      '',
    ]);
    expect((await api.get('/books/export?year=1&format=csv')).body).toMatch(/^id,title,authors[^\n]*\r\n$/);
  });

  test('quotes line breaks of any kind, so that every document is one row', async () => {
    for (const title of ['a\rb', 'a\nb', 'a\u2028b', 'a\u0085b', 'plain']) await aBook({ title });
    const [, ...found] = await rows('/books/export?fields=title&sort=id');
    expect(found.map((row) => row.replace(/^[0-9a-f]{24},/, ''))).toEqual([
      '"a\rb"',
      '"a\nb"',
      '"a\u2028b"',
      '"a\u0085b"',
      'plain',
      '',
    ]);
  });

  test('escapes what a spreadsheet would take for a formula, if asked to, and begins with a mark', async () => {
    await aBook({ title: '=HYPERLINK("http://x")', authors: ['-A'], year: -750 });
    await aBook({ title: '@SUM(1)', language: 'en' });
    const columns = 'fields=title,year&sort=id&format=csv';
    expect((await rows(`/books/export?${columns}`))[1]).toMatch(/,"=HYPERLINK\(""http:\/\/x""\)",-750$/);
    const escaped = await rows(`/books/export?${columns}&formulas=escape&bom=true`);
    expect(escaped[1]).toMatch(/,"'=HYPERLINK\(""http:\/\/x""\)",-750$/);
    expect(escaped[2]).toMatch(/,'@SUM\(1\),/);
    const raw = await fetch(`${api.url()}/books/export?format=csv&bom=true`);
    expect([...new Uint8Array(await raw.arrayBuffer()).slice(0, 3)]).toEqual([0xef, 0xbb, 0xbf]);
  });

  test('has no pages, and no form but these', async () => {
    const { body } = await api.get('/books/export?offset=1&count=exact&limit=5&formulas=escape&format=xml');
    expect(body.errors.map(({ parameter }: any) => parameter).sort()).toEqual([
      'count',
      'format',
      'limit',
      'offset',
    ]);
    expect((await api.get('/books/export?formulas=escape&bom=true')).body.errors).toHaveLength(2);
    for (const accept of ['image/png', 'application/json'])
      expect((await api.get('/books/export', { headers: { accept } })).status).toBe(406);
    for (const accept of ['text/csv', 'application/x-ndjson'])
      expect((await api.get('/books', { headers: { accept } })).status).toBe(406);
  });

  test('of a large collection is whole, and ends on the server when the client goes away', async () => {
    const count = 20_000;
    await modelOf(Book).collection.insertMany(
      Array.from({ length: count }, (_, i) => ({
        title: `t${i}`,
        authors: ['a'.repeat(180)],
        year: i % 2000,
        isbn: null,
        language: null,
        tags: [],
        createdAt: new Date(),
        updatedAt: new Date(),
      })) as any,
    );
    const { body } = await api.get('/books/export?sort=year&fields=year', ndjson);
    const years = lines(body).map(({ year }) => year);
    expect(years).toHaveLength(count);
    expect(years).toEqual([...years].sort((a, b) => a - b));

    const openCursors = async () =>
      ((await mongoose.connection.getClient().db('admin').command({ serverStatus: 1, metrics: 1 })) as any)
        .metrics.cursor.open.total as number;
    const before = await openCursors();
    await new Promise<void>((resolve) => {
      const request = get(`${api.url()}/books/export`, ndjson, (response) =>
        response.once('data', () => {
          request.destroy();
          resolve();
        }),
      );
      request.on('error', () => {});
    });
    for (let i = 0; i < 50 && (await openCursors()) > before; i++) await sleep(100);
    expect(await openCursors()).toBeLessThanOrEqual(before);
  });
});
