import { Types } from 'mongoose';
import { z } from 'zod';
import { describeApi } from '../src/app.ts';
import { batch } from '../src/http/batch.ts';
import { create, links, read, remove, replace, update } from '../src/http/crud.ts';
import { exportAll } from '../src/http/export.ts';
import { list } from '../src/http/list.ts';
import { collections } from '../src/resources/api.ts';
import { User } from '../src/resources/users/user.ts';
import { ref, setOf, text } from '../src/schema/fields.ts';
import { modelOf } from '../src/schema/model.ts';
import { connect } from '../src/schema/references.ts';
import { resource } from '../src/schema/resource.ts';
import { viewsOf } from '../src/schema/views.ts';
import { aCaller } from './support/callers.ts';
import { useApi } from './support/harness.ts';

/** Fields that not everybody reads or writes who reads or writes the document. */

const Lease = resource('Lease', {
  collection: 'leases',
  description: 'A book that somebody has at home',
  fields: {
    title: text(1, 50),
    borrower: ref(User, 'cascade'),
    witnesses: setOf(ref(User, 'detach'), 5),
    fine: z.int().nullable(),
    rating: z.int().nullable(),
    condition: z.strictObject({ before: text(1, 50).nullable(), after: text(1, 50).nullable() }),
    notes: z.array(z.strictObject({ at: text(1, 20), text: text(1, 50).nullable() })).max(5),
  },
  policy: {
    owner: 'borrower',
    read: ['owner', 'editor'],
    create: ['owner', 'editor'],
    update: ['owner', 'editor'],
    remove: ['editor'],
  },
  access: {
    fine: { write: ['editor'] },
    witnesses: { write: ['editor'] },
    rating: { read: ['owner', 'admin'], write: ['owner'] },
    'condition.before': { write: ['editor'] },
    'notes.text': { read: ['editor'], write: ['editor'] },
  },
  defaults: {
    fine: null,
    rating: null,
    witnesses: [],
    notes: [],
    condition: { before: 'as new', after: null },
  },
  indexes: [
    { key: { borrower: 1, _id: 1 } },
    { key: { witnesses: 1, _id: 1 } },
    { key: { rating: 1, _id: 1 } },
    { key: { fine: 1, _id: 1 } },
  ],
  example: { id: '65f000000000000000000101', title: 'Dune', borrower: '65f000000000000000000c01' } as any,
});
connect([...collections, Lease]);
const example = { title: 'Dune', borrower: '65f000000000000000000c01' };

const resources = [...collections, Lease];
const routes = [
  list(Lease, { filter: ['borrower', 'rating', 'fine'], sort: ['rating', 'fine'] }),
  exportAll(Lease, { filter: [], sort: [] }),
  create(Lease, { example }),
  read(Lease),
  replace(Lease, { example }),
  update(Lease, { example: { title: 'D' } }),
  remove(Lease, { example: '65f000000000000000000101' }),
  ...links(Lease, 'witnesses'),
  read(User),
  batch([Lease], {
    example: { operations: [{ method: 'create', resource: 'leases', body: example }] as never },
  }),
];
const api = useApi({ resources, routes });

const jsonPatch = { headers: { 'content-type': 'application/json-patch+json' } };

async function aLease(more: object = {}) {
  const [ann, theo] = [await aCaller('member'), await aCaller('member')];
  const [editor, admin] = [await aCaller('editor'), await aCaller('admin')];
  const { _id } = await modelOf(Lease).create({
    ...Lease.defaults,
    title: 'Dune',
    borrower: ann.id,
    rating: 5,
    condition: { before: 'worn', after: null },
    notes: [{ at: 'May', text: 'torn' }],
    ...more,
  });
  const path = `/leases/${_id}`;
  const stored = () => modelOf(Lease).findById(_id).lean();
  return { ann, theo, editor, admin, path, stored };
}

describe('a field is shown to those who may read it', () => {
  test('at every depth, in items, lists, includes, streams and selections; others see none of it', async () => {
    const { ann, theo, editor, admin, path } = await aLease();
    const notes = { open: [{ at: 'May' }], all: [{ at: 'May', text: 'torn' }] };
    for (const [as, rating, seen] of [
      [ann.token, 5, notes.open],
      [editor.token, undefined, notes.all],
      [admin.token, 5, notes.all],
    ] as const) {
      const ndjson = await api.get('/leases/export', { as });
      const places = [
        (await api.get(path, { as })).body,
        (await api.get(`${path}?fields=rating,notes`, { as })).body,
        (await api.get(`${path}?include=borrower`, { as })).body,
        (await api.get('/leases', { as })).body.items[0],
        (await api.patch(path, {}, { as })).body,
        typeof ndjson.body === 'string' ? JSON.parse(ndjson.body) : ndjson.body,
      ];
      expect(places.map(({ rating, notes }) => [rating, notes])).toEqual(places.map(() => [rating, seen]));
    }
    expect((await api.get(path, { as: theo.token })).status).toBe(404);
    const user = await api.get(`/users/${ann.id}?include=leasesByBorrower`, { as: ann.token });
    expect(user.body.leasesByBorrower.items).toMatchObject([{ rating: 5, notes: notes.open }]);
    expect(user.body.leasesByBorrower.items[0].notes).toEqual(notes.open);
  });

  test('and decides on the entity tag: what a caller does not see changes none', async () => {
    const { ann, editor, admin, path } = await aLease();
    const tags = () =>
      Promise.all(
        [ann, editor, admin].map(async ({ token }) =>
          (await api.get(path, { as: token })).headers.get('etag'),
        ),
      );
    const before = await tags();
    expect((await api.patch(path, { rating: 4 }, { as: ann.token })).status).toBe(200);
    const after = await tags();
    await modelOf(Lease).updateMany({}, { rating: 1 }, { timestamps: false });
    const [, seenByEditor] = await tags();
    await modelOf(Lease).updateMany({}, { rating: 2 }, { timestamps: false });
    expect((await tags())[1]).toBe(seenByEditor);
    expect(new Set([...before, ...after]).size).toBe(6);
  });

  test('and nobody else filters or sorts by it; an owner may, who sees his own only', async () => {
    const { ann, editor, admin } = await aLease();
    for (const query of ['rating=5', 'rating[gte]=1', 'rating[exists]=true', 'sort=rating', 'sort=-rating']) {
      for (const as of [ann.token, admin.token])
        expect([query, (await api.get(`/leases?${query}`, { as })).body.items?.length]).toEqual([query, 1]);
      const { status, body } = await api.get(`/leases?${query}`, { as: editor.token });
      expect([status, body.code, body.errors]).toMatchObject([
        403,
        'forbidden',
        [{ in: 'query', parameter: query.split('=')[0], code: 'not_readable' }],
      ]);
    }
  });

  test('and a JSON Patch cannot test it', async () => {
    const { editor, ann, path } = await aLease();
    const tests = (value: unknown, as: string) =>
      api.patch(path, [{ op: 'test', path: '/rating', value }], { ...jsonPatch, as });
    expect((await tests(5, ann.token)).status).toBe(200);
    const answers = [await tests(5, editor.token), await tests(4, editor.token)];
    expect(new Set(answers.map(({ status, body }) => `${status} ${body.code}`)).size).toBe(1);
    expect(answers[0]?.status).not.toBe(200);
  });
});

describe('a field is written by those who may', () => {
  const refused = ({ body }: { body: any }) => {
    const { status, errors } = body.problem ?? body;
    return [status, errors?.map(({ pointer, code }: any) => `${pointer} ${code}`)];
  };

  test('others are refused with its pointer, by whatever way, and nothing is written', async () => {
    const { ann, path, stored } = await aLease();
    const before = await stored();
    const as = { as: ann.token };
    const body = { title: 'D', borrower: String(ann.id) };
    const operation = (rest: object) =>
      api.post('/batch', { operations: [{ resource: 'leases', ...rest }] }, as);
    const id = path.slice('/leases/'.length);
    for (const [field, value, pointer] of [
      ['fine', 3, '/fine'],
      ['condition', { before: 'new', after: null }, '/condition/before'],
      ['condition', null, undefined],
      ['notes', [{ at: 'May', text: 'torn' }], '/notes/text'],
      ['notes', [{ at: 'May' }], '/notes/text'],
      ['notes', [], '/notes/text'],
    ] as const) {
      const change = { [field]: value };
      const answers = [
        await api.post('/leases', { ...body, ...change }, as),
        await api.put(path, { ...body, ...change }, as),
        await api.patch(path, change, as),
        await operation({ method: 'create', body: { ...body, ...change } }),
        await operation({ method: 'replace', id, body: { ...body, ...change } }),
        await operation({ method: 'update', id, body: change }),
      ];
      // There are no notes before the document is there, so that a create changes none by an empty list.
      const some = value instanceof Array && value.length === 0 ? [1, 2, 4, 5] : [0, 1, 2, 3, 4, 5];
      for (const i of some)
        if (pointer)
          expect([field, i, refused(answers[i] as never)]).toEqual([
            field,
            i,
            [403, [`${pointer} not_writable`]],
          ]);
        else expect((answers[i] as any).status).toBe(422);
      await modelOf(Lease).deleteMany({ _id: { $ne: new Types.ObjectId(id) } });
    }
    for (const [patch, pointer] of [
      [{ op: 'replace', path: '/fine', value: 3 }, '/0/value not_writable'],
      [{ op: 'remove', path: '/condition/before' }, '/0/path not_writable'],
      [{ op: 'add', path: '/condition/before', value: 'x' }, '/0/value not_writable'],
      [{ op: 'add', path: '/notes/0/text', value: 'torn' }, '/0/value not_writable'],
    ] as const)
      expect(refused(await api.patch(path, [patch], { ...as, ...jsonPatch }))).toEqual([403, [pointer]]);
    for (const method of ['PUT', 'DELETE'])
      expect((await api.call(method, `${path}/witnesses/${ann.id}`, as)).status).toBe(403);
    expect(await stored()).toEqual(before);
  });

  test('what is equal is taken; a PUT leaves as it is what the caller may not write, a create gives the default', async () => {
    const { ann, editor, path, stored } = await aLease({ fine: 7 });
    const as = { as: ann.token };
    const { body: seen } = await api.get(path, as);
    const { notes, ...rest } = seen;
    expect((await api.put(path, { ...rest, title: 'Again' }, as)).status).toBe(200);
    expect((await api.patch(path, { fine: 7, condition: seen.condition }, as)).status).toBe(200);
    const body = { title: 'D', borrower: String(ann.id), condition: { after: 'wet' } };
    expect((await api.put(path, body, as)).status).toBe(200);
    expect(await stored()).toMatchObject({
      title: 'D',
      fine: 7,
      rating: null,
      condition: { before: 'worn', after: 'wet' },
      notes: [{ at: 'May', text: 'torn' }],
    });
    const made = await api.post('/leases', { ...body, fine: null }, as);
    expect([made.status, made.body.fine, made.body.condition]).toEqual([
      201,
      null,
      { before: 'as new', after: 'wet' },
    ]);
    const patch = [{ op: 'replace', path: '/condition/after', value: 'dry' }];
    expect((await api.patch(path, patch, { ...as, ...jsonPatch })).body.condition).toEqual({
      before: 'worn',
      after: 'dry',
    });
    // Who may is not hindered.
    const all = { fine: 9, condition: { before: 'b', after: 'a' }, notes: [] };
    expect((await api.patch(path, all, { as: editor.token })).status).toBe(200);
    expect(await stored()).toMatchObject(all);
  });

  test('what the owner alone may write, no editor changes, not even to what it is', async () => {
    const { ann, editor, path } = await aLease();
    for (const value of [4, 5]) {
      const answer = await api.patch(path, { rating: value }, { as: editor.token });
      expect(refused(answer)).toEqual([403, ['/rating not_writable']]);
    }
    expect((await api.patch(path, { rating: 4 }, { as: ann.token })).body.rating).toBe(4);
    const theirs = { title: 'D', borrower: String(editor.id), rating: 1 };
    expect((await api.post('/leases', theirs, { as: editor.token })).status).toBe(201);
    const another = { ...theirs, borrower: String(ann.id) };
    expect(refused(await api.post('/leases', another, { as: editor.token }))).toEqual([
      403,
      ['/rating not_writable'],
    ]);
  });

  test('and the document says who', () => {
    const { schemas } = JSON.parse(JSON.stringify(describeApi({ resources, routes }))).components;
    const inWords = (schema: string, field: string): string => {
      const { $ref, description } = schemas[schema].properties[field];
      return $ref ? schemas[$ref.split('/').at(-1)].description : description;
    };
    expect(inWords('LeaseBody', 'fine')).toBe('Only written by editors and above');
    expect(inWords('LeaseBody', 'rating')).toBe('Only written by its borrower');
    expect(inWords('Lease', 'rating')).toBe('Only shown to its borrower or admins');
    expect(schemas.Lease.required).not.toContain('rating');
  });
});

test('a document belongs to its creator, if that is all that lets him create one', async () => {
  const [ann, theo, editor] = [await aCaller('member'), await aCaller('member'), await aCaller('editor')];
  const made = async (borrower: Types.ObjectId, as: string) =>
    (await api.post('/leases', { title: 'D', borrower: String(borrower) }, { as })).status;
  expect([
    await made(ann.id, ann.token),
    await made(theo.id, ann.token),
    await made(ann.id, editor.token),
    await made(ann.id, ''),
  ]).toEqual([201, 403, 201, 401]);
});

test('a create that leaves out what the caller may not write needs a default, or it is an error at start', () => {
  const { fine, ...defaults } = Lease.defaults;
  const other = { ...Lease, defaults };
  expect(() => create(other, { example })).toThrow('fine needs a default');
});

test('a view shows what admins may read, and no field that not everybody sees', () => {
  const view = viewsOf([Lease])['leases_named'];
  expect(view?.pipeline.slice(0, 2)).toEqual([
    {
      $project: {
        title: 1,
        borrower: 1,
        witnesses: 1,
        fine: 1,
        condition: 1,
        notes: 1,
        createdAt: 1,
        updatedAt: 1,
      },
    },
    { $unset: ['notes.text'] },
  ]);
});
