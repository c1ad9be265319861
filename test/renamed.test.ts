import { z } from 'zod';
import { batch } from '../src/http/batch.ts';
import { create, read, replace, update } from '../src/http/crud.ts';
import { exportAll } from '../src/http/export.ts';
import { groups } from '../src/http/groups/groups.ts';
import { list } from '../src/http/list.ts';
import { openapi } from '../src/http/openapi/document.ts';
import { text } from '../src/schema/fields.ts';
import { modelOf } from '../src/schema/model.ts';
import { connect } from '../src/schema/references.ts';
import { type AnyResource, resource } from '../src/schema/resource.ts';
import { liftRules } from './support/database.ts';
import { useApi } from './support/harness.ts';

const Edition = resource('Edition', {
  collection: 'editions',
  description: 'A book as it was printed',
  fields: { imprint: text(1, 100), place: text(1, 100) },
  renamed: { imprint: 'publisher' },
  policy: { read: ['anyone'] },
  indexes: [{ key: { imprint: 1, _id: 1 } }],
  example: { id: '65f000000000000000000e01', imprint: 'Ace', place: 'New York' },
});
const Print = resource('Print', {
  collection: 'prints',
  description: 'A print run',
  fields: { copies: text(1, 20).nullable(), place: text(1, 100) },
  defaults: { copies: null },
  renamed: {
    copies: {
      from: 'run',
      decode: (run: number) => `${run} copies`,
      encode: (copies) => Number.parseInt(copies),
    },
  },
  computed: {
    run: {
      from: ['copies'],
      schema: z.int().nullable(),
      value: ({ copies }) => (copies === null ? null : Number.parseInt(copies)),
    },
  },
  policy: { read: ['anyone'] },
  example: { id: '65f000000000000000000e02', copies: '500 copies', place: 'New York' },
});
connect([Edition, Print] as AnyResource[]);
const listing = { filter: ['imprint'], sort: ['imprint'], groups: ['imprint', 'place'] } as const;
const routes = [
  list(Edition, listing),
  exportAll(Edition, listing),
  groups(Edition, listing),
  create(Edition, { example: { imprint: 'Ace', place: 'New York' } }),
  read(Edition),
  replace(Edition),
  update(Edition, { example: { place: 'Boston' } }),
  batch([Edition as AnyResource], { example: { operations: [] } }),
  create(Print, { example: { copies: '500 copies', place: 'New York' } }),
  read(Print),
  update(Print, { example: { place: 'Boston' } }),
];
const api = useApi({ resources: [Edition, Print] as AnyResource[], routes });

const place = 'New York';
const anEdition = async (imprint: string) => (await api.post('/editions', { imprint, place })).body;

describe('clients that know the former name', () => {
  test('read both names', async () => {
    const { id } = await anEdition('Ace');
    const names = { imprint: 'Ace', publisher: 'Ace' };
    expect((await api.get(`/editions/${id}`)).body).toMatchObject(names);
    expect((await api.get(`/editions/${id}?fields=publisher`)).body).toEqual({ id, publisher: 'Ace' });
    expect((await api.get('/editions')).body.items).toMatchObject([names]);
    const csv = await api.call('GET', '/editions/export?format=csv');
    expect(String(csv.body).split('\r\n')[0]).toMatch(/imprint.*publisher/);
  });

  test('write either name', async () => {
    const created = await api.post('/editions', { publisher: 'Ace', place });
    expect([created.status, created.body.imprint]).toEqual([201, 'Ace']);
    const path = `/editions/${created.body.id}`;
    const patch = [{ op: 'replace', path: '/publisher', value: 'Orb' }];
    const { id } = created.body;
    for (const [imprint, write] of [
      ['Tor', () => api.patch(path, { publisher: 'Tor' })],
      ['DAW', () => api.put(path, { publisher: 'DAW', place })],
      [
        'Orb',
        () =>
          api.call('PATCH', path, {
            body: patch,
            headers: { 'content-type': 'application/json-patch+json' },
          }),
      ],
      [
        'Daw',
        () =>
          api.post('/batch', {
            operations: [{ method: 'update', resource: 'editions', id, body: { publisher: 'Daw' } }],
          }),
      ],
    ] as const) {
      expect((await write()).status).toBe(200);
      expect((await api.get(path)).body).toMatchObject({ imprint, publisher: imprint });
    }
    expect(await modelOf(Edition).collection.findOne()).not.toHaveProperty('publisher');
  });

  test('send back what they have read with one of the names changed', async () => {
    const { createdAt, updatedAt, ...edition } = await anEdition('Ace');
    const path = `/editions/${edition.id}`;
    expect((await api.put(path, { ...edition, publisher: 'Tor' })).body.imprint).toBe('Tor');
    const tor = { ...edition, imprint: 'Tor', publisher: 'Tor' };
    expect((await api.put(path, { ...tor, imprint: 'DAW' })).body.publisher).toBe('DAW');
    const refused = await api.put(path, { ...edition, imprint: 'A', publisher: 'B' });
    expect([refused.status, refused.body.errors[0]]).toMatchObject([
      422,
      { pointer: '/publisher', code: 'contradiction' },
    ]);
  });

  test.each([
    ['both, and different', { imprint: 'A', publisher: 'B' }, '/publisher', 'contradiction'],
    ['neither', {}, '/imprint', 'required'],
    ['one that is none', { publisher: 5 }, '/publisher', 'invalid_type'],
  ])('are told of %s', async (_, names, pointer, code) => {
    const { status, body } = await api.post('/editions', { ...names, place });
    expect([status, body.errors]).toMatchObject([422, [{ pointer, code }]]);
  });

  test('are told of a missing name beside other faults', async () => {
    const { body } = await api.post('/editions', { place: 5 });
    expect(body.errors.map(({ pointer }: any) => pointer).toSorted()).toEqual(['/imprint', '/place']);
  });

  test('filter and sort by it', async () => {
    for (const imprint of ['Tor', 'Ace']) await anEdition(imprint);
    const names = async (query: string) =>
      (await api.get(`/editions?${query}`)).body.items.map(({ imprint }: any) => imprint);
    expect(await names('publisher=Ace')).toEqual(['Ace']);
    expect(await names('publisher[in]=Tor,DAW')).toEqual(['Tor']);
    expect(await names('sort=publisher')).toEqual(['Ace', 'Tor']);
    expect(await names('sort=-publisher')).toEqual(['Tor', 'Ace']);
  });

  test('group by it', async () => {
    for (const imprint of ['Tor', 'Ace', 'Tor']) await anEdition(imprint);
    const of = async (query: string) => (await api.get(`/editions/groups?${query}`)).body;
    expect((await of('by=publisher&sort=-publisher')).items).toEqual([
      { key: { publisher: 'Tor' }, count: 2 },
      { key: { publisher: 'Ace' }, count: 1 },
    ]);
    const told = 'distinct(publisher)';
    expect((await of(`by=place&show=${told}&sort=${told}&having=${told} = 2`)).items).toEqual([
      { key: { place }, distinct: { publisher: 2 } },
    ]);
    expect((await api.get('/editions?facets=publisher')).body.facets).toEqual({
      publisher: [
        { value: 'Tor', count: 2 },
        { value: 'Ace', count: 1 },
      ],
    });
    const { status, errors } = await of('by=colour');
    expect([status, errors[0].message]).toEqual([422, 'must be among imprint, place']);
  });

  test('find it deprecated in OpenAPI', () => {
    const { paths, components } = openapi(routes, []) as any;
    const { schemas } = components;
    for (const name of ['Edition', 'EditionBody', 'EditionReplacement', 'EditionPatch'])
      expect([name, schemas[name].properties.publisher]).toMatchObject([name, { deprecated: true }]);
    expect(schemas.EditionBody.required).toEqual(['place']);
    const parameters = [...paths['/editions'].get.parameters, ...Object.values(components.parameters)];
    const deprecated = parameters.filter((parameter: any) => parameter.deprecated);
    expect(deprecated.map(({ name }: any) => name)).toContain('publisher[in]');
    expect(deprecated.every(({ name }: any) => name.startsWith('publisher'))).toBe(true);
  });
});

describe('while servers of the version before run', () => {
  const { collection } = modelOf(Edition);
  const store = (change: object) => collection.updateOne({}, { $set: change });

  test('what they have stored is what answers show', async () => {
    const { id } = await anEdition('Ace');
    await liftRules(modelOf(Edition));
    await store({ publisher: 'Ballantine' });
    expect((await api.get(`/editions/${id}`)).body).toMatchObject({ imprint: 'Ballantine' });
    expect((await api.get(`/editions/${id}?fields=imprint`)).body).toEqual({ id, imprint: 'Ballantine' });
    expect((await api.get('/editions')).body.items).toMatchObject([{ imprint: 'Ballantine' }]);
    const patched = await api.patch(`/editions/${id}`, { place: 'Boston' });
    expect(patched.body).toMatchObject({ imprint: 'Ballantine', place: 'Boston' });
    expect(await collection.findOne()).toMatchObject({ publisher: 'Ballantine' });
  });

  test.each([
    ['PATCH', { imprint: 'Tor' }],
    ['PUT', { imprint: 'Tor', place: 'Boston' }],
  ])('a %s changes what they read, too', async (method, change) => {
    const { id } = await anEdition('Ace');
    await liftRules(modelOf(Edition));
    await store({ publisher: 'Ballantine' });
    const { body } = await api.call(method, `/editions/${id}`, { body: change });
    expect(body).toMatchObject({ imprint: 'Tor', publisher: 'Tor' });
    expect(await collection.findOne()).toMatchObject({ imprint: 'Tor', publisher: 'Tor' });
    // Back to what it was before they changed it.
    const again = await api.patch(`/editions/${id}`, { imprint: 'Ace' });
    expect([again.body.imprint, again.body.updatedAt > body.updatedAt]).toEqual(['Ace', true]);
  });
});

describe('of another type, while servers of the version before run', () => {
  const { collection } = modelOf(Print);
  const aPrint = async (stored: object) => {
    const { id } = (await api.post('/prints', { copies: '300 copies', place })).body;
    await liftRules(modelOf(Print));
    await collection.updateOne({}, { $set: stored });
    return `/prints/${id}`;
  };

  test('what they have stored is what answers show', async () => {
    const path = await aPrint({ run: 500 });
    expect((await api.get(path)).body).toMatchObject({ copies: '500 copies', run: 500 });
    expect((await api.get(`${path}?fields=run`)).body).toMatchObject({ run: 500 });
    const { body } = await api.patch(path, { place: 'Boston' });
    expect(body).toMatchObject({ copies: '500 copies', run: 500 });
  });

  test('what this version stores they read as the type that they know', async () => {
    const path = await aPrint({ run: 300 });
    expect((await api.patch(path, { copies: '600 or so' })).body).toMatchObject({ run: 600 });
    expect(await collection.findOne()).toMatchObject({ copies: '600 or so', run: 600 });
    expect((await api.get(path)).body).toMatchObject({ copies: '600 or so', run: 600 });
  });

  test('null stays null', async () => {
    const { body } = await api.get(await aPrint({ run: null }));
    expect(body).toMatchObject({ copies: null, run: null });
  });
});

test('a computed field in the place of a former name is what clients see, and cannot write', () => {
  expect(Print.example).toMatchObject({ copies: '500 copies', run: 500 });
  expect(Print.bodies.update.safeParse({ run: 600 }).success).toBe(false);
});

test('a former name is shown to those who read the field, and to nobody else', () => {
  const Secret = resource('Secret', {
    collection: 'secrets',
    description: 'A secret',
    fields: { digest: text(1, 9), note: text(1, 9) },
    renamed: { digest: 'hash', note: 'remark' },
    access: { digest: { read: [], write: [] }, note: { read: ['admin'], write: ['admin'] } },
    defaults: { note: '-' },
    example: { id: '65f000000000000000000e01', digest: 'x', note: 'y' },
  });
  expect(Secret.document.shape).not.toHaveProperty('hash');
  expect(Secret.document.shape).toHaveProperty('remark');
  expect(Secret.restrictions.read.kept.anonymous.others).toContain('remark');
});

test('a former name is one that no field has', () => {
  expect(() =>
    resource('Odd', {
      collection: 'odd',
      description: 'Odd',
      fields: { a: text(1, 9), b: text(1, 9) },
      renamed: { a: 'b' },
      example: { id: '65f000000000000000000e01', a: 'a', b: 'b' },
    }),
  ).toThrow('renamed.a must be a former name');
});
