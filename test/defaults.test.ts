import { z } from 'zod';
import { documentMaker } from '../scripts/import/document.ts';
import { batch } from '../src/http/batch.ts';
import { create, read, replace, update } from '../src/http/crud.ts';
import { instant, text } from '../src/schema/fields.ts';
import { completedOnce } from '../src/schema/defaults.ts';
import { connect } from '../src/schema/references.ts';
import { resource } from '../src/schema/resource.ts';
import { useApi } from './support/harness.ts';

/** Defaults that are functions, on a resource of the tests' own. */

const DAY = 24 * 60 * 60 * 1_000;
let calls = 0;

const Lease = resource('Lease', {
  collection: 'leases',
  description: 'Something that is let',
  fields: {
    title: text(1, 100),
    days: z.int().min(1),
    number: z.int(),
    startsAt: instant(),
    endsAt: instant().nullable(),
    note: text(0, 100).nullable(),
  },
  access: { number: { write: [] } },
  defaults: {
    number: () => ++calls,
    startsAt: () => new Date('2026-03-01T12:00:00Z'),
    endsAt: ({ startsAt, days = 0 }) => (startsAt ? new Date(startsAt.getTime() + days * DAY) : null),
    note: null,
    days: 14,
  },
  example: {
    id: '65f000000000000000000211',
    title: 'A boat',
    days: 14,
    number: 1,
    startsAt: '2026-03-01T12:00:00.000Z',
    endsAt: '2026-03-15T12:00:00.000Z',
    note: null,
  },
});

const own = connect([Lease]);
const routes = [
  create(Lease, { example: { title: 'A boat' } }),
  read(Lease),
  replace(Lease),
  update(Lease, { example: { days: 7 } }),
  batch(own, { example: { operations: [{ method: 'remove', resource: 'leases', id: Lease.example.id }] } }),
];
const api = useApi({ resources: own, routes });

beforeEach(() => {
  calls = 0;
});

test('a default may be a function, which sees the body and the defaults before it', async () => {
  const { body } = await api.post('/leases', { title: 'A boat' });
  expect(body).toMatchObject({
    ...Lease.example,
    id: body.id,
    createdAt: body.createdAt,
    updatedAt: body.updatedAt,
  });
  expect((await api.post('/leases', { title: 'A boat', days: 1 })).body).toMatchObject({
    number: 2,
    endsAt: '2026-03-02T12:00:00.000Z',
  });
  const startsAt = '2026-05-01T12:00:00.000Z';
  expect((await api.post('/leases', { title: 'A boat', startsAt, endsAt: null })).body).toMatchObject({
    startsAt,
    endsAt: null,
  });
  const operations = [{ method: 'create', resource: 'leases', body: { title: 'A boat', startsAt } }];
  expect((await api.post('/batch', { operations })).body.results[0].document).toMatchObject({
    endsAt: '2026-05-15T12:00:00.000Z',
  });
});

test('it stands for what a replace leaves out, and for what a JSON Patch removes', async () => {
  const startsAt = '2026-05-01T12:00:00.000Z';
  const { body } = await api.post('/leases', { title: 'A boat', days: 2, startsAt, note: 'blue' });
  const at = `/leases/${body.id}`;
  const patch = (...operations: object[]) =>
    api.call('PATCH', at, {
      raw: JSON.stringify(operations),
      headers: { 'content-type': 'application/json-patch+json' },
    });
  const removal = await patch({ op: 'remove', path: '/endsAt' }, { op: 'replace', path: '/days', value: 3 });
  expect(removal.body).toMatchObject({ days: 3, startsAt, endsAt: '2026-05-04T12:00:00.000Z', note: 'blue' });
  expect((await patch({ op: 'remove', path: '/title' })).body.errors).toMatchObject([{ code: 'required' }]);
  // A field that only commands write is not a client's to put back.
  expect((await api.put(at, { title: 'A boat', days: 1 })).body).toMatchObject({
    number: 1,
    startsAt: '2026-03-01T12:00:00.000Z',
    endsAt: '2026-03-02T12:00:00.000Z',
    note: null,
  });
});

test('it runs once for a body, however often the transaction does', async () => {
  expect(await api.post('/leases', { title: 'A boat' })).toMatchObject({ status: 201, body: { number: 1 } });
  const body = { title: 'A boat' };
  expect(completedOnce(Lease, body)).toBe(completedOnce(Lease, body));
  expect(calls).toBe(2);
});

test('it is made for a row of an import, whose id does not depend on it', () => {
  const make = () => documentMaker(Lease)({ title: 'A boat', days: 1 }).document;
  const [one, two] = [make(), make()];
  expect(one).toMatchObject({ number: 1, endsAt: new Date('2026-03-02T12:00:00Z') });
  expect([two?._id, two?.['number']]).toEqual([one?._id, 2]);
});

test('OpenAPI shows the example, and no function', async () => {
  const document: any = await (await fetch(`${api.url()}/openapi.json`)).json();
  const [shown] =
    JSON.stringify(document.components.schemas).match(/"number":1,"startsAt":"[^"]*","endsAt":"[^"]*"/) ?? [];
  expect(shown).toContain(Lease.example.endsAt);
});

test('a default that would have to be waited for is refused at start', () => {
  const define = (name: unknown) =>
    resource('Lazy', {
      collection: 'lazies',
      description: 'x',
      fields: { name: text(1, 9) },
      defaults: { name },
      example: { id: '65f000000000000000000212', name: 'x' },
    } as never);
  expect(() => define(() => 'x')).not.toThrow();
  expect(() => define(async () => 'x')).toThrow('defaults.name is an async function');
});
