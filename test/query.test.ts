import { AsyncResource } from 'node:async_hooks';
import mongoose from 'mongoose';
import { Book } from './sample/books/book.ts';
import { Post } from './sample/posts/post.ts';
import { Tag } from './sample/tags/tag.ts';
import { User } from '../src/resources/users/user.ts';
import { resources } from '../src/resources/api.ts';
import { aCaller, admin, CREDENTIALS } from './support/callers.ts';
import { anyhow, storeAnyhow } from './support/database.ts';
import { transaction } from '../src/mongo/transaction.ts';
import { aBook, aPost, aTag, aUser } from './sample/factories.ts';
import { inPlace, useApi } from './support/harness.ts';
import { ANONYMOUS, type Caller, runAs, SYSTEM } from '../src/auth/caller.ts';
import { loader } from '../src/mongo/loader.ts';
import { showing } from '../src/schema/include.ts';
import { readAs } from '../src/schema/store.ts';
import { modelOf } from '../src/schema/model.ts';

const api = useApi({}, { monitorCommands: true });

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

describe('a list of values', () => {
  test.each([
    'language[in]=en,pl',
    'language[in]=en%2Cpl',
    'language[in]=en&language[in]=pl',
    'language[in][]=en&language[in][]=pl',
    'language%5Bin%5D%5B%5D=en&language%5Bin%5D%5B%5D=pl',
    String(new URLSearchParams({ 'language[in]': 'en,pl' })),
  ])('%s is what clients write', async (query) => {
    for (const language of ['en', 'pl', 'grc']) await aBook({ title: language, language });
    expect(await titles(query)).toEqual(['en', 'pl']);
  });

  test.each([
    'include=author,tags',
    'include=author%2Ctags',
    'include=author&include=tags',
    'include[]=author&include[]=tags',
  ])('%s includes both', async (query) => {
    await aPost({ tags: [(await aTag({ name: 'epic' }))._id] });
    const [post] = (await api.get(`/posts?${query}`)).body.items;
    expect([typeof post.author.name, post.tags[0].name]).toEqual(['string', 'epic']);
  });

  test('has at least one value', async () => {
    for (const query of ['title[in]=', 'language[in]=', 'language[in][]=', 'include=', 'fields='])
      expect(
        (await api.get(`/posts?${query}`.replace('posts?language', 'books?language'))).body.errors,
      ).toMatchObject([{ code: 'too_small', message: 'must have a value' }]);
  });

  test('repeated may contain commas, where the field may', async () => {
    for (const title of ['Eats, Shoots', 'Leaves', 'Eats']) await aBook({ title });
    expect(await titles('title[in]=Eats%2C+Shoots&title[in]=Leaves')).toEqual(['Eats, Shoots', 'Leaves']);
  });
});

test('contains looks for letters of every script, whatever their case, and for nothing but letters', async () => {
  for (const title of ['Ångström', 'ВОЙНА и мир', 'Οδύσσεια', 'a.b*c', 'a\\b [x] {1} ^$|#'])
    await aBook({ title });
  for (const [text, expected] of [
    ['ÅNGSTRÖM', ['Ångström']],
    ['война', ['ВОЙНА и мир']],
    ['ΟΔΎΣΣ', ['Οδύσσεια']],
    ['.B*', ['a.b*c']],
    ['a.*c', []],
    ['\\b [X] {1} ^$|#', ['a\\b [x] {1} ^$|#']],
    ['(a|b)', []],
  ] as const)
    expect([text, await titles(`title[contains]=${encodeURIComponent(text)}`)]).toEqual([text, expected]);
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

test('of a word that more than 10,000 documents have the newest come first, and the cursors go on among them', async () => {
  const book = { ...Book.defaults, authors: ['A'], createdAt: new Date(), updatedAt: new Date() };
  await modelOf(Book).collection.insertMany(
    Array.from({ length: 10_100 }, () => ({ ...book, title: 'Common' })) as never[],
  );
  // Its title says it twice, but that is not looked at.
  const best = await aBook({ title: 'Common common' });
  const newest = await aBook({ title: 'Common' });
  const first = (await api.get('/books?q=common&limit=1&count=exact')).body;
  expect([first.items[0].id, first.page.total]).toEqual([String(newest._id), 10_102]);
  const second = (await api.get(`/books?q=common&limit=1&after=${first.page.next}`)).body;
  expect(second.items[0].id).toBe(String(best._id));
  // Fewer by now: who has begun among the newest goes on there.
  await modelOf(Book).deleteMany({ _id: { $nin: [best._id, newest._id] } });
  const again = (await api.get(`/books?q=common&limit=1&before=${second.page.prev}`)).body;
  expect(again.items[0].id).toBe(String(newest._id));
  expect((await api.get('/books?q=common&limit=1')).body.items[0].id).toBe(String(best._id));
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

test('what is included is shown, whatever fields are chosen', async () => {
  const book = await aBook({ tags: [(await aTag({ name: 'epic', description: 'Long' }))._id] });
  await aPost({ books: [book._id] });
  const shown = async (path: string) => (await api.get(path)).body.items[0];
  expect(await shown('/books?include=tags&fields=title')).toMatchObject({
    title: book.title,
    tags: [{ name: 'epic' }],
  });
  expect(Object.keys(await shown('/books?include=tags&fields=title'))).toEqual(['id', 'title', 'tags']);
  expect((await shown('/books?include=posts&fields=title')).posts.items).toHaveLength(1);
  expect(await shown('/posts?include=books.tags&fields=books.title')).toEqual({
    id: expect.any(String),
    books: [
      { id: String(book._id), title: book.title, tags: [expect.objectContaining({ description: 'Long' })] },
    ],
  });
});

test('a list has the entity tags of its items, if they are asked for, so that a client can edit from it', async () => {
  const book = await aBook({ tags: [(await aTag())._id] });
  const stored = { $set: { etag: 'stored by another tool' } };
  await modelOf(Book).collection.updateOne({ _id: book._id }, stored, anyhow);
  const path = `/books/${book._id}`;
  const etag = (await api.get(path)).headers.get('etag') as string;
  for (const query of [
    'fields=etag',
    'fields=title,etag',
    'fields=*,etag',
    'fields=etag&include=tags,posts',
  ]) {
    const { body } = await api.get(`/books?${query}`);
    expect([query, body.items[0].etag]).toEqual([query, etag]);
  }
  const { body } = await api.get('/books?fields=*,etag');
  expect(body.items[0]).toEqual({ ...(await api.get(path)).body, etag });
  expect((await api.get('/books')).body.items[0]).not.toHaveProperty('etag');
  expect((await api.get(`${path}?fields=title,etag`)).body.etag).toBe(etag);
  await modelOf(Book).collection.updateOne({ _id: book._id }, { $unset: { etag: '' } });
  expect((await api.patch(path, { year: 5 }, { headers: { 'if-match': etag } })).status).toBe(200);
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
  const document = inPlace(await (await fetch(`${api.url()}/openapi.json`)).json());
  const lists = Object.entries<any>(document.paths).filter(
    ([path, { get }]) => get?.operationId.startsWith('list') && !/problems|keys|audit|\{/.test(path),
  );
  let asked = 0;
  for (const [path, { get }] of lists) {
    const at = path.replace('{id}', '65f000000000000000000a01');
    for (const { name, in: where } of get.parameters ?? []) {
      if (where !== 'query') continue;
      const queries = [...values.map((value) => `${name}=${value}`), `${name}[$ne]=1`];
      // A client may have two expensive queries under way.
      for (let i = 0; i < queries.length; i += 2) {
        const answers = await Promise.all(
          queries.slice(i, i + 2).map((query) => api.get(`${at}?${query}`, { as: '' })),
        );
        for (const { status } of answers) expect([200, 400, 404, 422]).toContain(status);
        asked += answers.length;
      }
    }
  }
  expect(asked).toBeGreaterThan(2_000);
});

test('every declared filter and sort has an index that serves it', async () => {
  await aUser();
  for (const resource of resources) {
    const indexes = await modelOf(resource).collection.indexes();
    const leads = (keys: string[]) =>
      indexes.some(({ key }) => keys.every((name, i) => Object.keys(key)[i] === name));
    const document = inPlace(await (await fetch(`${api.url()}/openapi.json`)).json());
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

describe('include', () => {
  const as = { headers: { authorization: CREDENTIALS } };

  const newId = () => new mongoose.Types.ObjectId();
  const stamps = { createdAt: new Date(), updatedAt: new Date() };
  /** A post as another tool stores it: nothing looks at what it refers to. */
  const draft = {
    title: 'T',
    body: 'B',
    status: 'draft',
    publishedAt: null,
    author: newId(),
    books: [],
    tags: [],
    ...stamps,
  };
  const shown = async (collection: string, { _id }: { _id: unknown }) =>
    (await api.get(`/${collection}/${String(_id)}`)).body;

  /** Two tags, two books, a user and his post, as the API shows each of them by itself. */
  async function aWorld() {
    const [t1, t2] = [await aTag(), await aTag()];
    const [b1, b2] = [await aBook({ tags: [t2._id, t1._id] }), await aBook()];
    const user = await aUser();
    const post = await aPost({ author: user._id, books: [b2._id, b1._id], tags: [t2._id] });
    return {
      tags: [await shown('tags', t1), await shown('tags', t2)],
      books: [await shown('books', b1), await shown('books', b2)],
      users: [await shown('users', user)],
      posts: [await shown('posts', post)],
    };
  }
  type World = Awaited<ReturnType<typeof aWorld>>;
  const all = (items: unknown[]) => ({ items, hasMore: false });

  /** What each include makes of the first document of a collection. */
  const paths: [string, string, (world: World) => object][] = [
    ['users', 'posts', ({ posts }) => ({ posts: all(posts) })],
    ['tags', 'books', ({ books }) => ({ books: all([books[0]]) })],
    ['tags', 'posts', () => ({ posts: all([]) })],
    ['tags', 'posts,books', ({ books }) => ({ posts: all([]), books: all([books[0]]) })],
    ['books', 'tags', ({ tags }) => ({ tags: [tags[1], tags[0]] })],
    ['books', 'posts', ({ posts }) => ({ posts: all(posts) })],
    ['books', 'posts,tags', ({ posts, tags }) => ({ posts: all(posts), tags: [tags[1], tags[0]] })],
    ['posts', 'author', ({ users }) => ({ author: users[0] })],
    ['posts', 'books', ({ books }) => ({ books: [books[1], books[0]] })],
    ['posts', 'tags', ({ tags }) => ({ tags: [tags[1]] })],
    ['posts', 'books.tags', deep],
    ['posts', 'books,books.tags', deep],
    [
      'posts',
      'tags,books.tags,author',
      (world) => ({ ...deep(world), author: world.users[0], tags: [world.tags[1]] }),
    ],
  ];
  function deep({ books, tags }: World) {
    return { books: [books[1], { ...books[0], tags: [tags[1], tags[0]] }] };
  }

  test.each(paths)(
    'GET /%s?include=%s, of an item and of a list, adds that and changes nothing else',
    async (...row) => {
      const [collection, include, expected] = row;
      const world = await aWorld();
      const [plain] = world[collection as keyof World];
      const item = await api.get(`/${collection}/${plain.id}?include=${include}`);
      expect([item.status, item.body]).toEqual([200, { ...plain, ...expected(world) }]);
      const list = await api.get(`/${collection}?include=${include}`);
      expect(list.body.items.find(({ id }: any) => id === plain.id)).toEqual(item.body);
    },
  );

  test('the paths above are all that the OpenAPI document offers', async () => {
    const response = await fetch(`${api.url()}/openapi.json`);
    const { paths: operations } = inPlace(await response.json());
    for (const collection of ['users', 'tags', 'books', 'posts'])
      for (const path of [`/${collection}`, `/${collection}/{id}`]) {
        const parameter = operations[path].get.parameters.find(({ name }: any) => name === 'include');
        const tested = paths.filter(([of]) => of === collection).flatMap(([, include]) => include.split(','));
        expect(parameter.schema.items.enum.toSorted()).toEqual([...new Set(tested)].sort());
      }
  });

  test.each([
    ['', 'none'],
    ['nothing', 'unknown'],
    ['author,', 'one and none'],
    ['author,author', 'one twice'],
    ['author,tags,author', 'one twice'],
    ['Author', 'in capitals'],
    [' author', 'after a space'],
    ['author.posts', 'back again'],
    ['author.email', 'a private field'],
    ['title', 'no reference'],
    ['books.tags.books', 'too deep'],
    ['__proto__', 'a property that every object has'],
    ['author,author', 'twice'],
  ])('include=%s is refused (%s)', async (include) => {
    const post = await aPost();
    for (const path of [`/posts/${post._id}`, '/posts', `/users/${post.author}/posts`]) {
      const { status, body } = await api.get(`${path}?include=${include}`);
      expect([status, body.errors]).toMatchObject([422, [{ in: 'query', parameter: 'include' }]]);
    }
  });

  test.each([
    ['users', 'author'],
    ['books', 'books'],
    ['tags', 'tags'],
  ])(
    'each of a page of %s shows its newest 10 posts, and whether there are more',
    async (collection, field) => {
      const counts = [0, 3, 10, 11, 25];
      const make = () => (collection === 'users' ? aUser() : collection === 'books' ? aBook() : aTag());
      const parents = await Promise.all(counts.map(make));
      // In turn, so that none has its posts in one piece.
      const posts = Array.from({ length: 25 }, (_, i) => parents.filter((_, p) => i < (counts[p] ?? 0)))
        .flat()
        .map(({ _id }) => ({
          ...draft,
          _id: newId(),
          title: String(_id),
          [field]: field === 'author' ? _id : [_id],
        }));
      await modelOf(Post).collection.insertMany(posts as any);
      const { body } = await api.get(`/${collection}?include=posts&sort=id`);
      const items = body.items.filter(({ id }: any) => id !== String(admin._id));
      expect(items).toHaveLength(counts.length);
      for (const { id, posts: newest } of items) {
        const own = posts.filter(({ title }) => title === id).map(({ _id }) => String(_id));
        expect(newest.items.map((post: any) => post.id)).toEqual(own.toReversed().slice(0, 10));
        expect(newest.hasMore).toBe(own.length > 10);
        const { body: single } = await api.get(`/${collection}/${id}?include=posts`);
        expect(single.posts).toEqual(newest);
      }
    },
  );

  describe('what other tools have left', () => {
    const insert = async (fields: object) => {
      const _id = newId();
      await storeAnyhow(modelOf(Post), { ...draft, ...fields, _id });
      return String(_id);
    };

    test('an id that leads nowhere stays an id, in its place', async () => {
      const [gone, tag] = [newId(), await aTag()];
      const book = await aBook({ tags: [gone, tag._id] });
      const [author, books, tags] = [newId(), [gone, book._id, gone], [tag._id, gone]];
      const id = await insert({ author, books, tags });
      const plainTag = await shown('tags', tag);
      const expected = {
        author: String(author),
        books: [
          String(gone),
          { ...(await shown('books', book)), tags: [String(gone), plainTag] },
          String(gone),
        ],
        tags: [plainTag, String(gone)],
      };
      for (const path of [`/posts/${id}`, '/posts']) {
        const { status, body } = await api.get(`${path}?include=author,books.tags,tags`);
        expect(status).toBe(200);
        expect(body.items?.[0] ?? body).toMatchObject(expected);
      }
    });

    test.each<[string, object]>([
      ['nothing', { author: null, books: null, tags: null }],
      ['text', { author: 'Ann', books: ['Dune', 'x'.repeat(24)], tags: 'sf' }],
      ['numbers and objects', { author: 5, books: [5, null], tags: [{ _id: 1 }] }],
    ])('%s where an id belongs is no failure', async (_, fields) => {
      const id = await insert(fields);
      const tag = await aTag();
      const other = await insert({ tags: [tag._id] });
      for (const path of [`/posts/${id}`, '/posts']) {
        const response = await fetch(`${api.url()}${path}?include=author,books.tags,tags`, as);
        expect([path, response.status]).toEqual([path, 200]);
      }
      const list = (await (await fetch(`${api.url()}/posts?include=tags`, as)).json()) as any;
      expect(list.items.find((post: any) => post.id === other).tags).toEqual([await shown('tags', tag)]);
    });

    test('a document whose own id is none is shown with what refers to it', async () => {
      const [_id, tag] = ['by hand', await aTag()];
      await storeAnyhow(modelOf(Tag), { _id, name: 'T', description: null, ...stamps });
      const [post, other] = [await insert({ tags: [_id] }), await insert({ tags: [tag._id] })];
      const list = (await (await fetch(`${api.url()}/tags?include=posts,books`, as)).json()) as any;
      const posts = list.items.map(({ id, posts }: any) => [id, posts.items.map(({ id }: any) => id)]);
      expect(new Map(posts)).toEqual(
        new Map([
          [_id, [post]],
          [String(tag._id), [other]],
        ]),
      );
    });

    test('fields that are hidden, private or not declared do not leave with what is included', async () => {
      const secret = { passwordHash: 'secret', email: 'secret@example.org', __v: 1, notes: 'secret' };
      const [user, tag] = [newId(), newId()];
      await storeAnyhow(modelOf(User), {
        _id: user,
        name: 'U',
        role: 'member',
        bio: null,
        ...secret,
        ...stamps,
      });
      await storeAnyhow(modelOf(Tag), {
        _id: tag,
        name: 'T',
        description: null,
        ...secret,
        ...stamps,
      });
      const book = await aBook({ tags: [tag] });
      await modelOf(Book).collection.updateOne({ _id: book._id }, { $set: secret }, anyhow);
      await insert({ author: user, books: [book._id], tags: [tag], ...secret });
      // An editor sees drafts, and no e-mail but his own.
      const editor = await aCaller('editor');
      for (const path of [
        '/posts?include=author,books.tags,tags',
        '/books?include=tags,posts',
        '/users?include=posts',
        '/tags?include=books,posts',
        `/users/${user}/posts?include=author`,
      ]) {
        const { status, body } = await api.get(path, { as: editor.token });
        body.items = body.items.filter(({ id }: any) => ![String(admin._id), String(editor.id)].includes(id));
        expect([status, body.items.length]).toEqual([200, 1]);
        expect(JSON.stringify(body)).not.toMatch(/secret|passwordHash|email|notes|__v/);
      }
    });
  });

  describe.each([
    ['users', 'posts', 'author'],
    ['books', 'posts', 'books'],
    ['tags', 'posts', 'tags'],
    ['tags', 'books', 'tags'],
  ] as const)('the list /%s/{id}/%s', (parents, children, field) => {
    const aParent = () => (parents === 'users' ? aUser() : parents === 'books' ? aBook() : aTag());
    const aChild = (parent: mongoose.Types.ObjectId, title: string) => {
      const fields = { title, [field]: field === 'author' ? parent : [parent] };
      return children === 'posts' ? aPost(fields) : aBook(fields);
    };
    const titles = ({ body }: { body: any }) => body.items.map(({ title }: any) => title);

    test('has those that refer to it, with all that a list can do', async () => {
      const [parent, other] = [await aParent(), await aParent()];
      const path = `/${parents}/${parent._id}/${children}`;
      for (const title of ['b', 'd', 'a', 'c', 'a']) await aChild(parent._id, title);
      await aChild(other._id, 'other');
      expect(titles(await api.get(path))).toEqual(['a', 'c', 'a', 'd', 'b']);
      expect(titles(await api.get(`${path}?sort=title`))).toEqual(['a', 'a', 'b', 'c', 'd']);
      expect(titles(await api.get(`${path}?title=a`))).toEqual(['a', 'a']);
      const first = await api.get(`${path}?sort=-title&limit=2&include=tags`);
      expect(titles(first)).toEqual(['d', 'c']);
      const { next } = first.body.page;
      const second = await api.get(`${path}?sort=-title&limit=2&after=${next}`);
      expect(titles(second)).toEqual(['b', 'a']);
      expect(titles(await api.get(`${path}?sort=-title&limit=2&before=${second.body.page.prev}`))).toEqual([
        'd',
        'c',
      ]);
      // A cursor leads from nobody's list into another's.
      const foreign = await api.get(`/${parents}/${other._id}/${children}?sort=-title&limit=2&after=${next}`);
      expect([foreign.status, foreign.body.code]).toEqual([400, 'invalid_cursor']);
      const both = await api.get(`${path}?${field}=${other._id}`);
      expect([both.status, titles(both)]).toEqual([200, []]);
    });

    test('is empty where nothing refers to it, and a 404 where there is nothing', async () => {
      const { status, body } = await api.get(`/${parents}/${(await aParent())._id}/${children}`);
      expect([status, body.items, body.page.next]).toEqual([200, [], null]);
      for (const id of [newId(), 'abc', '%00']) {
        const { status, body } = await api.get(`/${parents}/${String(id)}/${children}`);
        expect([status, body.code]).toEqual([404, 'not_found']);
      }
    });
  });

  describe('the cost', () => {
    /** The commands that MongoDB gets while `work` runs. */
    async function commandsOf(work: () => Promise<unknown>) {
      const commands: Record<string, any>[] = [];
      // Not those that find out who is calling.
      const note = ({ command }: { command: Record<string, any> }) => {
        const isAbout = (id: mongoose.Types.ObjectId) => id.equals(command['filter']?._id);
        if (command['aggregate'] !== 'sessions' && !isAbout(admin._id)) commands.push(command);
      };
      const client = mongoose.connection.getClient();
      client.on('commandStarted', note);
      await work();
      client.off('commandStarted', note);
      return commands;
    }

    test.each([
      ['/posts?include=author,books.tags,tags', 5],
      ['/posts?include=author', 2],
      ['/books?include=tags,posts', 4],
      ['/tags?include=books,posts', 5],
      ['/users?include=posts', 3],
    ])('of GET %s is %i commands, whether the page has 5 documents or 50', async (path, expected) => {
      // Each post has an author, a book and a tag of its own.
      const ids = Array.from({ length: 50 }, newId);
      const book = { title: 'B', authors: ['A'], year: null, isbn: null, language: null };
      await modelOf(User).insertMany(
        ids.map((_id) => ({
          _id,
          name: 'U',
          email: `${_id}@example.org`,
          role: 'member' as const,
          bio: null,
          passwordHash: null,
          verifiedAt: null,
          lockedAt: null,
        })),
      );
      await modelOf(Tag).insertMany(ids.map((_id) => ({ _id, name: String(_id), description: null })));
      await modelOf(Book).insertMany(ids.map((_id) => ({ _id, ...book, tags: [_id] })));
      await modelOf(Post).insertMany(
        ids.map((_id) => ({ ...draft, author: _id, books: [_id], tags: [_id] })) as any,
      );
      for (const limit of [5, 50]) {
        const commands = await commandsOf(async () => {
          const { body } = await api.get(`${path}&limit=${limit}`);
          expect(body.items).toHaveLength(limit);
        });
        expect([limit, commands.length]).toEqual([limit, expected]);
      }
    });

    test('is shared by those who ask for one document at once, and each gets what he may see and has asked for', async () => {
      const [author, tag] = [await aUser(), await aTag()];
      const ids = [await aPost({ author: author._id, tags: [tag._id] }), await aPost()].map(({ _id }) => _id);
      const paths = ids.flatMap((id) =>
        ['', '?include=author', '?include=tags'].map((query) => `/posts/${id}${query}`),
      );
      const alone: unknown[] = [];
      for (const path of paths) alone.push((await api.get(path)).body);
      const many = Array.from({ length: 40 }, (_, i) => i % paths.length);
      // In between somebody who may see neither: they are drafts.
      const [strangers, answers] = await Promise.all([
        Promise.all(many.map((i) => api.get(paths[i] as string, { as: '' }))),
        Promise.all(many.map((i) => api.get(paths[i] as string))),
      ]);
      expect(answers.map(({ body }) => body)).toEqual(many.map((i) => alone[i]));
      for (const { status } of strangers) expect(status).toBe(404);
    });

    test.each<[string, Caller, object]>([
      ['all of it', SYSTEM, {}],
      ['some fields', SYSTEM, { fields: ['title'] }],
      ['what everybody may see', ANONYMOUS, {}],
    ])('of documents that are asked for at once, %s, is one query', async (_, who, asked) => {
      const posts = [1, 2, 3].map(() => aPost({ status: 'published', publishedAt: new Date() }));
      const ids = (await Promise.all(posts)).map(({ _id }) => _id);
      const commands = await commandsOf(() =>
        runAs(who, () => Promise.all(ids.map((id) => readAs(Post, id, showing(Post)(asked))))),
      );
      expect(commands).toHaveLength(1);
    });

    test('of what a loader is asked for at once is one query; a transaction reads for itself', async () => {
      const posts = [await aPost(), await aPost(), await aPost()];
      const loadPost = loader((_id) => modelOf(Post).find({ _id }).lean());
      const load = () => Promise.all(posts.map(({ _id }) => loadPost(_id)));
      const commands = await commandsOf(async () =>
        expect((await load()).map((post) => post?.title)).toEqual(posts.map(({ title }) => title)),
      );
      expect(commands).toHaveLength(1);
      const [one] = posts as [(typeof posts)[0], ...typeof posts];
      const elsewhere = AsyncResource.bind(() => loadPost(one._id));
      await transaction(async () => {
        await modelOf(Post).updateOne({ _id: one._id }, { title: 'New' });
        const seen = await Promise.all([elsewhere(), loadPost(one._id), elsewhere()]);
        expect(seen.map((post) => post?.title)).toEqual([one.title, 'New', one.title]);
      });
    });

    test.each(['users', 'books', 'tags'])(
      'of the newest posts of %s is some keys of an index, not all posts',
      async (collection) => {
        const [user, book, tag] = [await aUser(), await aBook(), await aTag()];
        const { _id } = { users: user, books: book, tags: tag }[collection] as {
          _id: mongoose.Types.ObjectId;
        };
        const post = { ...draft, author: user._id, books: [book._id], tags: [tag._id] };
        await modelOf(Post).collection.insertMany(
          Array.from({ length: 1000 }, (_, i) => ({ ...post, _id: newId(), title: `${i}` })) as any,
        );
        const commands = await commandsOf(() => api.get(`/${collection}/${_id}?include=posts`));
        const { aggregate, pipeline, collation } = commands.find((command) => 'aggregate' in command) as any;
        const explained = await mongoose.connection
          .getClient()
          .db(mongoose.connection.name)
          .command({
            explain: { aggregate, pipeline, cursor: {}, ...(collation && { collation }) },
            verbosity: 'executionStats',
          });
        const lookup = explained['stages'].find((stage: object) => '$lookup' in stage);
        expect(lookup).toMatchObject({ nReturned: 1, collectionScans: 0 });
        expect(lookup.indexesUsed.join()).toContain(
          collection === 'users' ? 'author_1__id_1' : `${collection}_1__id_1`,
        );
        expect(Number(lookup.totalDocsExamined)).toBeLessThanOrEqual(11);
      },
    );
  });
});
