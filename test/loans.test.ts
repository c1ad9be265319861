import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finder } from '../scripts/import/find.ts';
import { load } from '../scripts/import/load.ts';
import { runAs, SYSTEM } from '../src/auth/caller.ts';
import { batch } from '../src/http/batch.ts';
import { read, remove } from '../src/http/crud.ts';
import { collections } from '../src/resources/api.ts';
import { User } from '../src/resources/users/user.ts';
import { modelOf } from '../src/schema/model.ts';
import { connect } from '../src/schema/references.ts';
import { Book } from './sample/books/book.ts';
import { aBook } from './sample/factories.ts';
import { aCaller } from './support/callers.ts';
import { useApi } from './support/harness.ts';
import { Loan, routes } from './support/loans.ts';

/** A resource of a team's own over HTTP, for everybody who may come: see support/loans.ts. */

const resources = connect([...collections, Loan]);
const example = { operations: [{ method: 'remove' as const, resource: 'loans', id: Loan.example.id }] };
const api = useApi({
  resources,
  routes: [
    ...routes(),
    read(User),
    remove(User, { example: '65f000000000000000000c03' }),
    remove(Book, { example: '65f000000000000000000b03' }),
    batch([Loan], { example }),
  ],
});

const WHO = ['anonymous', 'member', 'owner', 'editor', 'admin'] as const;
type Who = (typeof WHO)[number];
let tokens: Record<Who, string>;
let borrower: string;

beforeEach(async () => {
  const [member, owner, editor, admin] = [
    await aCaller('member'),
    await aCaller('member'),
    await aCaller('editor'),
    await aCaller('admin'),
  ];
  borrower = String(owner.id);
  tokens = {
    anonymous: '',
    member: member.token,
    owner: owner.token,
    editor: editor.token,
    admin: admin.token,
  };
});

test('the body of a create is described as its example is typed: without read-only fields, but for those of nested objects', async () => {
  const document: any = await (await fetch(`${api.url()}/openapi.json`)).json();
  const { schema, example } = document.paths['/loans'].post.requestBody.content['application/json'];
  const follow = ({ $ref, ...whole }: any) =>
    $ref ? document.components.schemas[$ref.split('/').at(-1)] : whole;
  const { properties } = follow(schema);
  expect(Object.keys(properties)).not.toContain('returnedOn');
  expect(follow(properties.condition).properties).toMatchObject({ before: {}, after: {} });
  expect(Object.keys(example.condition)).toEqual(['before', 'after']);
});

const dueOn = '2099-12-31';
const condition = { before: 'New', after: null };
const body = async (more: object = {}) => ({
  book: String((await aBook())._id),
  borrower,
  dueOn,
  condition,
  ...more,
});
const aLoan = async (more: object = {}) => {
  const { status, body: loan } = await api.post('/loans', await body(more), { as: tokens.editor });
  expect([status, loan]).toEqual([201, expect.anything()]);
  return loan;
};
/** The status for each caller, and the faults. */
async function forEach(request: (as: { as: string }) => Promise<{ status: number; body: any }>) {
  const answers: Record<string, unknown> = {};
  for (const who of WHO) {
    const { status, body: answer } = await request({ as: tokens[who] });
    // Of a batch, the problem of the operation that failed.
    const { problem = answer } = answer ?? {};
    const faults = (problem?.errors ?? []).map(({ pointer, code }: any) => `${pointer} ${code}`);
    answers[who] = [problem?.status ?? status, ...faults].join(' ');
  }
  return answers;
}

test('only editors lend; borrowers read their loans, and nobody else does', async () => {
  expect(await forEach(async (as) => api.post('/loans', await body(), as))).toEqual({
    anonymous: '401',
    member: '403',
    owner: '403',
    editor: '201',
    admin: '201',
  });
  const { id } = await aLoan();
  expect(await forEach((as) => api.get(`/loans/${id}`, as))).toEqual({
    anonymous: '401',
    member: '404',
    owner: '200',
    editor: '200',
    admin: '200',
  });
  const seen = async (path: string) =>
    Object.fromEntries(
      await Promise.all(
        WHO.map(async (who) => {
          const answer = (await api.get(path, { as: tokens[who] })).body;
          return [who, answer.items?.length ?? answer.loansByBorrower?.items.length ?? answer.status];
        }),
      ),
    );
  const three = { member: 0, owner: 3, editor: 3, admin: 3 };
  for (const path of ['/loans', `/loans?borrower=${borrower}`, '/loans?q=new', '/loans?overdue=false'])
    expect([path, await seen(path)]).toEqual([path, { anonymous: 401, ...three }]);
  expect(await seen('/loans?overdue=true')).toMatchObject({ owner: 0, editor: 0 });
  expect(await seen(`/users/${borrower}/loans`)).toEqual({ anonymous: 401, ...three });
  expect(await seen(`/users/${borrower}?include=loansByBorrower`)).toMatchObject({ anonymous: 0, ...three });
});

test('the borrower adds notes; the fine and all else are for editors, the return for its command', async () => {
  const { id } = await aLoan();
  const notes = [{ text: 'Another week?', author: borrower }];
  const allowed = { anonymous: '401', member: '404', owner: '200', editor: '200', admin: '200' };
  const patch = (change: object) => forEach((as) => api.patch(`/loans/${id}`, change, as));
  expect(await patch({ notes })).toEqual(allowed);
  for (const [change, pointer] of [
    [{ fine: '1.50' }, '/fine'],
    [{ dueOn: '2099-01-01' }, '/dueOn'],
    [{ condition: { before: 'Bent' } }, '/condition'],
  ] as const)
    expect([pointer, await patch(change)]).toEqual([
      pointer,
      { ...allowed, owner: `403 ${pointer} not_writable` },
    ]);
  const all = { member: '404', owner: '403', editor: '403', admin: '403' };
  expect(await patch({ returnedOn: '2026-01-01' })).toMatchObject({
    ...all,
    owner: '403 /returnedOn not_writable',
    editor: '403 /returnedOn not_writable',
    admin: '403 /returnedOn not_writable',
  });
  expect(await patch({ condition: { after: 'Bent' } })).toMatchObject({
    editor: '403 /condition/after not_writable',
    admin: '403 /condition/after not_writable',
  });
  // As it was read it may come back, by whatever way.
  const { body: loan } = await api.get(`/loans/${id}`, { as: tokens.owner });
  expect((await api.put(`/loans/${id}`, loan, { as: tokens.owner })).body).toEqual(loan);
  expect(loan).toMatchObject({ fine: '1.50', notes });
  const raised = [{ op: 'replace', path: '/fine', value: '0.00' }];
  const headers = { 'content-type': 'application/json-patch+json' };
  const { status } = await api.call('PATCH', `/loans/${id}`, {
    raw: JSON.stringify(raised),
    headers,
    as: tokens.owner,
  });
  expect(status).toBe(403);
  expect(await forEach((as) => api.delete(`/loans/${id}`, as))).toEqual({
    anonymous: '401',
    member: '403',
    owner: '403',
    editor: '403',
    admin: '204',
  });
});

test('a book is lent to one at a time, until it is returned', async () => {
  const loan = await aLoan();
  const again = { ...(await body()), book: loan.book };
  const { status, body: refusal } = await api.post('/loans', again, { as: tokens.editor });
  expect([status, refusal.code, refusal.errors[0].pointer]).toEqual([409, 'duplicate_key', '/book']);
  const back = { condition: 'Bent' };
  expect(await forEach((as) => api.post(`/loans/${loan.id}/return`, back, as))).toEqual({
    anonymous: '401',
    member: '403',
    owner: '403',
    editor: '200',
    admin: '409',
  });
  const ended = await api.post(`/loans/${loan.id}/return`, back, { as: tokens.admin });
  expect(ended.body).toMatchObject({
    code: 'conflict',
    detail: 'This loan has ended.',
  });
  const { body: returned } = await api.get(`/loans/${loan.id}`, { as: tokens.owner });
  const today = new Date().toISOString().slice(0, 10);
  expect(returned).toMatchObject({ returnedOn: today, condition: { before: 'New', after: 'Bent' } });
  expect((await api.post('/loans', again, { as: tokens.editor })).status).toBe(201);

  const book = String((await aBook())._id);
  const races = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const race = { ...(await body()), book };
      return (await api.post('/loans', race, { as: tokens.editor })).status;
    }),
  );
  expect(races.toSorted((a, b) => a - b)).toEqual([201, ...Array(7).fill(409)]);
});

test('the rules hold for creates, changes and batches', async () => {
  const broken = { lentOn: '2026-02-01', dueOn: '2026-01-31' };
  const fault = { pointer: '/dueOn', code: 'due_before_lent' };
  const { id } = await aLoan();
  const as = { as: tokens.editor };
  for (const answer of [
    await api.post('/loans', await body(broken), as),
    await api.put(`/loans/${id}`, await body(broken), as),
    await api.patch(`/loans/${id}`, { dueOn: '2000-01-01' }, as),
  ]) {
    expect(answer.status).toBe(422);
    expect(answer.body.errors).toMatchObject([fault]);
  }
  const operations = [
    { method: 'create', resource: 'loans', body: await body() },
    { method: 'create', resource: 'loans', body: await body(broken) },
  ];
  const { status, body: refused } = await api.post('/batch', { operations }, as);
  expect(status).toBe(422);
  expect(refused).toMatchObject({ operation: 1, problem: { errors: [fault] } });
  expect(await modelOf(Loan).countDocuments()).toBe(1);
  const of = (operation: object) => ({
    operations: [{ resource: 'loans', method: 'update', id, ...operation }],
  });
  expect(await forEach((who) => api.post('/batch', of({ body: { fine: '9.00' } }), who))).toEqual({
    anonymous: '401',
    member: '404',
    owner: '403 /fine not_writable',
    editor: '200',
    admin: '200',
  });
});

test('the rules hold for an import, as does the index', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'loans-'));
  const refusedFile = join(folder, 'refused.ndjson');
  const files = { refusedFile, presentFile: join(folder, 'present.ndjson') };
  const same = await body();
  const rows = [
    same,
    await body({ lentOn: '2026-02-01', dueOn: '2026-01-31' }),
    await body({ returnedOn: '2026-01-31' }),
    { ...same, dueOn: '2099-01-01' },
    await body({ fine: '-1.00', notes: [{ text: 'x', author: 'y' }] }),
    await body({ notes: [{ text: 'x', author: Loan.example.id }] }),
    await body({ returnedOn: '2099-12-31', condition: { before: 'New', after: 'Bent' } }),
  ];
  async function* records() {
    for (const [line, values] of rows.entries())
      yield { line: line + 1, size: 1, values, json: () => JSON.stringify(values) };
  }
  const counts = { read: 0, stored: 0, present: 0, updated: 0, refused: 0, line: 0 };
  const { signal: stop } = new AbortController();
  const convert = (values: unknown) => values;
  const find = finder(Loan, {}, { dryRun: false, stop });
  const onProgress = () => {};
  try {
    await runAs(SYSTEM, () =>
      load(
        {
          ...files,
          resource: Loan,
          rows: records(),
          convert,
          find,
          update: false,
          dryRun: false,
          onProgress,
          stop,
        },
        counts,
      ),
    );
    expect(counts).toMatchObject({ read: 7, stored: 2, present: 1, refused: 4 });
    const refused = (await readFile(refusedFile, 'utf8')).trim().split('\n');
    const codes = refused
      .map((line) => JSON.parse(line))
      .map(({ line, errors }) => [line, errors.map(({ pointer, code }: any) => `${pointer} ${code}`)]);
    expect(codes).toEqual([
      [2, ['/dueOn due_before_lent']],
      [3, ['/returnedOn returned_without_condition', '/condition/after returned_without_condition']],
      [5, ['/notes/0/author invalid_format', '/fine too_small']],
      [6, ['/notes/0/author reference_not_found']],
    ]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a book or borrower of a loan stays; the author of a note may go', async () => {
  const author = await aCaller('member');
  const { id, book } = await aLoan({ notes: [{ text: 'x', author: String(author.id) }] });
  for (const path of [`/books/${book}`, `/users/${borrower}`]) {
    const { status, body: refusal } = await api.delete(path, { as: tokens.admin });
    expect([status, refusal.blockers]).toMatchObject([409, [{ resource: 'loans', count: 1 }]]);
  }
  expect((await api.delete(`/users/${author.id}`, { as: tokens.admin })).status).toBe(204);
  expect((await api.get(`/loans/${id}`, { as: tokens.admin })).body.notes).toEqual([
    { text: 'x', author: null },
  ]);
});
