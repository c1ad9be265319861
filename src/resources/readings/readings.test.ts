import { Types } from 'mongoose';
import { aCaller } from '../../../test/support/callers.ts';
import { stored } from '../../../test/support/factories.ts';
import { useApi } from '../../../test/support/harness.ts';
import { modelOf } from '../../schema/model.ts';
import { Book } from '../books/book.ts';
import { Reading } from './reading.ts';

const api = useApi();

/** A member with a reading list of their own. */
async function aReader() {
  const { id, token } = await aCaller('member');
  return { user: id.toHexString(), as: { as: token } };
}
const aBook = async (title = 'Solaris'): Promise<string> => (await stored(Book, { title }))._id.toHexString();
const all = () => modelOf(Reading).find().sort({ _id: 1 }).lean();

test('a member keeps a reading list: puts a book on it, rates it, finishes it, takes it off', async () => {
  const [{ user, as }, book] = [await aReader(), await aBook()];
  const path = `/users/${user}/readings/${book}`;
  const put = await api.put(path, {}, as);
  expect([put.status, put.body]).toMatchObject([
    201,
    { user, book, status: 'wants', rating: null, finishedOn: null },
  ]);
  const finished = { status: 'read', rating: 5, finishedOn: '2024-02-29' };
  expect((await api.put(path, finished, as)).body).toMatchObject({ id: put.body.id, ...finished });
  expect((await api.patch(`/readings/${put.body.id}`, { rating: 4 }, as)).body).toMatchObject({
    ...finished,
    rating: 4,
  });
  // A day has no time and no zone: it is stored as it was sent.
  expect(await all()).toMatchObject([{ user: new Types.ObjectId(user), finishedOn: '2024-02-29' }]);
  const { items } = (await api.get(`/users/${user}/readings`, as)).body;
  expect(items).toMatchObject([{ rating: 4, book: { id: book, title: 'Solaris' } }]);
  expect((await api.delete(path, as)).status).toBe(204);
  expect((await api.get(`/users/${user}/readings`, as)).body.items).toEqual([]);
});

test.each<[object, string]>([
  [{ status: 'reads' }, '/status invalid_value'],
  [{ rating: 0 }, '/rating too_small'],
  [{ rating: 6 }, '/rating too_big'],
  [{ rating: 4.5 }, '/rating invalid_type'],
  [{ finishedOn: '2025-02-29' }, '/finishedOn invalid_format'],
  [{ finishedOn: '2025-03-01T00:00:00Z' }, '/finishedOn invalid_format'],
])('%j is refused', async (body, fault) => {
  const [{ user, as }, book] = [await aReader(), await aBook()];
  const answer = await api.put(`/users/${user}/readings/${book}`, body, as);
  expect([answer.status, answer.body.errors.map(({ pointer, code }: any) => `${pointer} ${code}`)]).toEqual([
    422,
    [fault],
  ]);
  expect(await all()).toEqual([]);
});

test('a book stands once on a list, by whatever route it comes', async () => {
  const [{ user, as }, book] = [await aReader(), await aBook()];
  await api.put(`/users/${user}/readings/${book}`, {}, as);
  expect((await api.post('/readings', { user, book }, as)).body.code).toBe('duplicate_key');
  const batch = { operations: [{ method: 'create', resource: 'readings', body: { user, book } }] };
  expect((await api.post('/batch', batch, as)).body.problem.code).toBe('duplicate_key');
  expect(await all()).toHaveLength(1);
});

test('a reading list is for its user and admins, wherever readings are read and written', async () => {
  const [ann, theo, editor] = [await aReader(), await aReader(), await aCaller('editor')];
  const book = await aBook();
  const path = `/users/${ann.user}/readings/${book}`;
  const { body: reading } = await api.put(path, { rating: 1 }, ann.as);
  const lists = [
    '/readings',
    `/users/${ann.user}/readings`,
    `/books/${book}/readings`,
    `/readings?user=${ann.user}`,
    `/readings?rating=1`,
  ];
  for (const [as, sees] of [
    [ann.as, true],
    [{}, true],
    [theo.as, false],
    [{ as: editor.token }, false],
  ] as const) {
    for (const list of lists) {
      const { items, page } = (await api.get(`${list}${list.includes('?') ? '&' : '?'}count=exact`, as)).body;
      expect([list, items.length, page.total]).toEqual([list, Number(sees), Number(sees)]);
    }
    expect((await api.get(path, as)).status).toBe(sees ? 200 : 404);
    expect((await api.get(`/readings/${reading.id}`, as)).status).toBe(sees ? 200 : 404);
    for (const parent of [`/users/${ann.user}`, `/books/${book}`])
      expect((await api.get(`${parent}?include=readings`, as)).body.readings.items).toHaveLength(
        Number(sees),
      );
    expect(String((await api.get('/readings/export', as)).body ?? '').includes(reading.id)).toBe(sees);
  }
  expect((await api.put(path, { rating: 5 }, theo.as)).status).toBe(403);
  expect((await api.post('/readings', { user: ann.user, book: await aBook('Other') }, theo.as)).status).toBe(
    403,
  );
  expect((await api.patch(`/readings/${reading.id}`, { user: theo.user }, ann.as)).status).toBe(403);
  for (const list of lists) expect((await api.get(list, { as: '' })).status).toBe(401);
  expect(await all()).toMatchObject([{ rating: 1 }]);
});

test('it goes with its user, and with its book', async () => {
  const [ann, theo] = [await aReader(), await aReader()];
  const [gone, kept] = [await aBook('Gone'), await aBook('Kept')];
  for (const { user } of [ann, theo])
    for (const book of [gone, kept]) await api.put(`/users/${user}/readings/${book}`, {});
  expect((await api.delete(`/books/${gone}`)).status).toBe(204);
  expect((await all()).map(({ book }) => String(book))).toEqual([kept, kept]);
  expect((await api.delete(`/users/${ann.user}`)).status).toBe(204);
  expect((await all()).map(({ user }) => String(user))).toEqual([theo.user]);
});

test('a list is filtered and sorted by what a reading says', async () => {
  const { user, as } = await aReader();
  for (const [title, reading] of [
    ['A', { status: 'read', rating: 5, finishedOn: '2025-06-30' }],
    ['B', { status: 'read', rating: 2, finishedOn: '2026-01-01' }],
    ['C', { status: 'reading' }],
  ] as const)
    await api.put(`/users/${user}/readings/${await aBook(title)}`, reading, as);
  const titles = async (query: string) => {
    const { status, body } = await api.get(`/users/${user}/readings?${query}`, as);
    expect([query, status]).toEqual([query, 200]);
    return body.items.map(({ book }: any) => book.title).join('');
  };
  expect(await titles('sort=-rating')).toBe('ABC');
  expect(await titles('sort=finishedOn')).toBe('CAB');
  expect(await titles('status=read&sort=rating')).toBe('BA');
  expect(await titles('finishedOn=2026-01-01')).toBe('B');
  expect(await titles('finishedOn[exists]=false')).toBe('C');
  expect(await titles('rating[gte]=3')).toBe('A');
});
