import mongoose from 'mongoose';
import { create, read, remove, update } from '../src/http/crud.ts';
import { list } from '../src/http/list.ts';
import { Book } from './sample/books/book.ts';
import { Post } from './sample/posts/post.ts';
import { Tag } from './sample/tags/tag.ts';
import { User } from '../src/resources/users/user.ts';
import { ref, setOf, text } from '../src/schema/fields.ts';
import { connect } from '../src/schema/references.ts';
import { type AnyResource, resource } from '../src/schema/resource.ts';
import { anyhow, storeAnyhow } from './support/database.ts';
import { aBook, aPost, aTag, aUser } from './sample/factories.ts';
import { useApi } from './support/harness.ts';
import { modelOf } from '../src/schema/model.ts';

const nobody = '0123456789abcdef01234567';
const nothing = 'fedcba9876543210fedcba98';
const newId = () => new mongoose.Types.ObjectId();
const stamps = { createdAt: new Date(), updatedAt: new Date() };

describe('a reference', () => {
  const api = useApi();
  const id = async (made: Promise<{ _id: unknown }>) => String((await made)._id);

  /** Each of the wrong references with its pointer; `$user` and so on stand for documents that are there. */
  const wrong: [string, object, string[]][] = [
    ['one', { author: nobody }, ['/author']],
    ['one of a list', { tags: ['$tag', nobody] }, ['/tags/1']],
    ['several of a list', { books: [nobody, '$book', nothing] }, ['/books/0', '/books/2']],
    [
      'several of all kinds',
      { author: nobody, books: [nobody], tags: ['$tag', nothing] },
      ['/author', '/books/0', '/tags/1'],
    ],
    ['an id of another kind of document', { author: '$tag', tags: ['$user'] }, ['/author', '/tags/0']],
  ];
  test.each(wrong)(
    'to nothing is refused by POST, PUT and PATCH with its pointer: %s',
    async (_, fault, pointers) => {
      const there = { $user: await id(aUser()), $book: await id(aBook()), $tag: await id(aTag()) };
      const refs = JSON.parse(
        JSON.stringify(fault).replace(/\$\w+/g, (name) => there[name as keyof typeof there]),
      );
      const post = await aPost();
      const body = { title: 'T', body: 'B', author: there.$user, ...refs };
      for (const answer of [
        await api.post('/posts', body),
        await api.put(`/posts/${post._id}`, body),
        await api.patch(`/posts/${post._id}`, refs),
      ]) {
        expect([answer.status, answer.body.code]).toEqual([422, 'reference_not_found']);
        expect(answer.body.errors.map((fault: any) => fault.pointer)).toEqual(pointers);
        for (const { pointer, ...fault } of answer.body.errors) {
          expect(fault).toMatchObject({ in: 'body', code: 'reference_not_found' });
          const [, field, index] = pointer.split('/');
          expect(fault.message).toContain(index === undefined ? refs[field] : refs[field][index]);
        }
      }
      expect(await modelOf(Post).find().lean()).toEqual([post.toObject()]);
    },
  );

  test('that other tools have broken blocks neither a PATCH of other fields nor one that keeps it', async () => {
    const _id = newId();
    const tag = await aTag();
    const [author, gone] = [newId(), newId()];
    const rest = { title: 'T', body: 'B', status: 'draft', publishedAt: null, books: [], ...stamps } as const;
    await storeAnyhow(modelOf(Post), { _id, author, tags: [gone], ...rest });
    expect((await api.patch(`/posts/${_id}`, { title: 'New' })).status).toBe(200);
    const kept = await api.patch(`/posts/${_id}`, { tags: [String(tag._id), String(gone)] });
    expect([kept.status, kept.body.tags]).toEqual([200, [String(tag._id), String(gone)]]);
    const put = { title: 'T', body: 'B', author: String(author), tags: [String(gone)] };
    expect((await api.put(`/posts/${_id}`, put)).status).toBe(200);
    // What is new is looked at all the same.
    const { status, body } = await api.patch(`/posts/${_id}`, { tags: [String(gone), nobody] });
    expect([status, body.errors?.[0].pointer]).toEqual([422, '/tags/1']);
  });

  test('to what another tool has removed is refused, however often it was referred to before', async () => {
    const tag = await aTag();
    for (let i = 0; i < 3; i++)
      expect((await api.post('/books', { title: 'T', authors: ['A'], tags: [String(tag._id)] })).status).toBe(
        201,
      );
    await modelOf(Tag).collection.deleteOne({ _id: tag._id });
    for (let i = 0; i < 3; i++) {
      const { status, body } = await api.post('/books', {
        title: 'T',
        authors: ['A'],
        tags: [String(tag._id)],
      });
      expect([status, body.code]).toEqual([422, 'reference_not_found']);
    }
  });

  test('to what another tool has stored is taken, and protects it from then on', async () => {
    const _id = newId();
    const user = {
      name: 'By hand',
      email: 'hand@example.org',
      role: 'member',
      bio: null,
      passwordHash: null,
    } as const;
    await storeAnyhow(modelOf(User), { _id, ...user, ...stamps });
    const { status, body } = await api.post('/posts', { title: 'T', body: 'B', author: String(_id) });
    expect(status).toBe(201);
    expect((await api.delete(`/users/${_id}`)).body.code).toBe('still_referenced');
    expect((await api.delete(`/posts/${body.id}`)).status).toBe(204);
    expect((await api.delete(`/users/${_id}`)).status).toBe(204);
  });
});

describe('removing what is referred to', () => {
  const api = useApi();

  test.each([
    ['users', 'author'],
    ['books', 'books'],
  ])(
    'one of the %s is refused, and says who, how many, a few ids and where all are',
    async (collection, field) => {
      const target = await (collection === 'users' ? aUser() : aBook());
      const refer = (_id: mongoose.Types.ObjectId) =>
        field === 'author' ? { author: _id } : { books: [_id] };
      const posts = [];
      for (let i = 0; i < 7; i++) posts.push(String((await aPost(refer(target._id)))._id));
      await aPost();
      const { status, body } = await api.delete(`/${collection}/${target._id}`);
      expect([status, body.code]).toEqual([409, 'still_referenced']);
      const [blocker] = body.blockers;
      expect(body.blockers).toEqual([
        {
          resource: 'posts',
          field,
          count: 7,
          ids: expect.any(Array),
          link: `/posts?${field}=${target._id}`,
        },
      ]);
      expect(blocker.ids).toHaveLength(5);
      expect(posts).toEqual(expect.arrayContaining(blocker.ids));
      const shown = await api.get(blocker.link);
      expect(shown.body.items.map((post: any) => post.id).sort()).toEqual(posts.toSorted());
      for (const post of posts) await api.delete(`/posts/${post}`);
      expect((await api.delete(`/${collection}/${target._id}`)).status).toBe(204);
    },
  );

  test('a tag takes it out of every list, and leaves the others there in their order', async () => {
    const [gone, a, b] = [await aTag(), await aTag(), await aTag()];
    const lists = [[a._id, gone._id, b._id], [gone._id], [b._id, a._id], []];
    const author = (await aUser())._id;
    for (const tags of lists) await Promise.all([aPost({ author, tags }), aBook({ tags })]);
    expect((await api.delete(`/tags/${gone._id}`)).status).toBe(204);
    for (const resource of [Post, Book] as AnyResource[]) {
      const left = (await modelOf(resource).find().lean()).map(({ tags }) => String(tags)).sort();
      expect(left).toEqual([[a._id, b._id], [], [b._id, a._id], []].map(String).sort());
    }
  });

  test('by more than 10,000 is refused as a whole; 10,000 are done', async () => {
    const [tag, other] = [await aTag(), await aTag()];
    const book = { authors: ['A'], year: null, isbn: null, language: null, tags: [tag._id], ...stamps };
    await modelOf(Book).collection.insertMany(
      Array.from({ length: 10_001 }, (_, i) => ({ _id: newId(), title: `${i}`, ...book })),
    );
    for (const answer of [
      await api.delete(`/tags/${tag._id}`),
      await api.post(`/tags/${tag._id}/merge`, { into: String(other._id) }),
    ])
      expect([answer.status, answer.body.code]).toEqual([409, 'too_many_references']);
    expect(await modelOf(Book).countDocuments({ tags: tag._id })).toBe(10_001);
    expect((await api.get(`/tags/${tag._id}`)).status).toBe(200);
    await modelOf(Book).deleteOne({});
    expect((await api.delete(`/tags/${tag._id}`)).status).toBe(204);
    expect(await modelOf(Book).countDocuments({ tags: [] })).toBe(10_000);
  });
});

describe('one entry of a list', () => {
  const api = useApi();
  const tagsOf = async (_id: unknown) => (await modelOf(Post).findById(_id).lean())?.tags.map(String);

  test.each(['posts/tags', 'posts/books', 'books/tags'])(
    'of %s is put in once and taken out once',
    async (kind) => {
      const [collection, field] = kind.split('/') as ['posts' | 'books', 'tags' | 'books'];
      const [owner, entry] = [
        await (collection === 'posts' ? aPost() : aBook()),
        await (field === 'tags' ? aTag() : aBook()),
      ];
      const entries = async () => (await api.get(`/${collection}/${owner._id}`)).body[field];
      const path = `/${collection}/${owner._id}/${field}/${entry._id}`;
      for (const [method, left] of [
        ['PUT', [String(entry._id)]],
        ['DELETE', []],
      ] as const)
        for (let time = 0; time < 2; time++) {
          const { status, body } = await api.call(method, path);
          expect([status, body, await entries()]).toEqual([204, undefined, left]);
        }
    },
  );

  test('is a 404 where the document or the entry is not there, and changes nothing', async () => {
    const [post, tag] = [await aPost(), await aTag()];
    for (const [path, methods] of [
      [`/posts/${nobody}/tags/${tag._id}`, ['PUT', 'DELETE']],
      [`/posts/${post._id}/tags/${nobody}`, ['PUT']],
      [`/posts/${post._id}/tags/abc`, ['PUT', 'DELETE']],
    ] as const)
      for (const method of methods) {
        const { status, body } = await api.call(method, path);
        expect([path, method, status, body.code]).toEqual([path, method, 404, 'not_found']);
      }
    expect(await modelOf(Post).find().lean()).toEqual([post.toObject()]);
    // Whoever takes out what has gone meanwhile has what he wants.
    expect((await api.delete(`/posts/${post._id}/tags/${nobody}`)).status).toBe(204);
  });

  test.each([null, 'x', {}])('is put in where another tool has stored %j instead of a list', async (tags) => {
    const [post, tag] = [await aPost(), await aTag()];
    await modelOf(Post).collection.updateOne({ _id: post._id }, { $set: { tags } as any }, anyhow);
    expect((await api.delete(`/posts/${post._id}/tags/${tag._id}`)).status).toBe(204);
    expect((await api.put(`/posts/${post._id}/tags/${tag._id}`)).status).toBe(204);
    const { body } = await api.get(`/posts/${post._id}`);
    expect(body.tags).toEqual([String(tag._id)]);
    expect(body.updatedAt > post.updatedAt.toISOString()).toBe(true);
  });

  test('keeps to the limit of the list, under concurrency too', async () => {
    const tags = await Promise.all(Array.from({ length: 22 }, () => aTag()));
    const post = await aPost({ tags: tags.slice(0, 17).map(({ _id }) => _id) });
    const put = (i: number) => api.put(`/posts/${post._id}/tags/${tags[i]?._id}`);
    const answers = await Promise.all([17, 18, 19, 20, 21].map(put));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([204, 204, 204, 422, 422]);
    expect(answers.find(({ status }) => status === 422)?.body).toMatchObject({ code: 'validation_failed' });
    expect((await put(0)).status).toBe(204);
    expect(await tagsOf(post._id)).toHaveLength(20);
  });

  test('is not lost when 20 are added at once, nor when some are added while others are taken out', async () => {
    const tags = await Promise.all(Array.from({ length: 20 }, () => aTag()));
    const [post, book] = [await aPost(), await aBook({ tags: tags.slice(0, 5).map(({ _id }) => _id) })];
    const answers = await Promise.all(tags.map(({ _id }) => api.put(`/posts/${post._id}/tags/${_id}`)));
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(204));
    expect((await tagsOf(post._id))?.sort()).toEqual(tags.map(({ _id }) => String(_id)).sort());
    await Promise.all(
      tags
        .slice(0, 10)
        .map(({ _id }, i) => api.call(i < 5 ? 'DELETE' : 'PUT', `/books/${book._id}/tags/${_id}`)),
    );
    const left = (await api.get(`/books/${book._id}`)).body.tags;
    expect(left.sort()).toEqual(
      tags
        .slice(5, 10)
        .map(({ _id }) => String(_id))
        .sort(),
    );
  });
});

describe('policies that the shipped resources do not use', () => {
  const nobody = '0123456789abcdef01234567';
  const newId = () => new mongoose.Types.ObjectId();
  const stamps = { createdAt: new Date(), updatedAt: new Date() };

  /** Resources with the policies that the shipped ones do not use. */
  const definition = { description: 'Only for this test', example: { id: nobody } as any };
  const Person = resource('Person', { ...definition, collection: 'people', fields: { name: text(1, 50) } });
  const Article = resource('Article', {
    ...definition,
    collection: 'articles',
    fields: { author: ref(Person, 'cascade'), editor: ref(Person, 'detach').nullable() },
    defaults: { editor: null },
    indexes: [{ key: { author: 1, _id: 1 } }, { key: { editor: 1, _id: 1 } }],
  });
  const Comment = resource('Comment', {
    ...definition,
    collection: 'comments',
    fields: {
      article: ref(Article, 'cascade'),
      parent: ref('Comment', 'cascade').nullable(),
      likes: setOf(ref(Person, 'detach'), 10),
    },
    defaults: { parent: null, likes: [] },
    indexes: [{ key: { article: 1, _id: 1 } }, { key: { parent: 1, _id: 1 } }, { key: { likes: 1, _id: 1 } }],
  });
  const Report = resource('Report', {
    ...definition,
    collection: 'reports',
    fields: { comment: ref(Comment, 'restrict'), by: ref(Person, 'restrict') },
    indexes: [{ key: { comment: 1, _id: 1 } }, { key: { by: 1, _id: 1 } }],
  });
  const own: AnyResource[] = connect([Person, Article, Comment, Report]);
  const routes = own.flatMap((resource) => [
    list(resource, { filter: resource.references.map(({ field }) => field), sort: [] }),
    create(resource, { example: {} }),
    read(resource),
    update(resource, { example: {} }),
    remove(resource, { example: nobody }),
  ]);

  describe('removing', () => {
    const api = useApi({ resources: own, routes });
    const make = async ({ collection }: AnyResource, body: object = {}): Promise<string> => {
      const { status, body: made } = await api.post(`/${collection}`, body);
      expect(status).toBe(201);
      return made.id;
    };
    const aPerson = () => make(Person, { name: 'P' });
    const idsOf = async (resource: AnyResource) =>
      (await modelOf(resource).distinct('_id')).map(String).sort();

    test('detach empties a nullable reference and takes an id out of a list; cascade removes', async () => {
      const [gone, other] = [await aPerson(), await aPerson()];
      const removed = await make(Article, { author: gone, editor: other });
      const edited = await make(Article, { author: other, editor: gone });
      await make(Comment, { article: removed });
      const liked = await make(Comment, { article: edited, likes: [other, gone] });
      expect((await api.delete(`/people/${gone}`)).status).toBe(204);
      expect(await idsOf(Article)).toEqual([edited]);
      expect((await api.get(`/articles/${edited}`)).body.editor).toBeNull();
      expect(await idsOf(Comment)).toEqual([liked]);
      expect((await api.get(`/comments/${liked}`)).body.likes).toEqual([other]);
      expect(await idsOf(Person)).toEqual([other]);
    });

    test('a cascade reaches through all levels, and to what it meets on two ways', async () => {
      const author = await aPerson();
      const article = await make(Article, { author });
      let parent: string | null = null;
      // Each comment refers to the article and to the one before it.
      for (let i = 0; i < 5; i++) parent = await make(Comment, { article, parent });
      const elsewhere = await make(Article, { author: await aPerson() });
      const answer = await make(Comment, { article: elsewhere, parent });
      const unrelated = await make(Comment, { article: elsewhere });
      expect((await api.get(`/comments/${answer}`)).status).toBe(200);
      expect((await api.delete(`/articles/${article}`)).status).toBe(204);
      expect(await idsOf(Comment)).toEqual([unrelated]);
      expect(await idsOf(Article)).toEqual([elsewhere]);
    });

    test('a cascade ends where documents refer to each other in a circle, or to themselves', async () => {
      const article = await make(Article, { author: await aPerson() });
      const [a, b] = [await make(Comment, { article }), await make(Comment, { article })];
      const self = await make(Comment, { article });
      for (const [id, parent] of [
        [a, b],
        [b, a],
        [self, self],
      ])
        expect((await api.patch(`/comments/${id}`, { parent })).status).toBe(200);
      expect((await api.delete(`/comments/${a}`)).status).toBe(204);
      expect(await idsOf(Comment)).toEqual([self]);
      expect((await api.delete(`/comments/${self}`)).status).toBe(204);
      expect(await idsOf(Comment)).toEqual([]);
    });

    test('what restricts a document that a cascade would remove stops all of it', async () => {
      const author = await aPerson();
      const article = await make(Article, { author });
      await make(Comment, { article });
      const comment = await make(Comment, { article });
      const by = await aPerson();
      const reports = [await make(Report, { comment, by }), await make(Report, { comment, by })];
      const before = await Promise.all(own.map(idsOf));
      const { status, body } = await api.delete(`/people/${author}`);
      expect([status, body.code]).toEqual([409, 'still_referenced']);
      expect(body.blockers).toEqual([
        {
          resource: 'reports',
          field: 'comment',
          count: 2,
          ids: expect.any(Array),
          link: `/reports?comment=${comment}`,
        },
      ]);
      expect((await api.get(body.blockers[0].link)).body.items.map(({ id }: any) => id).sort()).toEqual(
        reports.toSorted(),
      );
      expect(await Promise.all(own.map(idsOf))).toEqual(before);
    });

    test('a cascade over five hundred documents is done in time, over more it is refused', async () => {
      const article = await make(Article, { author: await aPerson() });
      const comment = { article: new mongoose.Types.ObjectId(article), parent: null, likes: [], ...stamps };
      const comments = Array.from({ length: 501 }, () => ({ _id: newId(), ...comment }));
      await modelOf(Comment).collection.insertMany(comments);
      expect((await api.delete(`/articles/${article}`)).body.code).toBe('too_many_references');
      expect(await modelOf(Comment).countDocuments()).toBe(501);
      await modelOf(Comment).deleteOne({});
      expect((await api.delete(`/articles/${article}`)).status).toBe(204);
      expect(await modelOf(Comment).countDocuments()).toBe(0);
    });
  });

  test('definitions that cannot work together are refused with all that is wrong', () => {
    const A = resource('A', { ...definition, collection: 'as', fields: { to: ref('Nowhere', 'restrict') } });
    const B = resource('B', {
      ...definition,
      collection: 'bs',
      fields: {
        a: ref(A, 'detach'),
        others: setOf(ref('B', 'cascade'), 5),
        maybe: ref(A, 'detach').nullable(),
      },
      // An index that starts with another field does not find a reference, and one of some documents not all.
      indexes: [
        { key: { maybe: 1 } },
        { key: { _id: 1, others: 1 } },
        { key: { others: 1 }, where: { others: { $type: 'objectId' } } },
      ],
    });
    const faults = (resources: AnyResource[]) => {
      try {
        return connect(resources) && [];
      } catch (error) {
        return (error as Error).message
          .split('\n')
          .slice(1)
          .map((line) => line.trim());
      }
    };
    expect(faults([A, B])).toEqual([
      'A.to refers to Nowhere, which is not a resource.',
      'B.a is required and not a list, so it cannot be detached: make it nullable.',
      'B.a leads no index, so referrers of a A could not be found: add one.',
      'B.others leads no index, so referrers of a B could not be found: add one.',
    ]);
    const Nowhere = resource('Nowhere', {
      ...definition,
      collection: 'nowhere',
      fields: { name: text(1, 9) },
    });
    expect(faults([A, Nowhere])).toEqual([expect.stringContaining('A.to leads no index')]);
  });
});
