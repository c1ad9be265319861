import { describe, expect, test } from '@jest/globals';
import mongoose from 'mongoose';
import { Book, Post, Tag, User } from '../src/resources/index.ts';
import { aCaller, admin, CREDENTIALS } from './support/callers.ts';
import { anyhow, storeAnyhow } from './support/database.ts';
import { aBook, aPost, aTag, aUser } from './support/factories.ts';
import { useApi } from './support/harness.ts';

const api = useApi();
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
  const { paths: operations } = (await response.json()) as any;
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
  ['author&include=tags', 'two parameters'],
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
    await Post.model.collection.insertMany(posts as any);
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
    await storeAnyhow(Post.model, { ...draft, ...fields, _id });
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
    await storeAnyhow(Tag.model, { _id, name: 'T', description: null, ...stamps });
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
    await storeAnyhow(User.model, {
      _id: user,
      name: 'U',
      role: 'member',
      bio: null,
      ...secret,
      ...stamps,
    });
    await storeAnyhow(Tag.model, {
      _id: tag,
      name: 'T',
      description: null,
      ...secret,
      ...stamps,
    });
    const book = await aBook({ tags: [tag] });
    await Book.model.collection.updateOne({ _id: book._id }, { $set: secret }, anyhow);
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
      if (command['find'] !== 'sessions' && !isAbout(admin._id)) commands.push(command);
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
    ['/books?include=tags,posts', 3],
    ['/tags?include=books,posts', 3],
    ['/users?include=posts', 2],
  ])('of GET %s is %i commands, whether the page has 5 documents or 50', async (path, expected) => {
    // Each post has an author, a book and a tag of its own.
    const ids = Array.from({ length: 50 }, newId);
    const book = { title: 'B', authors: ['A'], year: null, isbn: null, language: null };
    await User.model.insertMany(
      ids.map((_id) => ({
        _id,
        name: 'U',
        email: `${_id}@example.org`,
        role: 'member' as const,
        bio: null,
        passwordHash: null,
      })),
    );
    await Tag.model.insertMany(ids.map((_id) => ({ _id, name: String(_id), description: null })));
    await Book.model.insertMany(ids.map((_id) => ({ _id, ...book, tags: [_id] })));
    await Post.model.insertMany(
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

  test.each(['users', 'books', 'tags'])(
    'of the newest posts of %s is some keys of an index, not all posts',
    async (collection) => {
      const [user, book, tag] = [await aUser(), await aBook(), await aTag()];
      const { _id } = { users: user, books: book, tags: tag }[collection] as { _id: mongoose.Types.ObjectId };
      const post = { ...draft, author: user._id, books: [book._id], tags: [tag._id] };
      await Post.model.collection.insertMany(
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
