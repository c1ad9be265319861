import { Types } from 'mongoose';
import { z } from 'zod';
import { documentMaker } from '../scripts/import/document.ts';
import { database } from '../src/mongo/connect.ts';
import { differences } from '../src/mongo/differences.ts';
import { type Expression, readLayout, toMongo, type Validator } from '../src/mongo/layout.ts';
import { databaseOf } from '../src/schema/layout.ts';
import { batch } from '../src/http/batch.ts';
import { create, links, read, remove, replace, update } from '../src/http/crud.ts';
import { byId, type Route, route } from '../src/http/route.ts';
import { transaction } from '../src/mongo/transaction.ts';
import { checkReferences, type Dangling } from '../src/schema/check.ts';
import { runAs, SYSTEM } from '../src/auth/caller.ts';
import { instant, objectId, ref, setOf, text } from '../src/schema/fields.ts';
import { redirect, redirectionProblems } from '../src/schema/integrity.ts';
import { modelOf } from '../src/schema/model.ts';
import { accessTo } from '../src/schema/policy.ts';
import { connect } from '../src/schema/references.ts';
import { resource } from '../src/schema/resource.ts';
import * as store from '../src/schema/store.ts';
import { seed } from '../src/seed.ts';
import { useApi } from './support/harness.ts';

/** Rules across fields, on a resource of the tests' own. */

const Reader = resource('Reader', {
  collection: 'readers',
  description: 'Somebody who borrows',
  fields: { name: text(1, 100) },
  example: { id: '65f000000000000000000201', name: 'Ann' },
});

const Loan = resource('Loan', {
  collection: 'loans',
  description: 'A book that somebody has',
  fields: {
    title: text(1, 100),
    borrower: ref('Reader', 'detach').nullable(),
    friends: setOf(ref('Reader', 'detach'), 5),
    owner: ref('Reader', 'cascade').nullable(),
    lentAt: instant(),
    dueAt: instant(),
    returnedAt: instant().nullable(),
    pages: z.int().nullable(),
  },
  policy: { read: ['anyone'], create: ['editor'], update: ['editor'], remove: ['editor'] },
  access: { returnedAt: { write: [] } },
  defaults: { borrower: null, friends: [], owner: null, returnedAt: null, pages: null },
  rules: [
    {
      code: 'due_before_lent',
      fields: ['dueAt'],
      message: 'must not be before lentAt',
      check: ({ lentAt, dueAt }) => dueAt >= lentAt,
    },
    {
      code: 'lent_to_nobody',
      fields: ['borrower', 'friends'],
      message: 'must name somebody',
      check: ({ borrower, friends }) => borrower !== null || friends.length > 0,
      expression: { $or: [{ $ne: ['$borrower', null] }, { $ne: ['$friends', []] }] },
    },
    {
      code: 'returned_before_lent',
      fields: ['returnedAt'],
      message: 'must not be before lentAt',
      check: ({ lentAt, returnedAt }) => returnedAt === null || returnedAt >= lentAt,
      expression: { $or: [{ $eq: ['$returnedAt', null] }, { $gte: ['$returnedAt', '$lentAt'] }] },
    },
  ],
  indexes: [{ key: { borrower: 1, _id: 1 } }, { key: { friends: 1, _id: 1 } }, { key: { owner: 1, _id: 1 } }],
  example: {
    id: '65f000000000000000000202',
    title: 'Solaris',
    borrower: '65f000000000000000000201',
    friends: [],
    owner: null,
    lentAt: '2026-03-01T12:00:00.000Z',
    dueAt: '2026-03-15T12:00:00.000Z',
    returnedAt: null,
    pages: null,
  },
});

const own = connect([Reader, Loan]);
const { id: _, createdAt, updatedAt, returnedAt, ...example } = Loan.example;

const giveBack = route({
  method: 'post',
  path: '/loans/{id}/return',
  operationId: 'returnLoan',
  tag: 'loans',
  summary: 'Give it back',
  description: 'From now on it can be lent again.',
  policy: accessTo('update', Loan),
  about: Loan,
  params: byId(Loan),
  body: { schema: z.strictObject({ at: instant() }).meta({ id: 'Return' }), example: { at: example.dueAt } },
  answer: { status: 200, description: 'The loan', schema: Loan.document, example: Loan.example },
  handler: ({ params, body }) => store.update(Loan, params.id, { returnedAt: body.at }),
});

const merge = route({
  method: 'post',
  path: '/readers/{id}/merge',
  operationId: 'mergeReader',
  tag: 'readers',
  summary: 'Merge two readers',
  description: 'What one has borrowed the other has borrowed.',
  policy: accessTo('update', Reader),
  params: byId(Reader),
  body: {
    schema: z.strictObject({ into: objectId() }).meta({ id: 'MergeReaders' }),
    example: { into: Reader.example.id },
  },
  answer: { status: 204, description: 'Done' },
  problems: redirectionProblems(Reader),
  handler: async ({ params, body }) => {
    await redirect(Reader, params.id, body.into, '/into');
    await store.remove(Reader, params.id);
  },
});

const routes: Route[] = [
  create(Loan, { example }),
  read(Loan),
  replace(Loan),
  update(Loan, { example: { title: 'Fiasco' } }),
  remove(Loan, { example: Loan.example.id }),
  ...links(Loan, 'friends'),
  giveBack,
  remove(Reader, { example: Reader.example.id }),
  merge,
  batch(own, { example: { operations: [{ method: 'remove', resource: 'loans', id: Loan.example.id }] } }),
];
const api = useApi({ resources: own, routes });

let ann: string;
let ben: string;
beforeEach(async () => {
  [ann, ben] = (await modelOf(Reader).create([{ name: 'Ann' }, { name: 'Ben' }])).map(({ _id }) =>
    String(_id),
  ) as [string, string];
});

const [early, late] = ['2026-02-01T12:00:00.000Z', '2026-04-01T12:00:00.000Z'];
const aLoan = async (changes: object = {}) => {
  const { status, body } = await api.post('/loans', { ...example, borrower: ann, ...changes });
  expect([status, body]).toEqual([201, expect.anything()]);
  return body;
};
const stored = async () =>
  (await modelOf(Loan).find().lean()).map((loan) => JSON.parse(JSON.stringify(loan)));
const DUE = { in: 'body', code: 'due_before_lent', message: 'must not be before lentAt' };
const NOBODY = { in: 'body', code: 'lent_to_nobody', message: 'must name somebody' };
const refusal = (...errors: object[]) => ({ status: 422, body: { code: 'validation_failed', errors } });

describe('a rule across fields holds', () => {
  test('on create, with a fault for each field of each rule', async () => {
    expect(await api.post('/loans', { ...example, borrower: null, dueAt: early })).toMatchObject(
      refusal(
        { ...DUE, pointer: '/dueAt' },
        { ...NOBODY, pointer: '/borrower' },
        { ...NOBODY, pointer: '/friends' },
      ),
    );
    expect(await stored()).toEqual([]);
    await aLoan();
  });

  test('on replace, whose defaults count, and on a merge patch, against the merged document', async () => {
    const { id } = await aLoan({ friends: [ben] });
    const before = await stored();
    const { borrower, friends, ...rest } = example;
    expect(await api.put(`/loans/${id}`, rest)).toMatchObject(
      refusal({ ...NOBODY, pointer: '/borrower' }, { ...NOBODY, pointer: '/friends' }),
    );
    expect(await api.patch(`/loans/${id}`, { lentAt: late })).toMatchObject(
      refusal({ ...DUE, pointer: '/dueAt' }),
    );
    expect(await stored()).toEqual(before);
    expect((await api.patch(`/loans/${id}`, { lentAt: late, dueAt: late })).status).toBe(200);
    expect((await api.patch(`/loans/${id}`, { borrower: null })).status).toBe(200);
    expect((await api.put(`/loans/${id}`, { ...rest, borrower: ben })).status).toBe(200);
  });

  test('on a JSON Patch, with pointers to the operations that broke it', async () => {
    const { id } = await aLoan({ borrower: null, friends: [ann] });
    const patch = (...operations: object[]) =>
      api.call('PATCH', `/loans/${id}`, {
        raw: JSON.stringify(operations),
        headers: { 'content-type': 'application/json-patch+json' },
      });
    expect(
      await patch(
        { op: 'test', path: '/friends', value: [ann] },
        { op: 'remove', path: '/friends/0' },
        { op: 'replace', path: '/dueAt', value: early },
        { op: 'test', path: '/dueAt', value: early },
      ),
    ).toMatchObject(refusal({ ...DUE, pointer: '/2/value' }, { ...NOBODY, pointer: '/1/path' }));
    // The field at fault is not one that the patch touches.
    expect(await patch({ op: 'replace', path: '/lentAt', value: late })).toMatchObject(
      refusal({ ...DUE, pointer: '' }),
    );
    // What is referred to in vain is pointed to in the patch, too.
    const nobody = new Types.ObjectId();
    expect(await patch({ op: 'add', path: '/friends/-', value: String(nobody) })).toMatchObject({
      status: 422,
      body: { code: 'reference_not_found', errors: [{ pointer: '/0/value' }] },
    });
    expect((await patch({ op: 'replace', path: '/dueAt', value: late })).status).toBe(200);
  });

  test('in a batch, of which nothing is done then', async () => {
    const { id } = await aLoan();
    const before = await stored();
    for (const operation of [
      { method: 'create', resource: 'loans', body: { ...example, borrower: ann, dueAt: early } },
      { method: 'update', resource: 'loans', id, body: { dueAt: early } },
      { method: 'replace', resource: 'loans', id, body: { ...example, borrower: ann, dueAt: early } },
    ]) {
      const first = { method: 'update', resource: 'loans', id, body: { title: 'Fiasco' } };
      expect(await api.post('/batch', { operations: [first, operation] })).toMatchObject({
        status: 422,
        body: {
          code: 'batch_operation_failed',
          operation: 1,
          problem: { code: 'validation_failed', errors: [{ ...DUE, pointer: '/dueAt' }] },
        },
      });
    }
    expect(await stored()).toEqual(before);
  });

  test('when an entry of a list is taken out, and when a command writes', async () => {
    const { id } = await aLoan({ borrower: null, friends: [ann, ben] });
    expect((await api.delete(`/loans/${id}/friends/${ann}`)).status).toBe(204);
    expect(await api.delete(`/loans/${id}/friends/${ben}`)).toMatchObject(
      refusal({ ...NOBODY, pointer: '/borrower' }, { ...NOBODY, pointer: '/friends' }),
    );
    expect((await stored())[0].friends).toEqual([ben]);
    expect((await api.put(`/loans/${id}/friends/${ann}`)).status).toBe(204);
    expect((await stored())[0]).toMatchObject({ friends: [ben, ann], updatedAt: expect.any(String) });
    expect(await api.post(`/loans/${id}/return`, { at: early })).toMatchObject(
      refusal({ pointer: '/returnedAt', code: 'returned_before_lent' }),
    );
    expect((await api.post(`/loans/${id}/return`, { at: late })).body.returnedAt).toBe(late);
  });

  test('where a removal would detach a reference: 409 with the documents that stand in the way', async () => {
    const { id } = await aLoan();
    await aLoan({ friends: [ben] });
    const before = await stored();
    expect(await api.delete(`/readers/${ann}`)).toMatchObject({
      status: 409,
      body: {
        code: 'rule_broken',
        detail: expect.stringMatching(
          /^The loans that refer to it by borrower .* borrower, friends must name somebody \(lent_to_nobody\)/,
        ),
        blockers: [
          { resource: 'loans', field: 'borrower', count: 1, ids: [id], link: `/loans?borrower=${ann}` },
        ],
      },
    });
    expect(await stored()).toEqual(before);
    await api.patch(`/loans/${id}`, { friends: [ben] });
    expect((await api.delete(`/readers/${ann}`)).status).toBe(204);
    expect((await stored()).map(({ borrower }) => borrower)).toEqual([null, null]);
    // In a list, too.
    expect(await api.delete(`/readers/${ben}`)).toMatchObject({
      status: 409,
      body: { blockers: [{ field: 'friends', count: 2 }] },
    });
  });

  test('but a document that the same removal takes along breaks none', async () => {
    await aLoan({ owner: ann });
    expect((await api.delete(`/readers/${ann}`)).status).toBe(204);
    expect(await stored()).toEqual([]);
  });

  test('where a merge redirects a reference', async () => {
    const { id } = await aLoan({ borrower: null, friends: [ann, ben] });
    expect((await api.post(`/readers/${ann}/merge`, { into: ben })).status).toBe(204);
    expect((await stored())[0].friends).toEqual([ben]);
    // Stored past the rule: what changes the document holds it to the rule again.
    await modelOf(Loan).updateOne({ _id: id }, { $set: { dueAt: new Date(early) } });
    const cleo = await modelOf(Reader).create({ name: 'Cleo' });
    expect(await api.post(`/readers/${ben}/merge`, { into: String(cleo._id) })).toMatchObject({
      status: 409,
      body: { code: 'rule_broken', blockers: [{ field: 'friends', ids: [id] }] },
    });
    expect((await stored())[0].friends).toEqual([ben]);
  });

  test('in an import, in seeds, and when dangling references are mended', async () => {
    const make = documentMaker(Loan);
    expect(make({ ...example, borrower: ann, dueAt: early })).toEqual({
      reasons: [{ pointer: '/dueAt', code: DUE.code, message: DUE.message }],
    });
    expect(make({ ...example, borrower: ann }).reasons).toEqual([]);

    await modelOf(Reader).deleteMany({});
    const lentTo = { ...Loan.example, dueAt: early };
    await expect(
      seed(
        [
          [Reader, [Reader.example]],
          [Loan, [lentTo]],
        ],
        () => {},
      ),
    ).rejects.toThrow('A loan in the seeds breaks a rule:\n  /dueAt must not be before lentAt');
    expect(await modelOf(Reader).countDocuments()).toBe(0);
    await seed(
      [
        [Reader, [Reader.example]],
        [Loan, [Loan.example]],
      ],
      () => {},
    );

    await modelOf(Reader).collection.deleteMany({});
    const found: Dangling[] = [];
    await runAs(SYSTEM, async () => {
      for await (const { dangling } of checkReferences(Loan, transaction)) found.push(...dangling);
    });
    expect(found).toMatchObject([{ mended: false, reason: expect.stringContaining('rule') }]);
    expect(await stored()).toMatchObject([{ borrower: Reader.example.id }]);
  });
});

describe('a rule with an expression', () => {
  const raw = async () => {
    const now = new Date();
    const times = { lentAt: now, dueAt: now, returnedAt: null, createdAt: now, updatedAt: now };
    return { _id: new Types.ObjectId(), title: 'x', borrower: null, friends: [], pages: null, ...times };
  };

  test('holds for other tools, and is a 422 where MongoDB is the first to see that it is broken', async () => {
    await expect(modelOf(Loan).collection.insertOne((await raw()) as never)).rejects.toMatchObject({
      code: 121,
    });
    const { id } = await aLoan({ friends: [ben] });
    const before = await stored();
    // Without a reference in the patch the document is not read before.
    expect(await api.patch(`/loans/${id}`, { borrower: null, friends: [] })).toMatchObject(
      refusal({ ...NOBODY, pointer: '/borrower' }, { ...NOBODY, pointer: '/friends' }),
    );
    expect(await stored()).toEqual(before);
  });

  test('is compared with what the database has', async () => {
    const wanted = databaseOf(own);
    const rules = async () =>
      differences(wanted, await readLayout(database())).filter(({ what }) => what === 'rule');
    expect(wanted['loans']?.rules).toEqual({
      lent_to_nobody: expect.any(Object),
      returned_before_lent: expect.any(Object),
    });
    expect(await rules()).toEqual([]);
    const { lent_to_nobody, ...others } = (wanted['loans'] as Validator).rules as Record<string, Expression>;
    const other = { $eq: [1, 1] };
    await database().command({
      collMod: 'loans',
      validator: toMongo({ ...wanted['loans'], rules: { ...others, other } }),
    });
    expect(await rules()).toEqual([
      { what: 'rule', collection: 'loans', name: 'lent_to_nobody', wanted: lent_to_nobody, found: undefined },
      { what: 'rule', collection: 'loans', name: 'other', wanted: undefined, found: other },
    ]);
    // Otherwise made by hand, it is a validator of ours no more.
    const validator = { $and: [{ $expr: other }] };
    await database().command({ collMod: 'loans', validator });
    expect((await readLayout(database(), 'loans'))['loans']).toMatchObject({ schema: { validator } });
    await database().command({ collMod: 'loans', validator: toMongo(wanted['loans'] as Validator) });
  });
});

test('OpenAPI tells the rules, and that a removal may break one', async () => {
  const document: any = await (await fetch(`${api.url()}/openapi.json`)).json();
  for (const name of ['LoanBody', 'LoanPatch'])
    expect(document.components.schemas[name].description).toContain(
      '`due_before_lent`: dueAt must not be before',
    );
  expect(document.paths['/readers/{id}'].delete.responses['409'].description).toContain('rule_broken');
});

describe('a definition is refused at start', () => {
  const define = (rule: object, more: object[] = []) =>
    resource('Odd', {
      collection: 'odds',
      description: 'An odd one',
      fields: { a: z.int(), b: z.int() },
      rules: [{ code: 'a_above_b', fields: ['a'], message: 'must be', check: () => true, ...rule }, ...more],
      example: { id: '65f000000000000000000203', a: 1, b: 2 },
    } as never);

  test.each([
    ['a code', { code: 'A above B' }, 'rules[0].code must consist of lower-case letters, digits and _'],
    [
      'a field',
      { fields: ['c'] },
      'rules[0].fields names "c", which is not a field; there are id, a, b, createdAt, updatedAt.',
    ],
    ['no field', { fields: [] }, 'rules[0] lacks "fields"'],
    ['no message', { message: undefined }, 'rules[0] lacks "message"'],
    ['no check', { check: undefined }, 'rules[0] lacks "check"'],
    ['a part', { when: 1 }, 'rules[0] has no part "when"; there are code, fields, message, check'],
    [
      'an expression with a typo',
      { expression: { $gt: ['$a', '$bb'] } },
      'rules[0].expression names "$bb", which is not a field',
    ],
    ['the clock', { expression: { $gt: ['$$NOW', '$a'] } }, 'rules[0].expression uses $$NOW: '],
    ['chance', { expression: { $gt: [{ $rand: {} }, 0.5] } }, 'rules[0].expression uses $rand: '],
    [
      'a Date',
      { expression: { $gt: ['$createdAt', new Date(0)] } },
      'has a value that is not JSON: write a time as',
    ],
    ['an example that breaks it', { check: ({ a, b }: any) => a > b }, 'example breaks the rule a_above_b'],
    [
      'a check that throws',
      { check: ({ a }: any) => a.length.x },
      'The rule a_above_b cannot check the example: ',
    ],
  ])('for a rule with %s', (_, rule, fault) => {
    const nothing = { $and: [{ $ne: ['$_id', '$$ROOT.a'] }, { $literal: '$c' }] };
    expect(() => define({ expression: nothing })).not.toThrow();
    expect(() => define(rule)).toThrow(fault);
  });

  test('for two rules with one code', () => {
    const twin = { code: 'a_above_b', fields: ['b'], message: 'must be', check: () => true };
    expect(() => define({}, [twin])).toThrow('rules[1].code is already used by another rule');
  });
});
