import { z } from 'zod';
import { documentMaker } from '../scripts/import/document.ts';
import { create, read, replace, update } from '../src/http/crud.ts';
import { exportAll } from '../src/http/export.ts';
import { list } from '../src/http/list.ts';
import { instant, ref, text } from '../src/schema/fields.ts';
import { modelOf } from '../src/schema/model.ts';
import { connect } from '../src/schema/references.ts';
import { resource } from '../src/schema/resource.ts';
import { seed } from '../src/seed.ts';
import { storeAnyhow } from './support/database.ts';
import { useApi } from './support/harness.ts';

/** Fields that answers show and no document has, on resources of the tests' own. */

const DAY = 24 * 60 * 60 * 1_000;

const Boat = resource('Boat', {
  collection: 'boats',
  description: 'A boat',
  fields: { name: text(1, 100), length: z.int(), width: z.int().nullable(), builtAt: instant() },
  policy: { read: ['anyone'], create: ['editor'], update: ['editor'], remove: ['editor'] },
  computed: {
    area: {
      from: ['length', 'width'],
      schema: z.int().nullable().describe('Length by width'),
      value: ({ length, width }) => (width === null ? null : length * width),
    },
    seen: {
      from: ['name'],
      schema: z.int().describe('How many fields it sees'),
      value: (stored) => Object.keys(stored).length,
    },
    inspectedAt: {
      from: ['builtAt'],
      schema: instant().describe('A day later'),
      value: ({ builtAt }) => new Date(builtAt.getTime() + DAY),
    },
  },
  indexes: [{ key: { name: 1, _id: 1 } }],
  example: {
    id: '65f000000000000000000221',
    name: 'Nan',
    length: 5,
    width: 2,
    builtAt: '2026-03-01T12:00:00.000Z',
  },
});
const Trip = resource('Trip', {
  collection: 'trips',
  description: 'A trip',
  fields: { boat: ref('Boat', 'cascade') },
  policy: { read: ['anyone'], create: ['editor'], update: ['editor'], remove: ['editor'] },
  indexes: [{ key: { boat: 1, _id: 1 } }],
  example: { id: '65f000000000000000000222', boat: Boat.example.id },
});

const own = connect([Boat, Trip]);
const { id: _, createdAt, updatedAt, ...shown } = Boat.example;
const { area, seen, inspectedAt, ...example } = shown as typeof shown & Record<string, unknown>;
const api = useApi({
  resources: own,
  routes: [
    list(Boat, { filter: ['name'], sort: ['name'] }),
    exportAll(Boat, { filter: ['name'], sort: ['name'] }),
    create(Boat, { example }),
    read(Boat),
    replace(Boat, { example }),
    update(Boat, { example: { width: 3 } }),
    list(Trip, { filter: ['boat'], sort: [] }),
    create(Trip, { example: { boat: Boat.example.id } }),
  ],
});

const computed = { area: 10, seen: 1, inspectedAt: '2026-03-02T12:00:00.000Z' };
const aBoat = async () => (await api.post('/boats', example)).body;

test('it stands in answers and in the example, and is not stored', async () => {
  expect(Boat.example).toMatchObject(computed);
  const boat = await aBoat();
  expect(boat).toMatchObject(computed);
  expect(Object.keys((await modelOf(Boat).findOne().lean()) ?? {})).not.toContain('area');
  expect((await api.patch(`/boats/${boat.id}`, { width: 3 })).body.area).toBe(15);
  expect((await api.patch(`/boats/${boat.id}`, { width: null })).body.area).toBeNull();
  const csv = await api.get('/boats/export?format=csv');
  expect(csv.body).toMatch(/^id,name,length,width,builtAt,area,seen,inspectedAt,createdAt,updatedAt/);
});

test('it can be chosen, also of what is included; what it is made from is read for it', async () => {
  const boat = await aBoat();
  expect((await api.get(`/boats/${boat.id}?fields=area`)).body).toEqual({ id: boat.id, area: 10 });
  expect((await api.get('/boats?fields=inspectedAt,name')).body.items).toEqual([
    { id: boat.id, name: 'Nan', inspectedAt: computed.inspectedAt },
  ]);
  await api.post('/trips', { boat: boat.id });
  expect((await api.get('/trips?include=boat')).body.items[0].boat).toMatchObject(computed);
  expect((await api.get('/trips?include=boat&fields=boat.area')).body.items).toEqual([
    { id: expect.any(String), boat: { id: boat.id, area: 10 } },
  ]);
  expect((await api.get('/boats?include=trips&fields=area')).body.items[0].area).toBe(10);
});

test('it cannot be written; a replace takes it if it is the same', async () => {
  const boat = await aBoat();
  for (const [method, path] of [
    ['POST', '/boats'],
    ['PATCH', `/boats/${boat.id}`],
  ] as const)
    expect(
      await api.call(method, path, { body: method === 'POST' ? { ...example, area: 10 } : { area: 10 } }),
    ).toMatchObject({ status: 422, body: { errors: [{ pointer: '/area', code: 'unknown_field' }] } });
  expect((await api.put(`/boats/${boat.id}`, boat)).status).toBe(200);
  expect(await api.put(`/boats/${boat.id}`, { ...boat, area: 11 })).toMatchObject({
    status: 422,
    body: { errors: [{ pointer: '/area', code: 'read_only' }] },
  });
  const raw = JSON.stringify([{ op: 'test', path: '/area', value: 10 }]);
  const headers = { 'content-type': 'application/json-patch+json' };
  expect((await api.call('PATCH', `/boats/${boat.id}`, { raw, headers })).status).toBe(200);
});

test('nothing can be filtered or sorted by it', async () => {
  await aBoat();
  for (const query of ['area=10', 'sort=area']) expect((await api.get(`/boats?${query}`)).status).toBe(422);
  for (const listing of [
    { filter: ['area'], sort: [] },
    { filter: [], sort: ['area'] },
  ])
    expect(() => list(Boat, listing as never)).toThrow('it is not stored');
});

test('a document that it cannot be made of is answered without it', async () => {
  const now = new Date();
  await storeAnyhow(modelOf(Boat), { name: 'Old', length: 5, builtAt: 'x', createdAt: now, updatedAt: now });
  const response = await fetch(`${api.url()}/boats`);
  const { items } = (await response.json()) as { items: object[] };
  expect(items).toMatchObject([{ name: 'Old', area: null }]);
  expect(items[0]).not.toHaveProperty('inspectedAt');
});

test('an export goes back in, and the example is a seed', async () => {
  const { document, reasons } = documentMaker(Boat)(Boat.example);
  expect(reasons).toEqual([]);
  expect(Object.keys(document ?? {}).toSorted()).toEqual(
    ['_id', 'builtAt', 'createdAt', 'length', 'name', 'updatedAt', 'width'].toSorted(),
  );
  await seed([[Boat, [Boat.example]]], () => {});
  expect((await api.get(`/boats/${Boat.example.id}`)).body).toMatchObject(computed);
});

describe('a definition is refused at start', () => {
  const define = (computed: object, more: object = {}) =>
    resource('Raft', {
      collection: 'rafts',
      description: 'x',
      fields: { name: text(1, 9), secret: text(1, 9) },
      computed,
      example: { id: '65f000000000000000000223', name: 'x', secret: 'y' },
      ...more,
    } as never);
  const size = { from: ['name'], schema: z.int(), value: () => 1 };

  test.each([
    [
      'a source with a typo',
      { size: { ...size, from: ['naem'] } },
      'is computed from "naem", which is not a stored field',
    ],
    ['no source', { size: { ...size, from: [] } }, 'computed.size lacks "from"'],
    ['no schema', { size: { ...size, schema: undefined } }, 'computed.size lacks "schema"'],
    ['the name of a field', { name: size }, 'computed.name has the name of a stored field'],
  ])('with %s', (_, computed, fault) => {
    expect(() => define({ size })).not.toThrow();
    expect(() => define(computed)).toThrow(fault);
  });

  test('if not everybody may read a source, and nothing says who reads what is made from it', () => {
    const made = { size: { ...size, from: ['secret'] } };
    const access = { secret: { read: ['admin'] } };
    expect(() => define(made, { access })).toThrow(
      'computed.size is computed from secret, which some callers may not read: add access.size to say who may read it.',
    );
    expect(() => define(made, { access: { ...access, size: { read: ['admin'] } } })).not.toThrow();
  });
});
