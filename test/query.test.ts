import { expect, test } from '@jest/globals';
import { Book, resources } from '../src/resources/index.ts';
import { aBook, aPost, aTag, aUser } from './support/factories.ts';
import { useApi } from './support/harness.ts';

const api = useApi();

const titles = async (query: string): Promise<string[]> => {
  const { status, body } = await api.get(`/books?${query}`);
  expect([query, status]).toEqual([query, 200]);
  return body.items.map(({ title }: { title: string }) => title).sort();
};

/** Every fault of a query: its parameter and code. */
const faults = async (path: string): Promise<string[]> => {
  const { status, body } = await api.get(path);
  expect([path, status]).toEqual([path, 422]);
  return body.errors.map(
    ({ parameter, code }: { parameter: string; code: string }) => `${parameter} ${code}`,
  );
};

test.each([
  ['year=1961', ['Solaris']],
  ['year[ne]=1961', ['Emma', 'Iliad', 'Lost']],
  ['year[gt]=1815&year[lte]=1961', ['Solaris']],
  ['year[gte]=1815&year[lt]=1961', ['Emma']],
  ['year[in]=1815,-750', ['Emma', 'Iliad']],
  ['year[nin]=1815,-750', ['Lost', 'Solaris']],
  ['year[exists]=false', ['Lost']],
  ['year[exists]=true', ['Emma', 'Iliad', 'Solaris']],
  ['title[in]=Emma,Solaris', ['Emma', 'Solaris']],
  ['title[contains]=OLA', ['Solaris']],
  ['title[contains]=.*', []],
  ['authors=Homer', ['Iliad']],
  ['authors[ne]=Homer', ['Emma', 'Lost', 'Solaris']],
  ['authors[in]=Homer,Jane+Austen', ['Emma', 'Iliad']],
  ['authors[contains]=austen', ['Emma']],
  ['isbn[exists]=true', ['Emma']],
  ['language[nin]=en,pl', ['Iliad', 'Lost']],
])('the filter %s finds what it says', async (query, expected) => {
  await aBook({ title: 'Emma', authors: ['Jane Austen', 'An Editor'], year: 1815, isbn: '9780141439587' });
  await aBook({ title: 'Iliad', authors: ['Homer'], year: -750, language: 'grc' });
  await aBook({ title: 'Solaris', authors: ['Stanisław Lem'], year: 1961, language: 'pl' });
  await aBook({ title: 'Lost', authors: ['Nobody'], year: null, language: null });
  expect(await titles(query)).toEqual(expected);
});

test('a value with a comma is one value, if the comma is escaped', async () => {
  await aBook({ title: 'Eats, Shoots & Leaves' });
  await aBook({ title: 'Eats' });
  expect(await titles('title[in]=Eats%2C+Shoots+%26+Leaves')).toEqual(['Eats, Shoots & Leaves']);
});

test('references are filtered by id, in lists and on their own', async () => {
  const [ann, ben, tag] = [await aUser(), await aUser(), await aTag()];
  const post = await aPost({ author: ann._id, tags: [tag._id] });
  await aPost({ author: ben._id });
  for (const query of [
    `author=${ann._id}`,
    `author[ne]=${ben._id}`,
    `author[in]=${ann._id},${tag._id}`,
    `tags=${tag._id}`,
  ]) {
    const { body } = await api.get(`/posts?${query}`);
    expect([query, body.items.map(({ id }: { id: string }) => id)]).toEqual([query, [String(post._id)]]);
  }
});

test('all that is wrong with a query is said at once', async () => {
  expect(
    await faults(
      '/books?yaer=1&year[gte]=x&limit=0&title[regex]=a&language[in]=&isbn[exists]=maybe&title=a&title=b',
    ),
  ).toEqual(
    expect.arrayContaining([
      'yaer unknown_parameter',
      'year[gte] invalid_format',
      'limit too_small',
      'title[regex] unknown_parameter',
      'isbn[exists] invalid_value',
      'title repeated_parameter',
    ]),
  );
  expect(await faults('/books?after=x&offset=1')).toEqual(['offset invalid']);
  expect(await faults('/posts?fields=author.name')).toEqual(['fields invalid']);
  expect(await faults('/books?title[contains]=a')).toEqual(['title[contains] too_short']);
});

test('full-text search puts the best fit first, and its cursors go on from there', async () => {
  await aBook({ title: 'Whale', authors: ['A'], language: 'en-US' });
  await aBook({ title: 'Whale whale', authors: ['Whale'], language: 'xx' });
  await aBook({ title: 'Ocean', authors: ['A'] });
  const first = await api.get('/books?q=whale&limit=1&count=exact');
  expect(first.body.items[0].title).toBe('Whale whale');
  expect(first.body.items[0]).not.toHaveProperty('_score');
  expect(first.body.page.total).toBe(2);
  const second = await api.get(`/books?q=whale&limit=1&after=${first.body.page.next}`);
  expect(second.body.items.map(({ title }: { title: string }) => title)).toEqual(['Whale']);
  expect(second.body.page.next).toBeNull();
  const back = await api.get(`/books?q=whale&limit=1&before=${second.body.page.prev}`);
  expect(back.body.items[0].title).toBe('Whale whale');
  expect((await api.get('/books?q=whale&sort=title&fields=title')).body.items).toHaveLength(2);
  expect(await titles('q=whale&language=en-US')).toEqual(['Whale']);
});

test('a word that more than 10,000 documents have is searched for among 10,000 of them', async () => {
  const book = { ...Book.defaults, authors: ['A'], createdAt: new Date(), updatedAt: new Date() };
  await Book.model.collection.insertMany(
    Array.from({ length: 10_100 }, () => ({ ...book, title: 'Common' })) as never[],
  );
  const { body } = await api.get('/books?q=common&offset=9990&count=exact');
  expect(body.items).toHaveLength(10);
  expect(body.page).toMatchObject({ total: 10_100, next: null });
});

test('several fields sort in mixed directions, unknown years last, both ways', async () => {
  for (const [title, year] of [
    ['b', 1900],
    ['a', 1900],
    ['c', 2000],
    ['z', null],
    ['y', null],
  ] as const)
    await aBook({ title, year });
  for (const [sort, expected] of [
    ['-year,title', 'cabyz'],
    ['year,-title', 'zybac'],
  ] as const) {
    let [seen, after] = ['', ''];
    do {
      const { body } = await api.get(`/books?sort=${sort}&limit=2${after}`);
      seen += body.items.map(({ title }: { title: string }) => title).join('');
      after = body.page.next ? `&after=${body.page.next}` : '';
    } while (after);
    expect([sort, seen]).toEqual([sort, expected]);
  }
});

test('Link says what page.next and page.prev say, and leads there', async () => {
  for (let i = 0; i < 3; i++) await aBook({ title: `t${i}`, year: 1990 });
  const { headers, body } = await api.get('/books?limit=1&fields=title,year&year[in]=1990,1991');
  const [, target] = /^<([^>]+)>; rel="next"$/.exec(headers.get('link') as string) as unknown as [
    string,
    string,
  ];
  expect(target).toContain(body.page.next);
  const next = await api.get(target);
  expect(next.body.items[0]).toEqual({ id: expect.any(String), title: 't1', year: 1990 });
  expect(next.headers.get('link')).toMatch(/rel="next", <[^>]+>; rel="prev"/);
});

test('offset passes over, and count tells how many there are', async () => {
  for (let i = 0; i < 5; i++) await aBook({ title: `t${i}` });
  const { body } = await api.get('/books?offset=3&limit=2&sort=title&count=exact');
  expect(body.items.map(({ title }: { title: string }) => title)).toEqual(['t3', 't4']);
  expect(body.page).toMatchObject({ total: 5, next: null });
  expect((await api.get(`/books?sort=title&limit=2&before=${body.page.prev}`)).body.items[1].title).toBe(
    't2',
  );
  expect((await api.get('/books?count=capped')).body.page.total).toBe(5);
  expect((await api.get('/books?offset=10001')).status).toBe(422);
});

test('fields chooses what is shown and read, of what is included too', async () => {
  const book = await aBook({ tags: [(await aTag({ name: 'epic' }))._id] });
  await aPost({ author: (await aUser({ name: 'Ann' }))._id, books: [book._id] });
  const { body } = await api.get('/posts?include=author,books.tags&fields=title,author.name,books.tags.name');
  expect(body.items).toEqual([
    {
      id: expect.any(String),
      title: expect.any(String),
      author: { id: expect.any(String), name: 'Ann' },
      books: [{ id: String(book._id), tags: [{ id: expect.any(String), name: 'epic' }] }],
    },
  ]);
  const reverse = await api.get('/users?include=posts&fields=posts.title');
  expect(reverse.body.items[0].posts.items[0]).toEqual({ id: expect.any(String), title: expect.any(String) });
  expect((await api.get(`/books/${book._id}?fields=title`)).body).toEqual({
    id: String(book._id),
    title: book.title,
  });
  expect(await faults('/users?fields=passwordHash')).toEqual(['fields invalid_value']);
});

test('whatever stands in a parameter, the answer is a success or says what is wrong', async () => {
  await aPost({ tags: [(await aTag())._id] });
  const values = [
    '',
    '0',
    '-1',
    '1e3',
    '0x10',
    'null',
    'true',
    '{"$gt":""}',
    '$where',
    '%00',
    '%F0%9F%98%80',
    '%ED%A0%80',
    '.*',
    '(a+)+$',
    '"',
    '%25',
    '%2C',
    ',',
    'a'.repeat(1200),
    '9'.repeat(40),
    '65f000000000000000000a01',
    '2026-01-31T12:00:00Z',
    '__proto__',
  ].map((value) =>
    value
      .replaceAll(' ', '+')
      .replaceAll('"', '%22')
      .replaceAll('\\', '%5C')
      .replaceAll('{', '%7B')
      .replaceAll('}', '%7D'),
  );
  const document = (await (await fetch(`${api.url()}/openapi.json`)).json()) as any;
  const lists = Object.entries<any>(document.paths).filter(
    ([path, { get }]) => get?.operationId.startsWith('list') && !/problems|keys|audit|\{/.test(path),
  );
  let asked = 0;
  for (const [path, { get }] of lists) {
    const at = path.replace('{id}', '65f000000000000000000a01');
    for (const { name, in: where } of get.parameters) {
      if (where !== 'query') continue;
      const answers = await Promise.all(
        [...values.map((value) => `${name}=${value}`), `${name}[$ne]=1`].map((query) =>
          api.get(`${at}?${query}`, { as: '' }),
        ),
      );
      for (const { status } of answers) expect([200, 400, 404, 422]).toContain(status);
      asked += answers.length;
    }
  }
  expect(asked).toBeGreaterThan(2_000);
}, 60_000);

test('every declared filter and sort has an index that serves it', async () => {
  await aUser();
  for (const resource of resources) {
    const indexes = await resource.model.collection.indexes();
    const leads = (keys: string[]) =>
      indexes.some(({ key }) => keys.every((name, i) => Object.keys(key)[i] === name));
    const document = (await (await fetch(`${api.url()}/openapi.json`)).json()) as any;
    for (const { name, schema } of document.paths[`/${resource.collection}`].get.parameters) {
      const [field] = name.split('[');
      if (field in resource.fields)
        expect([resource.name, field, leads([field])]).toEqual([resource.name, field, true]);
      if (name !== 'sort') continue;
      for (const order of schema.enum as string[]) {
        const keys = order
          .replaceAll('-', '')
          .split(',')
          .map((key) => (key === 'id' ? '_id' : key));
        expect([resource.name, order, leads(keys)]).toEqual([resource.name, order, true]);
      }
    }
  }
});
