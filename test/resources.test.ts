import mongoose from 'mongoose';
import { Book } from '../src/resources/books/book.ts';
import { Post } from '../src/resources/posts/post.ts';
import { Tag } from '../src/resources/tags/tag.ts';
import { User } from '../src/resources/users/user.ts';
import type { AnyResource } from '../src/schema/resource.ts';
import { CREDENTIALS, aCaller, admin, users } from './support/callers.ts';
import { liftRules, storeAnyhow } from './support/database.ts';
import { aBook, aPost, aUser, aTag, validBook } from './support/factories.ts';
import { useApi, type Answer } from './support/harness.ts';
import { modelOf } from '../src/schema/model.ts';

const api = useApi();

describe('books', () => {
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
  const stored = (id: string) => modelOf(Book).findById(id).lean();
  const unknownId = '0123456789abcdef01234567';

  test('a created book is stored as it was sent and can be read where Location says', async () => {
    const created = await api.post('/books', dune);
    expect(created.status).toBe(201);
    expect(created.body).toMatchObject(dune);
    expect(created.headers.get('location')).toBe(`/books/${created.body.id}`);

    const read = await api.get(created.headers.get('location') as string);
    expect(read.status).toBe(200);
    expect(read.body).toEqual(created.body);
    expect(await modelOf(Book).countDocuments({ _id: created.body.id, title: 'Dune' })).toBe(1);
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
      expect(await stored(before.id)).toMatchObject({
        title: 'Children of Dune',
        year: null,
        isbn: dune.isbn,
      });
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
    expect(await modelOf(Book).distinct('_id')).toEqual([other._id]);
  });

  describe.each([
    unknownId,
    'abc',
    unknownId.slice(1),
    `${unknownId}0`,
    'g'.repeat(24),
    '%00',
    '%F0%9F%93%9A',
  ])('the id %s, which no book has', (id) => {
    test.each(['GET', 'PUT', 'PATCH', 'DELETE'])('is a 404 for %s', async (method) => {
      const { status, body } = await api.call(method, `/books/${id}`, {
        ...(method === 'PUT' && { body: dune }),
        ...(method === 'PATCH' && { body: {} }),
      });
      expect([status, body.code, body.detail]).toEqual([404, 'not_found', 'No document has this id.']);
      expect(await modelOf(Book).countDocuments()).toBe(0);
    });
  });

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

  test.each(['POST', 'PUT', 'PATCH'])(
    '%s refuses an unknown field and says what was meant',
    async (method) => {
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
    },
  );

  test.each([
    ['de-CH-x-phonebk', 'de-CH-x-phonebk'],
    ['EN-us', 'en-US'],
    ['eng', 'en'],
    ['zh-hant-tw', 'zh-Hant-TW'],
  ])('the language %s is stored as %s', async (language, expected) => {
    expect((await api.post('/books', { ...dune, language })).body.language).toBe(expected);
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
      expect(answer.body.errors.map((fault: any) => fault.pointer)).toEqual(
        expect.arrayContaining(['/_id', '/role']),
      );
    }
    for (const [field, value] of Object.entries({ id: unknownId, createdAt: '2000-01-01T00:00:00Z' }))
      for (const [answer, code] of [
        [await api.post('/books', { ...dune, [field]: value }), 'unknown_field'],
        [await api.put(`/books/${book._id}`, { ...dune, [field]: value }), 'read_only'],
        [await api.patch(`/books/${book._id}`, { [field]: value }), 'unknown_field'],
      ] as const)
        expect(answer.body.errors).toMatchObject([{ pointer: `/${field}`, code }]);
    expect(await modelOf(Book).find().lean()).toEqual([book.toObject()]);
  });

  test('a key of the body is named by a JSON Pointer that can be followed', async () => {
    const { body } = await api.post('/books', { ...dune, 'a/b~c': 1, $set: { role: 'admin' } });
    expect(body.errors.map((fault: any) => fault.pointer)).toEqual(['/a~1b~0c', '/$set']);
  });

  test('what another tool has stored beside the declared fields never leaves', async () => {
    const _id = new mongoose.Types.ObjectId();
    const secret = { passwordHash: 'secret', __v: 3, notes: [{ text: 'secret' }] };
    await liftRules(modelOf(Book));
    await storeAnyhow(modelOf(Book), {
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
    expect(await modelOf(Book).collection.findOne({ _id })).toMatchObject(secret);
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
      [
        'has values that no API would take',
        { ...dune, title: ' ', year: 99999 },
        { title: ' ', year: 99999 },
      ],
    ])('and %s is answered all the same', async (_, fields, expected) => {
      const _id = new mongoose.Types.ObjectId();
      await storeAnyhow(modelOf(Book), { _id, ...fields });
      expect(await plainly(`/books/${_id}`)).toMatchObject(expected);
      expect((await plainly('/books')).items).toMatchObject([expected]);
      for (const sort of ['title', '-title', 'year', '-year', 'createdAt', '-createdAt'])
        expect((await plainly(`/books?sort=${sort}`)).items).toHaveLength(1);
      expect(await plainly(`/books/${_id}`, { method: 'PATCH', body: '{"year":1966}' })).toMatchObject({
        year: 1966,
      });
      expect(await plainly(`/books/${_id}`, { method: 'PUT', body: JSON.stringify(dune) })).toMatchObject(
        dune,
      );
    });

    test('and has a time beyond what JavaScript can hold is answered without it', async () => {
      const _id = new mongoose.Types.ObjectId();
      await storeAnyhow(modelOf(Book), { _id, ...dune, ...dates });
      const far = mongoose.mongo.Long.fromString('9000000000000000');
      await modelOf(Book).collection.updateOne({ _id }, [{ $set: { createdAt: { $toDate: far } } }]);
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
});

describe('users', () => {
  const ann = { name: 'Ann Reader', email: 'Ann@Example.org', bio: 'Reads at night.' };
  const stored = (id: unknown) => modelOf(User).findById(id).lean();
  const password = 'a good long one';
  const unknownId = '0123456789abcdef01234567';
  /** What only the database has, and what must never stand in an answer. */
  const secret = { email: 'secret@example.org', passwordHash: 'scrypt$secret', role: 'admin' as const };

  test('a created user is stored with the e-mail as it was sent, as a member without a password', async () => {
    const created = await api.post('/users', ann);
    expect(created.status).toBe(201);
    const { id, createdAt } = created.body;
    expect(created.headers.get('location')).toBe(`/users/${id}`);
    expect(created.body).toEqual({ id, ...ann, role: 'member', createdAt, updatedAt: createdAt });
    expect((await api.get(`/users/${id}`)).body).toEqual(created.body);
    expect(await stored(id)).toMatchObject({ ...ann, role: 'member', passwordHash: null });
  });

  test('PUT replaces what a client may write and nothing else: role and password stay', async () => {
    const user = await aUser({ ...secret, bio: 'Old' });
    const { status, body } = await api.put(`/users/${user._id}`, { name: 'New', email: 'new@example.org' });
    expect(status).toBe(200);
    expect(body).toMatchObject({ name: 'New', bio: null, role: 'admin' });
    expect(await stored(user._id)).toMatchObject({
      name: 'New',
      email: 'new@example.org',
      bio: null,
      role: 'admin',
      passwordHash: secret.passwordHash,
    });
  });

  test('PATCH changes what it names, the e-mail too; DELETE removes', async () => {
    const user = await aUser({ ...secret, bio: 'Old' });
    const path = `/users/${user._id}`;
    const { status, body } = await api.patch(path, { email: 'new@example.org', bio: null });
    expect([status, body.name, body.bio]).toEqual([200, user.name, null]);
    expect(await stored(user._id)).toMatchObject({
      email: 'new@example.org',
      role: 'admin',
      passwordHash: secret.passwordHash,
    });
    expect((await api.delete(path)).status).toBe(204);
    for (const method of ['GET', 'DELETE']) expect((await api.call(method, path)).status).toBe(404);
    expect(await modelOf(User).countDocuments(users)).toBe(0);
  });

  test.each<[string, (id: string, post: string, as: { as?: string }) => Promise<Answer>]>([
    [
      'create',
      (_id, _post, as) => api.post('/users', { ...ann, email: 'secret2@example.org', password }, as),
    ],
    ['read', (id, _, as) => api.get(`/users/${id}?include=posts`, as)],
    ['read fields of', (id, _, as) => api.get(`/users/${id}?fields=email`, as)],
    ['replace', (id, _, as) => api.put(`/users/${id}`, { name: 'C', email: secret.email }, as)],
    ['update', (id, _, as) => api.patch(`/users/${id}`, { email: 'SECRET@example.org' }, as)],
    ['list', (_id, _post, as) => api.get('/users?include=posts', as)],
    ['list fields of', (_id, _post, as) => api.get('/users?fields=name,email', as)],
    ['list posts of', (id, _, as) => api.get(`/users/${id}/posts?include=author`, as)],
    ['include in a post', (_, post, as) => api.get(`/posts/${post}?include=author`, as)],
    ['include fields of', (_, post, as) => api.get(`/posts/${post}?include=author&fields=author.email`, as)],
    ['include in a list of posts', (_id, _post, as) => api.get('/posts?include=author,books.tags', as)],
    ['stream', (_id, _post, as) => api.get('/users', { ...as, headers: { accept: 'application/x-ndjson' } })],
    ['stream as CSV', (_id, _post, as) => api.get('/users', { ...as, headers: { accept: 'text/csv' } })],
    [
      'batch',
      (id, _, as) =>
        api.post(
          '/batch',
          {
            operations: [
              { method: 'create', resource: 'users', body: { name: 'D', email: 'secret3@example.org' } },
              { method: 'update', resource: 'users', id, body: { bio: 'x' } },
              { method: 'replace', resource: 'users', id, body: { name: 'E', email: secret.email } },
            ],
          },
          as,
        ),
    ],
    [
      'transfer',
      async (id, _, as) => api.post(`/users/${id}/transfer`, { to: String((await aUser())._id) }, as),
    ],
    [
      'a refusal of',
      (_id, _post, as) => api.post('/users', { name: 'F', email: secret.email, password }, as),
    ],
    ['a refused removal of', (id, _, as) => api.delete(`/users/${id}`, as)],
  ])('%s: no password leaves, and no e-mail to another than oneself and admins', async (_, ask) => {
    const user = await aUser(secret);
    const post = await aPost({ author: user._id, status: 'published' });
    const [id, text] = [String(user._id), ({ body }: Answer) => JSON.stringify(body).toLowerCase()];
    for (const role of ['nobody', 'member', 'editor'] as const) {
      const answer = await ask(id, String(post._id), {
        as: role === 'nobody' ? '' : (await aCaller(role)).token,
      });
      expect([200, 201, 401, 403, 409, 422]).toContain(answer.status);
      expect(text(answer)).not.toMatch(/secret|passwordhash|argon2/);
      await modelOf(User).deleteMany({ email: /^secret[23]/ });
    }
    const answer = await ask(id, String(post._id), {});
    expect([200, 201, 409]).toContain(answer.status);
    expect(text(answer)).not.toMatch(/scrypt|passwordhash|argon2/);
  });

  test('oneself and admins read the e-mail, where the user is included, too', async () => {
    const me = await aCaller('member');
    const post = await aPost({ author: me.id, status: 'published' });
    const { email } = (await stored(me.id)) as { email: string };
    const emailsIn = ({ body }: Answer) => JSON.stringify(body).match(/[\w.]+@[\w.]+/g);
    for (const as of [{ as: me.token }, {}])
      for (const path of [
        `/users/${me.id}`,
        `/users/${me.id}?fields=email`,
        `/posts/${post._id}?include=author`,
        '/posts?include=author&fields=author.email',
      ])
        expect([path, emailsIn(await api.get(path, as))]).toEqual([path, [email]]);
    await aUser(secret);
    expect(emailsIn(await api.get('/users', { as: me.token }))).toEqual([email]);
    expect(emailsIn(await api.get('/users'))).toHaveLength(3);
  });

  test.each([
    'email=secret@example.org',
    'email[gt]=a',
    'sort=email',
    'sort=-email',
    'passwordHash=x',
    'sort=passwordHash',
    'include=email',
    'fields=passwordHash',
  ])('GET /users?%s is refused: by what is not shown nobody can search', async (query) => {
    await aUser(secret);
    const { status, body } = await api.get(`/users?${query}`);
    expect(status).toBe(422);
    // Neither does a "did you mean" or a list of allowed values tell of it.
    expect(JSON.stringify(body.errors.map((fault: any) => fault.message))).not.toMatch(
      query.startsWith('fields') ? /passwordHash/ : /email|passwordHash/,
    );
  });

  test.each<[string, unknown]>([
    ['role', 'editor'],
    ['passwordHash', 'x'],
  ])('a client cannot write %s, by whatever way', async (field, value) => {
    const user = await aUser(secret);
    const other = { name: 'Ben', email: 'ben@example.org' };
    const operation = (rest: object) => api.post('/batch', { operations: [{ resource: 'users', ...rest }] });
    const [path, id, body] = [`/users/${user._id}`, String(user._id), { ...other, [field]: value }];
    for (const [answer, pointer] of [
      [await api.post('/users', body), `/${field}`],
      [await api.put(path, body), `/${field}`],
      [await api.patch(path, { [field]: value }), `/${field}`],
      [await operation({ method: 'create', body }), `/operations/0/body/${field}`],
      [
        await operation({ method: 'replace', id, body }),
        field === 'passwordHash' ? `/operations/0/body/${field}` : `/${field}`,
      ],
      [await operation({ method: 'update', id, body: { [field]: value } }), `/operations/0/body/${field}`],
    ] as const) {
      expect(answer.status).toBe(422);
      // A replace takes what cannot be written, as long as it is the same.
      const { errors } = answer.body.problem ?? answer.body;
      expect(errors).toMatchObject([
        { in: 'body', pointer, code: expect.stringMatching(/unknown_field|read_only/) },
      ]);
    }
    expect(await modelOf(User).find(users).lean()).toEqual([user.toObject()]);
  });

  test.each(['ann@example.org', 'ANN@EXAMPLE.ORG', 'aNN@eXAMPLE.oRG'])(
    'the e-mail %s is taken while there is Ann@Example.org; the answer does not repeat it',
    async (email) => {
      await aUser(ann);
      const other = await aUser();
      for (const { status, body } of [
        await api.post('/users', { name: 'B', email }),
        await api.put(`/users/${other._id}`, { name: 'B', email }),
        await api.patch(`/users/${other._id}`, { email }),
      ]) {
        expect([status, body.code]).toEqual([409, 'duplicate_key']);
        expect(body.errors).toMatchObject([{ in: 'body', pointer: '/email', code: 'duplicate' }]);
        expect(JSON.stringify(body).toLowerCase()).not.toContain('example.org');
      }
      expect(await modelOf(User).countDocuments(users)).toBe(2);
      expect(await stored(other._id)).toEqual(other.toObject());
    },
  );

  test('of ten clients that take the same e-mail at once, one gets it', async () => {
    const emails = Array.from({ length: 10 }, (_, i) => (i % 2 ? 'race@example.org' : 'Race@example.org'));
    const answers = await Promise.all(emails.map((email) => api.post('/users', { name: 'R', email })));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
      201,
      ...Array(9).fill(409),
    ]);
    expect(await modelOf(User).countDocuments(users)).toBe(1);
  });

  test.each<[string, object, string, string]>([
    [
      'an e-mail whose domain begins with a hyphen',
      { email: 'ann@-example.org' },
      '/email',
      'invalid_format',
    ],
    ['no e-mail', { email: undefined }, '/email', 'required'],
    ['an e-mail without @', { email: 'ann.example.org' }, '/email', 'invalid_format'],
    ['an e-mail with a line break', { email: 'ann@example.org\nBcc: x@y.org' }, '/email', 'invalid_format'],
    ['an e-mail that is an operator', { email: { $ne: null } }, '/email', 'invalid_type'],
    ['an e-mail that is null', { email: null }, '/email', 'invalid_type'],
    ['an e-mail of 255 characters', { email: `ann@${'a.'.repeat(124)}com` }, '/email', 'too_big'],
    ['a blank name', { name: ' ' }, '/name', 'blank'],
    ['a bio of 2,001 characters', { bio: 'a'.repeat(2001) }, '/bio', 'too_long'],
  ])('%s is refused', async (_, fault, pointer, code) => {
    const { status, body } = await api.post('/users', { ...ann, ...fault });
    expect([status, body.code]).toEqual([422, 'validation_failed']);
    expect(body.errors).toEqual([{ in: 'body', pointer, code, message: expect.any(String) }]);
    expect(await modelOf(User).countDocuments(users)).toBe(0);
  });

  test('users are listed by name whatever its case, and by role', async () => {
    for (const [name, role] of [
      ['bea', 'member'],
      ['Cid', 'editor'],
      ['Abe', 'editor'],
    ])
      await aUser({ name, role });
    const names = async (query: string) =>
      (await api.get(`/users?${query}`)).body.items
        .map((user: any) => user.name)
        .filter((name: string) => name !== admin.name);
    expect(await names('sort=name')).toEqual(['Abe', 'bea', 'Cid']);
    expect(await names('sort=-name&role=editor')).toEqual(['Cid', 'Abe']);
    expect(await names('name=BEA')).toEqual(['bea']);
    expect((await api.get('/users?role=god')).status).toBe(422);
  });

  describe('transfer', () => {
    const authors = async () =>
      (await modelOf(Post).find().sort({ _id: 1 }).lean()).map(({ author }) => String(author));

    test('gives all posts of one user to another, who keeps his own; the first can be removed then', async () => {
      const [from, to, third] = [await aUser(), await aUser(), await aUser()];
      for (const { _id } of [from, to, from, third, from]) await aPost({ author: _id });
      expect((await api.delete(`/users/${from._id}`)).status).toBe(409);
      const { status, body } = await api.post(`/users/${from._id}/transfer`, { to: String(to._id) });
      expect([status, body]).toEqual([200, { changed: 3 }]);
      expect(await authors()).toEqual([to, to, to, third, to].map(({ _id }) => String(_id)));
      expect((await api.delete(`/users/${from._id}`)).status).toBe(204);
      expect((await api.post(`/users/${from._id}/transfer`, { to: String(to._id) })).status).toBe(404);
    });

    test('changes nothing where there is nothing', async () => {
      const [from, to] = [await aUser(), await aUser()];
      expect((await api.post(`/users/${from._id}/transfer`, { to: String(to._id) })).body).toEqual({
        changed: 0,
      });
    });

    test('to nobody, to oneself or to what is no id is refused, and changes nothing', async () => {
      const from = await aUser();
      await aPost({ author: from._id });
      for (const [to, code, fault] of [
        [unknownId, 'reference_not_found', 'reference_not_found'],
        [String(from._id), 'validation_failed', 'same_user'],
        [{ $ne: null }, 'validation_failed', 'invalid_type'],
      ] as const) {
        const { status, body } = await api.post(`/users/${from._id}/transfer`, { to });
        expect([status, body.code]).toEqual([422, code]);
        expect(body.errors).toMatchObject([{ in: 'body', pointer: '/to', code: fault }]);
      }
      expect(await authors()).toEqual([String(from._id)]);
    });

    test('from nobody is a 404', async () => {
      const to = await aUser();
      expect((await api.post(`/users/${unknownId}/transfer`, { to: String(to._id) })).status).toBe(404);
    });
  });
});

describe('posts', () => {
  const stored = (id: unknown) => modelOf(Post).findById(id).lean();
  const unknownId = '0123456789abcdef01234567';
  const ids = (...documents: { _id: unknown }[]) => documents.map(({ _id }) => String(_id));

  /** A body that refers to documents of every kind, which are there. */
  async function aBody() {
    const [author, books, tags] = [
      await aUser(),
      [await aBook(), await aBook()],
      [await aTag(), await aTag()],
    ];
    return {
      title: 'Winter',
      body: 'A long walk.',
      author: String(author._id),
      books: ids(...books),
      tags: ids(...tags),
    };
  }

  test('a created post is a draft, stored as it was sent, and can be read where Location says', async () => {
    const body = await aBody();
    const created = await api.post('/posts', body);
    expect(created.status).toBe(201);
    expect(created.body).toMatchObject({ ...body, status: 'draft', publishedAt: null });
    expect((await api.get(created.headers.get('location') as string)).body).toEqual(created.body);
    const inDatabase = await stored(created.body.id);
    expect(ids(...(inDatabase?.books ?? []).map((_id) => ({ _id })))).toEqual(body.books);
    expect(inDatabase).toMatchObject({ status: 'draft', publishedAt: null });
  });

  test('books and tags may be left out, which makes them empty', async () => {
    const { title, body, author } = await aBody();
    const created = await api.post('/posts', { title, body, author });
    expect([created.status, created.body.books, created.body.tags]).toEqual([201, [], []]);
  });

  test('PUT replaces what a client may write: lists fall back to empty, status and publishedAt stay', async () => {
    const publishedAt = new Date('2026-01-31T12:00:00Z');
    const post = await aPost({ status: 'published', publishedAt, tags: [(await aTag())._id] });
    const { title, body, author } = await aBody();
    const replaced = await api.put(`/posts/${post._id}`, { title, body, author });
    expect(replaced.status).toBe(200);
    expect(replaced.body).toMatchObject({ title, author, books: [], tags: [], status: 'published' });
    expect(await stored(post._id)).toMatchObject({ title, status: 'published', publishedAt, tags: [] });
  });

  test('PATCH changes what it names and leaves the rest; DELETE removes', async () => {
    const { body: before } = await api.post('/posts', await aBody());
    const tag = await aTag();
    const { status, body } = await api.patch(`/posts/${before.id}`, { tags: ids(tag) });
    expect(status).toBe(200);
    expect(body).toEqual({ ...before, tags: ids(tag), updatedAt: body.updatedAt });
    expect((await api.delete(`/posts/${before.id}`)).status).toBe(204);
    for (const method of ['GET', 'DELETE'])
      expect((await api.call(method, `/posts/${before.id}`)).status).toBe(404);
  });

  test.each<[string, unknown]>([
    ['status', 'published'],
    ['publishedAt', '2026-01-31T12:00:00Z'],
  ])('a client cannot write %s, by whatever way', async (field, value) => {
    const post = await aPost();
    const [path, id, body] = [`/posts/${post._id}`, String(post._id), { ...(await aBody()), [field]: value }];
    const operation = (rest: object) => api.post('/batch', { operations: [{ resource: 'posts', ...rest }] });
    for (const [answer, pointer] of [
      [await api.post('/posts', body), `/${field}`],
      [await api.put(path, body), `/${field}`],
      [await api.patch(path, { [field]: value }), `/${field}`],
      [await operation({ method: 'create', body }), `/operations/0/body/${field}`],
      [await operation({ method: 'replace', id, body }), `/${field}`],
      [await operation({ method: 'update', id, body: { [field]: value } }), `/operations/0/body/${field}`],
    ] as const) {
      expect(answer.status).toBe(422);
      // A replace takes what cannot be written, as long as it is the same.
      const { errors } = answer.body.problem ?? answer.body;
      expect(errors).toMatchObject([
        { in: 'body', pointer, code: expect.stringMatching(/unknown_field|read_only/) },
      ]);
    }
    expect(await modelOf(Post).find().lean()).toEqual([post.toObject()]);
  });

  describe('a list of references', () => {
    test.each(['books', 'tags'] as const)(
      'refuses a repeated id in %s and names the second',
      async (field) => {
        const body = await aBody();
        const [first, second] = body[field] as [string, string];
        const fault = { [field]: [first, second, first.toUpperCase()] };
        const post = await aPost();
        for (const answer of [
          await api.post('/posts', { ...body, ...fault }),
          await api.put(`/posts/${post._id}`, { ...body, ...fault }),
          await api.patch(`/posts/${post._id}`, fault),
        ]) {
          expect(answer.status).toBe(422);
          expect(answer.body.errors).toMatchObject([
            { in: 'body', pointer: `/${field}/2`, code: 'repeated' },
          ]);
        }
        expect(await modelOf(Post).find().lean()).toEqual([post.toObject()]);
      },
    );

    test('keeps the order of the body', async () => {
      const body = await aBody();
      const tags = body.tags.toReversed();
      const { body: created } = await api.post('/posts', { ...body, tags });
      expect(created.tags).toEqual(tags);
      expect((await api.patch(`/posts/${created.id}`, { tags: body.tags })).body.tags).toEqual(body.tags);
    });

    test.each<[string, unknown, string, string]>([
      ['21 ids', Array.from({ length: 21 }, (_, i) => i.toString(16).padStart(24, '0')), '/tags', 'too_big'],
      ['what is no id', [unknownId, 'abc'], '/tags/1', 'invalid_format'],
      ['a name of a batch', ['$name'], '/tags/0', 'invalid_format'],
      ['null', null, '/tags', 'invalid_type'],
      ['one id without a list', unknownId, '/tags', 'invalid_type'],
      ['an operator', { $each: [] }, '/tags', 'invalid_type'],
    ])('is refused for %s', async (_, tags, pointer, code) => {
      const { status, body } = await api.post('/posts', { ...(await aBody()), tags });
      expect([status, body.code]).toEqual([422, 'validation_failed']);
      expect(body.errors).toEqual([{ in: 'body', pointer, code, message: expect.any(String) }]);
    });
  });

  describe('publishing', () => {
    test('makes a draft a published post, once: a second call changes nothing', async () => {
      const post = await aPost();
      const first = await api.post(`/posts/${post._id}/publish`);
      expect([first.status, first.body.status]).toEqual([200, 'published']);
      const age = Date.now() - new Date(first.body.publishedAt).getTime();
      expect(age).toBeLessThan(10_000);
      expect(age).toBeGreaterThanOrEqual(0);
      const second = await api.post(`/posts/${post._id}/publish`);
      expect([second.status, second.body]).toEqual([200, first.body]);
      expect((await api.get(`/posts/${post._id}`)).body).toEqual(first.body);
    });

    test('of ten that publish at once, all get the same time', async () => {
      const post = await aPost();
      const answers = await Promise.all(
        Array.from({ length: 10 }, () => api.post(`/posts/${post._id}/publish`)),
      );
      expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
      expect(new Set(answers.map(({ body }) => body.publishedAt)).size).toBe(1);
    });

    test('of nothing is a 404, and leaves other drafts alone', async () => {
      await aPost();
      expect((await api.post(`/posts/${unknownId}/publish`)).status).toBe(404);
      expect(await modelOf(Post).distinct('status')).toEqual(['draft']);
    });
  });

  describe('merging tags', () => {
    const merge = (from: unknown, into: unknown) => api.post(`/tags/${String(from)}/merge`, { into });

    test('puts the other one in its place, never twice, in books and posts; the tag is gone, others stay', async () => {
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
      const author = (await aUser())._id;
      for (const [tags] of lists) {
        await aPost({ author, tags: tags.map(({ _id }) => _id) });
        await aBook({ tags: tags.map(({ _id }) => _id) });
      }
      const { status, body } = await merge(from._id, String(into._id));
      expect([status, body.id, body.name]).toEqual([200, String(into._id), into.name]);
      for (const resource of [Post, Book] as AnyResource[])
        expect(
          (await modelOf(resource).find().sort({ _id: 1 }).lean()).map(({ tags }) => tags.map(String)),
        ).toEqual(lists.map(([, tags]) => ids(...tags)));
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
});

describe('tags', () => {
  const fiction = { name: 'Science Fiction', description: 'What if?' };

  test('a created tag is stored as it was sent and can be read where Location says', async () => {
    const created = await api.post('/tags', fiction);
    expect(created.status).toBe(201);
    expect(created.body).toMatchObject(fiction);
    const read = await api.get(created.headers.get('location') as string);
    expect(read.body).toEqual(created.body);
    expect(await modelOf(Tag).countDocuments({ _id: created.body.id, ...fiction })).toBe(1);
  });

  test('the description may be left out, null or empty, which are not the same', async () => {
    const { body: without } = await api.post('/tags', { name: 'a' });
    const { body: withNull } = await api.post('/tags', { name: 'b', description: null });
    const { body: empty } = await api.post('/tags', { name: 'c', description: '' });
    expect([without, withNull, empty].map((tag) => tag.description)).toEqual([null, null, '']);
  });

  test('PUT replaces, PATCH changes what it names, DELETE removes', async () => {
    const { body: tag } = await api.post('/tags', fiction);
    const path = `/tags/${tag.id}`;
    const patched = await api.patch(path, { name: 'sf' });
    expect([patched.status, patched.body.name, patched.body.description]).toEqual([200, 'sf', 'What if?']);
    const replaced = await api.put(path, { name: 'SF' });
    expect([replaced.status, replaced.body.name, replaced.body.description]).toEqual([200, 'SF', null]);
    expect((await api.delete(path)).status).toBe(204);
    for (const method of ['GET', 'DELETE']) expect((await api.call(method, path)).status).toBe(404);
    expect((await api.put(path, fiction)).status).toBe(404);
    expect((await api.patch(path, fiction)).status).toBe(404);
    expect(await modelOf(Tag).countDocuments()).toBe(0);
  });

  test.each(['science fiction', 'SCIENCE FICTION', 'sCIENCE fICTION'])(
    'the name %s is taken while there is Science Fiction; the answer does not repeat it',
    async (name) => {
      await aTag(fiction);
      const other = await aTag({ name: 'other' });
      for (const { status, body } of [
        await api.post('/tags', { name }),
        await api.put(`/tags/${other._id}`, { name }),
        await api.patch(`/tags/${other._id}`, { name }),
      ]) {
        expect([status, body.code]).toEqual([409, 'duplicate_key']);
        expect(body.errors).toMatchObject([{ in: 'body', pointer: '/name', code: 'duplicate' }]);
        expect(JSON.stringify(body).toLowerCase()).not.toContain('fiction');
      }
      expect((await modelOf(Tag).distinct('name')).sort()).toEqual(['Science Fiction', 'other']);
    },
  );

  test('names that differ in more than case are different; a tag may change the case of its own', async () => {
    const tag = await aTag({ name: 'resume' });
    expect((await api.post('/tags', { name: 'résumé' })).status).toBe(201);
    expect((await api.post('/tags', { name: 'resume ' })).status).toBe(201);
    expect((await api.patch(`/tags/${tag._id}`, { name: 'Resume' })).status).toBe(200);
  });

  test('of ten clients that create the same tag at once, one succeeds', async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) => api.post('/tags', { name: i % 2 ? 'Race' : 'race' })),
    );
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(9);
    expect(await modelOf(Tag).countDocuments()).toBe(1);
  });

  test.each<[string, object, string, string]>([
    ['a blank name', { name: '  ' }, '/name', 'blank'],
    ['an empty name', { name: '' }, '/name', 'too_short'],
    ['a name of 61 characters', { name: '🏷'.repeat(61) }, '/name', 'too_long'],
    ['a name that is null', { name: null }, '/name', 'invalid_type'],
    ['a name that is an operator', { name: { $gt: '' } }, '/name', 'invalid_type'],
    ['a name that is an array', { name: ['a'] }, '/name', 'invalid_type'],
    ['a NUL in the description', { description: '\0' }, '/description', 'invalid_text'],
    ['a description of 1,001 characters', { description: 'a'.repeat(1001) }, '/description', 'too_long'],
    ['a description that is a number', { description: 1 }, '/description', 'invalid_type'],
  ])('%s is refused by POST, PUT and PATCH', async (_, fault, pointer, code) => {
    const tag = await aTag();
    for (const { status, body } of [
      await api.post('/tags', { ...fiction, ...fault }),
      await api.put(`/tags/${tag._id}`, { ...fiction, ...fault }),
      await api.patch(`/tags/${tag._id}`, fault),
    ]) {
      expect([status, body.code]).toEqual([422, 'validation_failed']);
      expect(body.errors).toEqual([{ in: 'body', pointer, code, message: expect.any(String) }]);
    }
    expect(await modelOf(Tag).distinct('name')).toEqual([tag.name]);
  });

  test('tags are sorted and filtered whatever their case', async () => {
    for (const name of ['banana', 'Cherry', 'apple', 'Date', 'Éclair', 'fig']) await aTag({ name });
    const names = async (query: string) =>
      (await api.get(`/tags?${query}`)).body.items.map((tag: { name: string }) => tag.name);
    const sorted = ['apple', 'banana', 'Cherry', 'Date', 'Éclair', 'fig'];
    expect(await names('sort=name')).toEqual(sorted);
    expect(await names('sort=-name')).toEqual(sorted.toReversed());
    expect(await names('name=CHERRY')).toEqual(['Cherry']);
    expect(await names('name=eclair')).toEqual([]);
  });

  test('a page of tags goes on after its cursor whatever their case', async () => {
    for (const name of ['b', 'A', 'D', 'c']) await aTag({ name });
    const { body: first } = await api.get('/tags?sort=name&limit=2');
    const { body: second } = await api.get(`/tags?sort=name&limit=2&after=${first.page.next}`);
    expect([...first.items, ...second.items].map((tag) => tag.name)).toEqual(['A', 'b', 'c', 'D']);
    expect(second.page.next).toBeNull();
  });
});
