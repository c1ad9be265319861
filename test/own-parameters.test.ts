import { Types } from 'mongoose';
import { z } from 'zod';
import { create, read } from '../src/http/crud.ts';
import { list } from '../src/http/list.ts';
import { parameter } from '../src/http/own-parameters.ts';
import { flag, integer } from '../src/http/query.ts';
import { instant, objectId, text } from '../src/schema/fields.ts';
import { modelOf } from '../src/schema/model.ts';
import { connect } from '../src/schema/references.ts';
import { resource } from '../src/schema/resource.ts';
import { CREDENTIALS } from './support/callers.ts';
import { inPlace, useApi } from './support/harness.ts';

/** Query parameters that a list declares itself. */

const Rental = resource('Rental', {
  collection: 'rentals',
  description: 'A book that somebody has at home',
  fields: { borrower: text(1, 50), dueAt: instant(), returnedAt: instant().nullable(), secret: text(0, 9) },
  access: { secret: { read: [], write: [] } },
  defaults: { returnedAt: null, secret: '' },
  indexes: [{ key: { dueAt: 1, _id: 1 } }, { key: { borrower: 1, _id: 1 } }],
  example: {
    id: '65f000000000000000000101',
    borrower: 'Ann',
    dueAt: '2026-01-31T12:00:00Z',
    returnedAt: null,
  },
});
connect([Rental]);

const overdue = parameter({
  schema: flag(),
  description: 'Only rentals that should have come back by now (true), or the others (false)',
  paths: ['dueAt', 'returnedAt'],
  condition: (value) => {
    const late = { returnedAt: null, dueAt: { $lt: new Date() } };
    return value ? late : { $nor: [late] };
  },
});
const dueWithin = parameter({
  schema: integer(1, 365),
  description: 'Only rentals that are due within so many days',
  paths: ['dueAt'],
  condition: (days) => ({ dueAt: { $lt: new Date(Date.now() + days * DAY) } }),
});
const listing = { filter: ['borrower'], sort: ['dueAt'] } as const;
const DAY = 24 * 60 * 60 * 1_000;

const wrong = parameter({ ...dueWithin, schema: flag(), condition: () => ({ borrower: 'Ann' }) });
const api = useApi({
  resources: [Rental],
  routes: [
    list(Rental, { ...listing, parameters: { overdue, dueWithin } }),
    { ...list(Rental, { ...listing, parameters: { wrong } }), path: '/wrong', operationId: 'listWrong' },
    create(Rental, { example: { borrower: 'Ann', dueAt: '2026-01-31T12:00:00Z' } }),
    read(Rental),
  ],
});

const aRental = (days: number, returnedAt: Date | null = null, borrower = 'Ann') =>
  modelOf(Rental).create({ borrower, dueAt: new Date(Date.now() + days * DAY), returnedAt, secret: '' });
const idsOf = async (query: string): Promise<string[]> => {
  const { status, body } = await api.get(`/rentals?${query}`);
  expect([query, status]).toEqual([query, 200]);
  return body.items.map(({ id }: { id: string }) => id);
};

test('the condition holds where the parameter is given, with every other parameter, on every page', async () => {
  const late = [await aRental(-3), await aRental(-2), await aRental(-1, null, 'Theo')].map(({ _id }) =>
    String(_id),
  );
  const soon = String((await aRental(2))._id);
  const returned = String((await aRental(-5, new Date()))._id);
  expect(await idsOf('sort=dueAt')).toHaveLength(5);
  expect(await idsOf('overdue=true&sort=dueAt')).toEqual(late);
  expect(await idsOf('overdue=false&sort=dueAt')).toEqual([returned, soon]);
  expect(await idsOf('overdue=true&borrower=Theo')).toEqual([late[2]]);
  expect(await idsOf('dueWithin=3&overdue=false&sort=-dueAt')).toEqual([soon, returned]);

  // The condition of the next page names a later time, and its cursor is good all the same.
  const walked: string[] = [];
  for (let after: string | null = ''; after !== null; ) {
    const { body } = await api.get(`/rentals?overdue=true&sort=dueAt&limit=1${after && `&after=${after}`}`);
    walked.push(...body.items.map(({ id }: { id: string }) => id));
    after = body.page.next;
  }
  expect(walked).toEqual(late);
});

test('a cursor is good for the same value only', async () => {
  for (const days of [1, 2, 3]) await aRental(days);
  const { body } = await api.get('/rentals?dueWithin=300&limit=1');
  const after = `after=${body.page.next}`;
  expect((await api.get(`/rentals?dueWithin=300&limit=2&${after}`)).body.items).toHaveLength(2);
  for (const query of ['dueWithin=299', 'overdue=false', 'dueWithin=300&overdue=false', ''])
    expect((await api.get(`/rentals?${query}&${after}`)).body.code).toBe('invalid_cursor');
});

test('a value that does not fit is refused, and an unknown parameter told what was meant', async () => {
  const { status, body } = await api.get('/rentals?overdue=yes&dueWithin=0&overdu=true');
  expect([status, body.errors]).toMatchObject([
    422,
    expect.arrayContaining([
      { in: 'query', parameter: 'overdue', message: 'must be true or false', code: 'invalid_value' },
      { in: 'query', parameter: 'dueWithin', message: 'must be at least 1', code: 'too_small' },
      expect.objectContaining({
        parameter: 'overdu',
        message: expect.stringContaining('did you mean overdue'),
      }),
    ]),
  ]);
});

test('it is typed and described in the document', async () => {
  const document = inPlace(await (await fetch(`${api.url()}/openapi.json`)).json());
  const parameters = document.paths['/rentals'].get.parameters as any[];
  expect(parameters.find(({ name }) => name === 'overdue')).toMatchObject({
    in: 'query',
    description: overdue.description,
    schema: { type: 'boolean' },
  });
  expect(parameters.find(({ name }) => name === 'dueWithin').schema).toMatchObject({
    type: 'integer',
    minimum: 1,
    maximum: 365,
  });
});

test('a condition that looks at a path that was not declared finds nothing out', async () => {
  await aRental(1);
  const response = await fetch(`${api.url()}/wrong?wrong=true`, { headers: { authorization: CREDENTIALS } });
  expect(response.status).toBe(500);
});

test('what cannot work is refused at start, with all that is wrong', () => {
  const started = (parameters: object) => () => list(Rental, { ...listing, parameters } as never);
  const odd = { ...overdue, schema: z.object({}) };
  const from = { ...overdue, schema: objectId(), paths: ['returnedAt', 'secret'] };
  expect(started({ borrower: overdue, sort: overdue, Late: { ...overdue, description: '' } })).toThrow(
    [
      'The parameter borrower of Rental has the name of another parameter.',
      'The parameter sort of Rental has the name of another parameter.',
      'The parameter Late of Rental needs a name in camelCase, such as overdue or dueWithin.',
      'The parameter Late of Rental lacks "description".',
    ].join('\n'),
  );
  expect(started({ odd, from })).toThrow(
    [
      'The parameter odd of Rental has a schema that cannot be written in a URL: use flag(), integer(), an enum, text() or several().',
      'The parameter from of Rental names secret, which no caller can read.',
      'The parameter from of Rental has no index: none of returnedAt, secret leads one. Add { key: { returnedAt: 1, _id: 1 } }.',
    ].join('\n'),
  );
  // @ts-expect-error The condition takes what the schema gives.
  parameter({ ...overdue, schema: flag(), condition: (value: Types.ObjectId) => ({ dueAt: value }) });
});
