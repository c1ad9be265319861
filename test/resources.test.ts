import { DEMO_PASSWORD } from '../src/auth/passwords.ts';
import mongoose from 'mongoose';
import { Book } from './sample/books/book.ts';
import { User } from '../src/resources/users/user.ts';
import { CREDENTIALS, aCaller, admin, users } from './support/callers.ts';
import { liftRules, storeAnyhow } from './support/database.ts';
import { aBook, aPost, aUser, validBook } from './sample/factories.ts';
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
  /** What only the database has, and what must never stand in an answer. */
  const secret = { email: 'secret@example.org', passwordHash: 'scrypt$secret', role: 'admin' as const };

  test('a created user is stored with the e-mail as it was sent, as a member without a password', async () => {
    const created = await api.post('/users', ann);
    expect(created.status).toBe(201);
    const { id, createdAt } = created.body;
    expect(created.headers.get('location')).toBe(`/users/${id}`);
    const states = { role: 'member', verifiedAt: null, lockedAt: null };
    expect(created.body).toEqual({ id, ...ann, ...states, createdAt, updatedAt: createdAt });
    expect((await api.get(`/users/${id}`)).body).toEqual(created.body);
    expect(await stored(id)).toMatchObject({ ...ann, role: 'member', passwordHash: null });
  });

  test('PUT replaces what a client may write and nothing else: address, role and password stay', async () => {
    const user = await aUser({ ...secret, bio: 'Old' });
    const refused = await api.put(`/users/${user._id}`, { name: 'New', email: 'new@example.org' });
    expect([refused.status, refused.body.errors]).toMatchObject([
      403,
      [{ pointer: '/email', code: 'not_writable' }],
    ]);
    const { status, body } = await api.put(`/users/${user._id}`, { name: 'New', email: user.email });
    expect(status).toBe(200);
    expect(body).toMatchObject({ name: 'New', bio: null, role: 'admin' });
    expect(await stored(user._id)).toMatchObject({
      name: 'New',
      email: secret.email,
      bio: null,
      role: 'admin',
      passwordHash: secret.passwordHash,
    });
  });

  test('PATCH changes what it names, but no e-mail; DELETE removes', async () => {
    const user = await aUser({ ...secret, bio: 'Old' });
    const path = `/users/${user._id}`;
    const refused = await api.patch(path, { email: 'new@example.org' });
    expect([refused.status, refused.body.errors]).toMatchObject([
      403,
      [{ pointer: '/email', code: 'not_writable' }],
    ]);
    const { status, body } = await api.patch(path, { bio: null });
    expect([status, body.name, body.bio]).toEqual([200, user.name, null]);
    expect(await stored(user._id)).toMatchObject({
      email: secret.email,
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
    ['stream', (_id, _post, as) => api.get('/users/export', as)],
    ['stream as CSV', (_id, _post, as) => api.get('/users/export?format=csv', as)],
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
    // 403: not even an admin writes an e-mail.
    expect([200, 201, 403, 409, 422]).toContain(answer.status);
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

  test.each<[string, unknown, number, string]>([
    ['role', 'editor', 403, 'not_writable'],
    ['passwordHash', 'x', 422, 'unknown_field'],
  ])('a client cannot write %s, by whatever way', async (field, value, status, code) => {
    const user = await aUser(secret);
    // Its own address can be sent back; another one would be a fault, too.
    const other = { name: 'Ben', email: secret.email };
    const operation = (rest: object) => api.post('/batch', { operations: [{ resource: 'users', ...rest }] });
    const [path, id, body] = [`/users/${user._id}`, String(user._id), { ...other, [field]: value }];
    for (const answer of [
      await api.post('/users', body),
      await api.put(path, body),
      await api.patch(path, { [field]: value }),
      await operation({ method: 'create', body }),
      await operation({ method: 'replace', id, body }),
      await operation({ method: 'update', id, body: { [field]: value } }),
    ]) {
      const problem = answer.body.problem ?? answer.body;
      expect(problem).toMatchObject({ status, errors: [{ in: 'body', code }] });
      expect(problem.errors[0].pointer).toMatch(new RegExp(`/${field}$`));
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
        await api.put(`/users/${other._id}/email`, { email, currentPassword: DEMO_PASSWORD }),
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

  test('users are listed by name whatever its case, and by role for admins', async () => {
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
    expect(await names('sort=-name')).toEqual(['Cid', 'bea', 'Abe']);
    expect(await names('name=BEA')).toEqual(['bea']);
    expect(await names('role=editor&sort=name')).toEqual(['Abe', 'Cid']);
    expect((await api.get('/users?role=god')).status).toBe(422);
  });
});
