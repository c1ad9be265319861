import { stored } from '../../../test/support/factories.ts';
import { useApi } from '../../../test/support/harness.ts';
import { modelOf } from '../../schema/model.ts';
import { Tag } from '../tags/tag.ts';
import { Book } from './book.ts';

const api = useApi();

const aBook = (overrides: object = {}) => stored(Book, overrides);

const dune = {
  title: 'Dune',
  authors: ['Frank Herbert'],
  year: 1965,
  isbn: '9780441013593',
  language: 'en',
};

test('any number of books may have no ISBN, and a book keeps its own when it is replaced', async () => {
  await aBook({ isbn: null });
  expect((await api.post('/books', { ...dune, isbn: null })).status).toBe(201);
  const { body: book } = await api.post('/books', dune);
  expect((await api.put(`/books/${book.id}`, { ...dune, year: 1966 })).status).toBe(200);
});

test('several books are read by their ids, and those of a time by that', async () => {
  const [one, two] = [await aBook(), await aBook(), await aBook()];
  await modelOf(Book).collection.updateOne({ _id: two._id }, { $set: { createdAt: new Date(0) } });
  const found = async (query: string) =>
    (await api.get(`/books?sort=id&${query}`)).body.items.map(({ id }: any) => id);
  expect(await found(`id[in]=${one._id},${two._id}`)).toEqual([String(one._id), String(two._id)]);
  expect(await found('createdAt[lt]=1970-02-01T00:00:00Z')).toEqual([String(two._id)]);
});

describe('a book is refused for', () => {
  const names = (count: number) => Array.from({ length: count }, (_, i) => `Author ${i}`);
  test.each<[string, object, string, string]>([
    ['an empty title', { title: '' }, '/title', 'too_short'],
    ['a blank title', { title: ' \t\n\u00a0' }, '/title', 'blank'],
    ['a title of 301 characters', { title: 'a'.repeat(301) }, '/title', 'too_long'],
    ['a title of 301 emoji', { title: '📚'.repeat(301) }, '/title', 'too_long'],
    ['a NUL in the title', { title: 'a\0b' }, '/title', 'invalid_text'],
    ['half a surrogate pair in the title', { title: 'a\ud800b' }, '/title', 'invalid_text'],
    ['a title that is null', { title: null }, '/title', 'invalid_type'],
    ['a title that is a number', { title: 1984 }, '/title', 'invalid_type'],
    ['a title that is an array', { title: ['Dune'] }, '/title', 'invalid_type'],
    ['a title that is an operator', { title: { $ne: null } }, '/title', 'invalid_type'],
    ['authors that are one string', { authors: 'Frank Herbert' }, '/authors', 'invalid_type'],
    ['authors that are an operator', { authors: { $in: ['a'] } }, '/authors', 'invalid_type'],
    ['authors that are null', { authors: null }, '/authors', 'invalid_type'],
    ['no authors', { authors: [] }, '/authors', 'too_small'],
    ['101 authors', { authors: names(101) }, '/authors', 'too_big'],
    ['a blank author', { authors: ['A', ' '] }, '/authors/1', 'blank'],
    ['an author of 201 characters', { authors: ['a'.repeat(201)] }, '/authors/0', 'too_long'],
    ['an author that is null', { authors: ['A', null] }, '/authors/1', 'invalid_type'],
    ['an author that is an operator', { authors: [{ $gt: '' }] }, '/authors/0', 'invalid_type'],
    ['a year before -4000', { year: -4001 }, '/year', 'too_small'],
    ['a year after 2100', { year: 2101 }, '/year', 'too_big'],
    ['half a year', { year: 1965.5 }, '/year', 'invalid_type'],
    ['a year beyond every number', { year: 1e300 }, '/year', 'too_big'],
    ['a year that is a string', { year: '1965' }, '/year', 'invalid_type'],
    ['a year that is true', { year: true }, '/year', 'invalid_type'],
    ['a year that is an operator', { year: { $inc: 1 } }, '/year', 'invalid_type'],
    ['a wrong check digit in 13', { isbn: '9780441013594' }, '/isbn', 'wrong_check_digit'],
    ['a wrong check digit in 10', { isbn: '0804429570' }, '/isbn', 'wrong_check_digit'],
    ['two digits of an ISBN swapped', { isbn: '9780441031593' }, '/isbn', 'wrong_check_digit'],
    ['an ISBN with hyphens', { isbn: '978-0-441-01359-3' }, '/isbn', 'invalid_format'],
    ['an ISBN with a small x', { isbn: '080442957x' }, '/isbn', 'invalid_format'],
    ['an X in the middle of an ISBN', { isbn: '08044X9570' }, '/isbn', 'invalid_format'],
    ['13 digits that do not start with 978 or 979', { isbn: '9770441013596' }, '/isbn', 'invalid_format'],
    ['an ISBN of 12 digits', { isbn: '978044101359' }, '/isbn', 'invalid_format'],
    ['an empty ISBN', { isbn: '' }, '/isbn', 'invalid_format'],
    ['an ISBN and a line break', { isbn: '9780441013593\n' }, '/isbn', 'invalid_format'],
    ['an ISBN that is a number', { isbn: 9780441013593 }, '/isbn', 'invalid_type'],
    ['a language with an underscore', { language: 'en_US' }, '/language', 'invalid_format'],
    ['a language whose extension is empty', { language: 'en-a' }, '/language', 'invalid_format'],
    ['a language of one letter', { language: 'e' }, '/language', 'invalid_format'],
    ['a language in words', { language: 'english' }, '/language', 'invalid_format'],
    [
      'a language of 36 characters',
      { language: 'en-abcdefgh-abcdefgh-abcdefgh-abcdef' },
      '/language',
      'too_big',
    ],
  ])('%s, by POST, PUT and PATCH', async (_, fault, pointer, code) => {
    const book = await aBook();
    for (const { status, body } of [
      await api.post('/books', { ...dune, ...fault }),
      await api.put(`/books/${book._id}`, { ...dune, ...fault }),
      await api.patch(`/books/${book._id}`, fault),
    ]) {
      expect([status, body.code]).toEqual([422, 'validation_failed']);
      expect(body.errors[0]).toEqual({ in: 'body', pointer, code, message: expect.any(String) });
      expect(body.errors.filter((other: any) => other.pointer !== pointer)).toEqual([]);
    }
    expect(await modelOf(Book).distinct('title')).toEqual([book.title]);
  });
});

test.each<[string, object]>([
  ['a title of 300 characters of two UTF-16 units', { title: '📚'.repeat(300) }],
  ['100 authors of 200 characters', { authors: Array(100).fill('é'.repeat(200)) }],
  ['the same author twice', { authors: ['A', 'A'] }],
  ['the year -4000', { year: -4000 }],
  ['the year 2100', { year: 2100 }],
  ['the year 0', { year: 0 }],
  ['an ISBN of 10 characters with X', { isbn: '080442957X' }],
  ['an ISBN of 10 digits', { isbn: '0306406152' }],
  ['an ISBN that starts with 979', { isbn: '9791090636071' }],
  ['a language with a region', { language: 'zh-Hant-TW' }],
  ['text that means something to MongoDB', { title: '$where', authors: ['{"$ne":1}', 'a.b'] }],
  ['text that means something to a page', { title: '<script>alert(1)</script>' }],
  ['spaces around the title, which stay', { title: ' Dune ' }],
])('a book may have %s, and is answered as it was sent', async (_, fields) => {
  const { status, body } = await api.post('/books', { ...dune, ...fields });
  expect(status).toBe(201);
  expect(body).toMatchObject({ ...dune, ...fields });
  expect((await api.get(`/books/${body.id}`)).body).toEqual(body);
});

test.each([
  ['de-CH-x-phonebk', 'de-CH-x-phonebk'],
  ['EN-us', 'en-US'],
  ['eng', 'en'],
  ['zh-hant-tw', 'zh-Hant-TW'],
])('the language %s is stored as %s', async (language, expected) => {
  expect((await api.post('/books', { ...dune, language })).body.language).toBe(expected);
});

describe('merging tags', () => {
  let count = 0;
  const aTag = () => stored(Tag, { name: `tag ${++count}` });
  const unknownId = '0123456789abcdef01234567';
  const ids = (...documents: { _id: unknown }[]) => documents.map(({ _id }) => String(_id));
  const merge = (from: unknown, into: unknown) => api.post(`/tags/${String(from)}/merge`, { into });

  test('puts the other one in its place, never twice; the tag is gone, others stay', async () => {
    const [from, into, a, b] = [await aTag(), await aTag(), await aTag(), await aTag()];
    const lists = [
      [[from], [into]],
      [
        [a, from, b],
        [a, into, b],
      ],
      [
        [from, a, into],
        [a, into],
      ],
      [
        [into, b, from],
        [into, b],
      ],
      [[into], [into]],
      [
        [a, b],
        [a, b],
      ],
      [[], []],
    ] as const;
    for (const [tags] of lists) await aBook({ tags: tags.map(({ _id }) => _id) });
    const { status, body } = await merge(from._id, String(into._id));
    expect([status, body.id, body.name]).toEqual([200, String(into._id), into.name]);
    const tagged = await modelOf(Book).find().sort({ _id: 1 }).lean();
    expect(tagged.map(({ tags }) => tags.map(String))).toEqual(lists.map(([, tags]) => ids(...tags)));
    expect((await api.get(`/tags/${from._id}`)).status).toBe(404);
    expect(ids(...(await modelOf(Tag).find().lean())).sort()).toEqual(ids(into, a, b).sort());
  });

  test('into itself, into nothing or into what is no id is refused, and nothing changes', async () => {
    const tag = await aTag();
    const book = await aBook({ tags: [tag._id] });
    for (const [into, code, fault] of [
      [String(tag._id), 'validation_failed', 'same_tag'],
      [unknownId, 'reference_not_found', 'reference_not_found'],
      ['tag', 'validation_failed', 'invalid_format'],
    ] as const) {
      const { status, body } = await merge(tag._id, into);
      expect([status, body.code]).toEqual([422, code]);
      expect(body.errors).toMatchObject([{ in: 'body', pointer: '/into', code: fault }]);
    }
    expect(await modelOf(Book).find().lean()).toEqual([book.toObject()]);
    expect(await modelOf(Tag).countDocuments()).toBe(1);
  });

  test('of nothing is a 404', async () => {
    expect((await merge(unknownId, String((await aTag())._id))).status).toBe(404);
  });

  test('of two that cross each other one wins, and no tag that is used is lost', async () => {
    const [a, b] = [await aTag(), await aTag()];
    const book = await aBook({ tags: [a._id, b._id] });
    const answers = await Promise.all([merge(a._id, String(b._id)), merge(b._id, String(a._id))]);
    const [won, lost] = answers.map(({ status }) => status).toSorted((a, b) => a - b);
    expect(won).toBe(200);
    expect([404, 422]).toContain(lost);
    const [left] = await modelOf(Tag).find().lean();
    expect(await modelOf(Tag).countDocuments()).toBe(1);
    expect((await modelOf(Book).findById(book._id).lean())?.tags).toEqual([left?._id]);
  });
});
