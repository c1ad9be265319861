import { describe, expect, test } from '@jest/globals';
import mongoose from 'mongoose';
import { Book } from '../src/resources/books/book.ts';
import { CREDENTIALS } from './support/callers.ts';
import { liftRules, storeAnyhow } from './support/database.ts';
import { aBook, validBook } from './support/factories.ts';
import { useApi } from './support/harness.ts';

const api = useApi();

const dune = {
  ...validBook,
  title: 'Dune',
  authors: ['Frank Herbert'],
  year: 1965,
  isbn: '9780441013593',
  language: 'en',
};
/** Only what must be there. */
const least = Object.fromEntries(Object.entries(validBook).filter(([field]) => !(field in Book.defaults)));
const stored = (id: string) => Book.model.findById(id).lean();
const unknownId = '0123456789abcdef01234567';

test('a created book is stored as it was sent and can be read where Location says', async () => {
  const created = await api.post('/books', dune);
  expect(created.status).toBe(201);
  expect(created.body).toMatchObject(dune);
  expect(created.headers.get('location')).toBe(`/books/${created.body.id}`);

  const read = await api.get(created.headers.get('location') as string);
  expect(read.status).toBe(200);
  expect(read.body).toEqual(created.body);
  expect(await Book.model.countDocuments({ _id: created.body.id, title: 'Dune' })).toBe(1);
});

test('a field that a POST leaves out gets its default', async () => {
  const { status, body } = await api.post('/books', { ...least, title: 'Beowulf' });
  expect(status).toBe(201);
  expect(body).toMatchObject({ year: null, isbn: null, language: null, tags: [] });
  expect(await stored(body.id)).toMatchObject(Book.defaults);
});

test('PUT replaces everything: what it leaves out falls back to its default, the id and createdAt stay', async () => {
  const { body: before } = await api.post('/books', dune);
  const change = { ...least, title: 'Dune Messiah', authors: ['F. Herbert'] };
  const after = await api.put(`/books/${before.id}`, change);
  expect(after.status).toBe(200);
  expect(after.body).toEqual({
    ...Book.defaults,
    ...change,
    id: before.id,
    year: null,
    isbn: null,
    language: null,
    tags: [],
    createdAt: before.createdAt,
    updatedAt: expect.any(String),
  });
  expect(after.body.updatedAt > before.updatedAt).toBe(true);
  expect((await api.get(`/books/${before.id}`)).body).toEqual(after.body);
});

test.each(['application/merge-patch+json', 'application/json'])(
  'a PATCH of %s changes what it names, empties what is null and leaves the rest',
  async (type) => {
    const { body: before } = await api.post('/books', dune);
    const change = { title: 'Children of Dune', year: null };
    const after = await api.patch(`/books/${before.id}`, change, { headers: { 'content-type': type } });
    expect(after.status).toBe(200);
    expect(after.body).toEqual({ ...before, ...change, updatedAt: after.body.updatedAt });
    expect(after.body.updatedAt > before.updatedAt).toBe(true);
    expect(await stored(before.id)).toMatchObject({ title: 'Children of Dune', year: null, isbn: dune.isbn });
  },
);

test('the empty PATCH changes nothing, not even the time of the last change', async () => {
  const { body: before } = await api.post('/books', dune);
  const after = await api.patch(`/books/${before.id}`, {});
  expect(after.status).toBe(200);
  expect(after.body).toEqual(before);
  expect((await api.get(`/books/${before.id}`)).body).toEqual(before);
});

test('an array is replaced as a whole, by PATCH too', async () => {
  const book = await aBook({ authors: ['A', 'B', 'C'] });
  const { body } = await api.patch(`/books/${book._id}`, { authors: ['D'] });
  expect(body.authors).toEqual(['D']);
});

test('a removed book is gone; to remove it again is a 404', async () => {
  const [book, other] = [await aBook(), await aBook()];
  expect((await api.delete(`/books/${book._id}`)).status).toBe(204);
  expect((await api.get(`/books/${book._id}`)).status).toBe(404);
  expect((await api.delete(`/books/${book._id}`)).status).toBe(404);
  expect(await Book.model.distinct('_id')).toEqual([other._id]);
});

describe.each([unknownId, 'abc', unknownId.slice(1), `${unknownId}0`, 'g'.repeat(24), '%00', '%F0%9F%93%9A'])(
  'the id %s, which no book has',
  (id) => {
    test.each(['GET', 'PUT', 'PATCH', 'DELETE'])('is a 404 for %s', async (method) => {
      const { status, body } = await api.call(method, `/books/${id}`, {
        ...(method === 'PUT' && { body: dune }),
        ...(method === 'PATCH' && { body: {} }),
      });
      expect([status, body.code, body.detail]).toEqual([404, 'not_found', 'No document has this id.']);
      expect(await Book.model.countDocuments()).toBe(0);
    });
  },
);

test('the hexadecimal digits of an id may be upper case', async () => {
  const book = await aBook({ _id: 'abcdefabcdefabcdefabcdef' });
  expect((await api.get(`/books/${String(book._id).toUpperCase()}`)).body.id).toBe(String(book._id));
});

test.each(['POST', 'PUT', 'PATCH'])(
  'a %s that would double an ISBN is a 409 that names the field and not the value',
  async (method) => {
    await aBook({ isbn: dune.isbn });
    const own = await aBook({ title: 'Own', isbn: '080442957X' });
    const path = method === 'POST' ? '/books' : `/books/${own._id}`;
    const { status, body } = await api.call(method, path, { body: dune });
    expect([status, body.code]).toEqual([409, 'duplicate_key']);
    expect(body.errors).toMatchObject([{ in: 'body', pointer: '/isbn', code: 'duplicate' }]);
    expect(JSON.stringify(body)).not.toContain(dune.isbn);
    expect(await stored(String(own._id))).toMatchObject({ title: 'Own', isbn: '080442957X' });
  },
);

test('any number of books may have no ISBN, and a book keeps its own when it is replaced', async () => {
  await aBook({ isbn: null });
  expect((await api.post('/books', { ...dune, isbn: null })).status).toBe(201);
  const { body: book } = await api.post('/books', dune);
  expect((await api.put(`/books/${book.id}`, { ...dune, year: 1966 })).status).toBe(200);
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
    ['a language in capitals', { language: 'EN' }, '/language', 'invalid_format'],
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
    expect(await Book.model.distinct('title')).toEqual([book.title]);
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

test('all that is wrong with a body is said at once, each fault with its place', async () => {
  const { status, body } = await api.post('/books', {
    ...validBook,
    title: undefined,
    authors: ['', 5],
    isbn: '123',
    titel: 'Dune',
  });
  expect([status, body.code]).toEqual([422, 'validation_failed']);
  expect(body.errors.map((fault: any) => [fault.pointer, fault.code]).sort()).toEqual([
    ['/authors/0', 'too_short'],
    ['/authors/1', 'invalid_type'],
    ['/isbn', 'invalid_format'],
    ['/titel', 'unknown_field'],
    ['/title', 'required'],
  ]);
});

test.each(['POST', 'PUT', 'PATCH'])('%s refuses an unknown field and says what was meant', async (method) => {
  const book = await aBook();
  const path = method === 'POST' ? '/books' : `/books/${book._id}`;
  const { status, body } = await api.call(method, path, { body: { ...dune, langauge: 'en' } });
  expect(status).toBe(422);
  expect(body.errors).toEqual([
    expect.objectContaining({
      pointer: '/langauge',
      code: 'unknown_field',
      message: expect.stringContaining('did you mean language?'),
    }),
  ]);
});

test('a client cannot write id, createdAt, updatedAt or what only the database has', async () => {
  const book = await aBook();
  const extra = {
    id: unknownId,
    _id: unknownId,
    createdAt: '2000-01-01T00:00:00Z',
    updatedAt: null,
    role: 'admin',
  };
  for (const answer of [
    await api.post('/books', { ...dune, ...extra }),
    await api.put(`/books/${book._id}`, { ...dune, ...extra }),
    await api.patch(`/books/${book._id}`, extra),
  ]) {
    expect(answer.status).toBe(422);
    expect(answer.body.errors.map((fault: any) => fault.pointer).sort()).toEqual([
      '/_id',
      '/createdAt',
      '/id',
      '/role',
      '/updatedAt',
    ]);
  }
  expect(await Book.model.find().lean()).toEqual([book.toObject()]);
});

test('a key of the body is named by a JSON Pointer that can be followed', async () => {
  const { body } = await api.post('/books', { ...dune, 'a/b~c': 1, $set: { role: 'admin' } });
  expect(body.errors.map((fault: any) => fault.pointer)).toEqual(['/a~1b~0c', '/$set']);
});

test('what another tool has stored beside the declared fields never leaves', async () => {
  const _id = new mongoose.Types.ObjectId();
  const secret = { passwordHash: 'secret', __v: 3, notes: [{ text: 'secret' }] };
  await liftRules(Book.model);
  await storeAnyhow(Book.model, {
    _id,
    ...dune,
    ...secret,
    createdAt: new Date(),
    updatedAt: new Date(),
  });
  for (const { status, body } of [
    await api.get(`/books/${_id}`),
    await api.get('/books'),
    await api.patch(`/books/${_id}`, { year: 1966 }),
    await api.put(`/books/${_id}`, dune),
  ]) {
    expect(status).toBe(200);
    expect(JSON.stringify(body)).not.toMatch(/secret|passwordHash|__v|notes/);
  }
  expect(await Book.model.collection.findOne({ _id })).toMatchObject(secret);
});

describe('a document that is older than a rule', () => {
  const dates = { createdAt: new Date(), updatedAt: new Date() };
  test.each<[string, object, object]>([
    ['has no fields at all', {}, { authors: [], year: null, isbn: null }],
    ['has null where an array belongs', { ...dune, authors: null }, { authors: [], title: 'Dune' }],
    ['has null in an array', { ...dune, authors: [null, 'A'] }, { authors: [null, 'A'] }],
    [
      'has other types',
      { title: 5, authors: 'A', year: { bc: 750 }, isbn: ['x'] },
      { title: 5, authors: 'A' },
    ],
    [
      'has a time that is none',
      { ...dune, createdAt: 'yesterday', updatedAt: 0 },
      { createdAt: 'yesterday' },
    ],
    ['has values that no API would take', { ...dune, title: ' ', year: 99999 }, { title: ' ', year: 99999 }],
  ])('and %s is answered all the same', async (_, fields, expected) => {
    const _id = new mongoose.Types.ObjectId();
    await storeAnyhow(Book.model, { _id, ...fields });
    expect(await plainly(`/books/${_id}`)).toMatchObject(expected);
    expect((await plainly('/books')).items).toMatchObject([expected]);
    for (const sort of ['title', '-title', 'year', '-year', 'createdAt', '-createdAt'])
      expect((await plainly(`/books?sort=${sort}`)).items).toHaveLength(1);
    expect(await plainly(`/books/${_id}`, { method: 'PATCH', body: '{"year":1966}' })).toMatchObject({
      year: 1966,
    });
    expect(await plainly(`/books/${_id}`, { method: 'PUT', body: JSON.stringify(dune) })).toMatchObject(dune);
  });

  test('and has a time beyond what JavaScript can hold is answered without it', async () => {
    const _id = new mongoose.Types.ObjectId();
    await storeAnyhow(Book.model, { _id, ...dune, ...dates });
    const far = mongoose.mongo.Long.fromString('9000000000000000');
    await Book.model.collection.updateOne({ _id }, [{ $set: { createdAt: { $toDate: far } } }]);
    expect(await plainly(`/books/${_id}`)).toMatchObject({ title: 'Dune', createdAt: null });
    expect((await plainly('/books?sort=createdAt')).items).toHaveLength(1);
  });

  /** Without the check against the schema, which such an answer need not fit. */
  async function plainly(path: string, init?: { method: string; body: string }): Promise<any> {
    const response = await fetch(api.url() + path, {
      ...init,
      headers: { authorization: CREDENTIALS, 'content-type': 'application/json' },
    });
    expect([path, response.status]).toEqual([path, 200]);
    return response.json();
  }
});
