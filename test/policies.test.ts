import { describe, expect, test } from '@jest/globals';
import mongoose from 'mongoose';
import { create, read, remove, update } from '../src/http/crud.ts';
import { list } from '../src/http/list.ts';
import { ref, setOf, text } from '../src/schema/fields.ts';
import { link } from '../src/schema/references.ts';
import { type AnyResource, resource } from '../src/schema/resource.ts';
import { useApi } from './support/harness.ts';

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
const own: AnyResource[] = link([Person, Article, Comment, Report]);
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
  const idsOf = async ({ model }: AnyResource) => (await model.distinct('_id')).map(String).sort();

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

  test('a cascade over a thousand documents is done in time, over more it is refused', async () => {
    const article = await make(Article, { author: await aPerson() });
    const comment = { article: new mongoose.Types.ObjectId(article), parent: null, likes: [], ...stamps };
    const comments = Array.from({ length: 1001 }, () => ({ _id: newId(), ...comment }));
    await Comment.model.collection.insertMany(comments);
    expect((await api.delete(`/articles/${article}`)).body.code).toBe('too_many_references');
    expect(await Comment.model.countDocuments()).toBe(1001);
    await Comment.model.deleteOne({});
    expect((await api.delete(`/articles/${article}`)).status).toBe(204);
    expect(await Comment.model.countDocuments()).toBe(0);
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
      { key: { others: 1 }, where: { others: { $gt: '' } } },
    ],
  });
  const faults = (resources: AnyResource[]) => {
    try {
      return link(resources) && [];
    } catch (error) {
      return (error as Error).message
        .split('\n')
        .slice(1)
        .map((line) => line.trim());
    }
  };
  expect(faults([A, B])).toEqual([
    'A.to refers to Nowhere, which is not a resource.',
    'B.a is required and not a list, so nothing can be detached from it: make it nullable.',
    'B.a leads no index, so what refers to a A could not be found: add one.',
    'B.others leads no index, so what refers to a B could not be found: add one.',
  ]);
  const Nowhere = resource('Nowhere', { ...definition, collection: 'nowhere', fields: { name: text(1, 9) } });
  expect(faults([A, Nowhere])).toEqual([expect.stringContaining('A.to leads no index')]);
});
