import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { Types } from 'mongoose';
import { pino } from 'pino';
import type { Commit } from '../src/edges/changes/commits.ts';
import { compile } from '../src/edges/changes/evaluate.ts';
import { createTail } from '../src/edges/changes/tail.ts';
import { OPERATORS } from '../src/http/operators.ts';
import { drain } from '../src/http/server.ts';
import type { Path } from '../src/schema/paths.ts';
import { streams } from '../src/measures.ts';
import { database } from '../src/mongo/connect.ts';
import { differences } from '../src/mongo/differences.ts';
import { readLayout } from '../src/mongo/layout.ts';
import { DEMO_PASSWORD } from '../src/auth/passwords.ts';
import { GUARDS } from '../src/mongo/guards.ts';
import { keepImages } from '../src/mongo/migrate/structure.ts';
import { transaction } from '../src/mongo/transaction.ts';
import { Book } from './sample/books/book.ts';
import { Post } from './sample/posts/post.ts';
import { User } from '../src/resources/users/user.ts';
import { Session } from '../src/resources/sessions/session.ts';
import { collections } from '../src/resources/api.ts';
import { databaseOf } from '../src/schema/layout.ts';
import { modelOf } from '../src/schema/model.ts';
import { aCaller, CREDENTIALS, tokenOf } from './support/callers.ts';
import { liftRules } from './support/database.ts';
import { aBook, aPost, aTag, validBook } from './sample/factories.ts';
import { aUser } from './sample/factories.ts';
import { follow, openSocket } from './support/feeds.ts';
import { serve, useApi } from './support/harness.ts';
import { dial, exchange, UPGRADE } from './support/socket.ts';

/** The feed of changes. */

const api = useApi();
const open: { close(): void }[] = [];
afterEach(() => {
  for (const feed of open.splice(0)) feed.close();
});

async function feed(path: string, options?: Parameters<typeof follow>[1]) {
  const opened = await follow(api.url() + path, options);
  open.push(opened);
  return opened;
}

async function socket(path: string, options?: { headers: Record<string, string> }) {
  const opened = await openSocket(api.url() + path, options);
  open.push(opened);
  return opened;
}

describe('an event stream', () => {
  test('tells what is created, updated and removed, as lists show it', async () => {
    const books = await feed('/books/changes');
    const { body } = await api.post('/books', validBook);
    await api.patch(`/books/${body.id}`, { year: 1970 });
    await api.delete(`/books/${body.id}`);
    const [created, updated, removed] = await books.events(3);
    expect(created).toMatchObject({
      operation: 'created',
      resource: 'books',
      documentId: body.id,
      document: body,
    });
    expect(updated).toMatchObject({
      operation: 'updated',
      changed: ['year', 'updatedAt'],
      document: { year: 1970 },
    });
    expect(removed).toEqual({
      id: expect.any(String),
      resource: 'books',
      operation: 'removed',
      documentId: body.id,
      at: expect.any(String),
      transaction: expect.any(Number),
    });
  });

  test('goes on after Last-Event-ID, without a gap or a double', async () => {
    const first = await feed('/books/changes');
    await aBook({ title: 'one' });
    const [one] = await first.events(1);
    first.close();
    await aBook({ title: 'two' });
    await aBook({ title: 'three' });
    const second = await feed('/books/changes', { lastEventId: one.id });
    await aBook({ title: 'four' });
    const rest = await second.events(3);
    expect(rest.map(({ document }) => document.title)).toEqual(['two', 'three', 'four']);
  });
});

describe('commits', () => {
  test('a transaction is told at once, each document once, with what it came to be', async () => {
    const [book, other] = [await aBook({ title: 'one' }), await aBook({ title: 'other' })];
    const books = await feed('/books/changes');
    const session = database().client.startSession();
    const collection = database().collection('books');
    await session.withTransaction(async () => {
      await collection.updateOne({ _id: book._id }, { $set: { title: 'two' } }, { session });
      await collection.updateOne({ _id: other._id }, { $set: { title: 'changed' } }, { session });
      await collection.updateOne({ _id: book._id }, { $set: { title: 'three' } }, { session });
      const passing = {
        ...validBook,
        _id: new Types.ObjectId(),
        createdAt: new Date(),
        updatedAt: new Date(),
      };
      await collection.insertOne(passing, { session });
      await collection.deleteOne({ _id: passing._id }, { session });
    });
    await session.endSession();
    await collection.updateOne({ _id: book._id }, { $set: { title: 'four' } });
    const [first, second, third] = await books.events(3);
    expect([first, second, third].map(({ document, changed }) => [document.title, changed])).toEqual([
      ['three', ['title']],
      ['changed', ['title']],
      ['four', ['title']],
    ]);
    expect(second.transaction).toBe(first.transaction);
    expect(third.transaction).toBeGreaterThan(first.transaction);

    const rest = await feed('/books/changes', { lastEventId: first.id });
    expect((await rest.events(2)).map(({ id }) => id)).toEqual([second.id, third.id]);
  });

  test('thousands of changes in one transaction, more than a batch of MongoDB', async () => {
    const now = new Date();
    const stored = { ...validBook, isbn: null, createdAt: now, updatedAt: now };
    await database()
      .collection('books')
      .insertMany(Array.from({ length: 2_500 }, (_, i) => ({ ...stored, title: `Book ${i}` })));
    const books = await feed('/books/changes?fields=year');
    await transaction(async () => {
      await modelOf(Book).updateMany({}, { $set: { year: 1999 } });
    });
    const told = await books.events(2_500);
    expect(new Set(told.map(({ transaction }) => transaction)).size).toBe(1);
    expect(new Set(told.map(({ documentId }) => documentId)).size).toBe(2_500);
    expect(Object.keys(told[0].document)).toEqual(['id', 'year']);
  });

  test('a document of several megabytes, which another tool has stored', async () => {
    const { _id } = await aBook();
    await liftRules(modelOf(Book));
    try {
      const books = await feed('/books/changes?fields=title,year');
      const title = 'x'.repeat(9 * 1024 * 1024);
      let last: any;
      for (const changed of [title, `${title}y`, 'short']) {
        await database()
          .collection('books')
          .updateOne({ _id }, { $set: { title: changed } });
        [last] = await books.events(1, 20_000);
      }
      expect(last).toMatchObject({ operation: 'updated', changed: ['title'], document: { title: 'short' } });
    } finally {
      await database().command({ collMod: 'books', validationLevel: 'strict' });
    }
  });
});

describe('rights', () => {
  test('a draft comes into sight when it is published, and leaves it', async () => {
    const author = await aUser();
    const [everybody, editor] = [
      await feed('/posts/changes'),
      await feed('/posts/changes', { token: (await aCaller('editor')).token }),
    ];
    const { _id } = await aPost({ author: author._id });
    const id = String(_id);
    await api.post(`/posts/${id}/publish`);
    await modelOf(Post).updateOne({ _id }, { title: 'Changed' });
    await modelOf(Post).updateOne({ _id }, { status: 'draft' });
    await modelOf(Post).updateOne({ _id }, { title: 'Unseen' });
    await modelOf(Post).deleteOne({ _id });
    const seen = await everybody.events(3);
    expect(seen.map(({ operation, documentId }) => [operation, documentId])).toEqual([
      ['created', id],
      ['updated', id],
      ['removed', id],
    ]);
    expect(Object.keys(seen[2])).toEqual(['id', 'resource', 'operation', 'documentId', 'at', 'transaction']);
    expect((await editor.events(6)).map(({ operation }) => operation)).toEqual([
      'created',
      'updated',
      'updated',
      'updated',
      'updated',
      'removed',
    ]);
    expect(everybody.received).toEqual([]);
  });

  test('private fields are shown to whom lists show them, and their changes are told to nobody else', async () => {
    const { id, token } = await aCaller('member');
    const admin = await aCaller('admin');
    const [other, own, all] = [
      await feed('/users/changes', { token: (await aCaller('member')).token }),
      await feed('/changes', { token }),
      await feed('/users/changes', { token: admin.token }),
    ];
    const users = database().collection('users');
    await users.updateOne({ _id: id }, { $set: { email: 'new@tests.example' } });
    await users.updateOne({ _id: id }, { $set: { passwordHash: 'x' } });
    await users.updateOne({ _id: id }, { $set: { name: 'Renamed' } });
    for (const one of [own, all]) {
      const [email, name] = await one.events(2);
      expect(email).toMatchObject({ changed: ['email'], document: { email: 'new@tests.example' } });
      expect(name).toMatchObject({ changed: ['name'] });
      expect(JSON.stringify([email, name])).not.toContain('passwordHash');
    }
    const [told] = await other.events(1);
    expect(told).toMatchObject({ changed: ['name'], document: { name: 'Renamed' } });
    expect(told.document).not.toHaveProperty('email');
  });

  test('another role holds from its own place in the history on', async () => {
    const { id, token } = await aCaller('editor');
    const posts = await feed('/changes', { token });
    const author = (await aUser())._id;
    await aPost({ author, title: 'seen' });
    // A feed that has not caught up yet would begin anew.
    const before = await posts.events(2);
    await modelOf(User).updateOne({ _id: id }, { role: 'member' });
    await aPost({ author, title: 'not seen' });
    await aPost({ author, title: 'public', status: 'published' });
    const told = [...before, ...(await posts.events(3))];
    expect(
      told.map(
        ({ operation, code, document }) =>
          code ?? `${operation} ${document.title ?? document.role ?? 'other'}`,
      ),
    ).toEqual(['created other', 'created seen', 'rights_changed', 'updated member', 'created public']);
  });

  describe('of a caller who was away while they changed', () => {
    /** A feed that was left in one role and is entered again in another, with a post that was written meanwhile. */
    async function leave(path: string, from: string, to: string) {
      const { id, token } = await aCaller(from as 'editor');
      const first = await feed(path, { token });
      const author = (await aUser())._id;
      await aPost({ author, title: 'before', status: 'published' });
      await aBook({ title: 'before' });
      await first.events(1);
      first.close();
      await modelOf(User).updateOne({ _id: id }, { role: to });
      await aPost({ author, title: 'a draft' });
      await aBook({ title: 'a book' });
      return { token, author, after: first.position() };
    }

    test.each([
      ['editor', 'member'],
      ['member', 'editor'],
    ])('a reset is the first thing that is told, where one who was %s is %s', async (from, to) => {
      const { token, author, after } = await leave('/posts/changes', from, to);
      const posts = await feed('/posts/changes', { token, lastEventId: after });
      const [reset] = await posts.events(1);
      expect(reset).toMatchObject({ operation: 'reset', code: 'rights_changed', id: expect.any(String) });
      await aPost({ author, title: 'unseen by members' });
      await aPost({ author, title: 'public', status: 'published' });
      const titles = (await posts.events(to === 'editor' ? 2 : 1)).map(({ document }) => document.title);
      expect(titles).toEqual(to === 'editor' ? ['unseen by members', 'public'] : ['public']);

      const webSocket = await socket('/posts/changes');
      webSocket.send({ token, after });
      expect(await webSocket.next()).toMatchObject({ operation: 'reset', code: 'rights_changed' });
      const { status, body } = await api.get(`/posts/changes?after=${after}`, { as: token });
      expect([status, body.code]).toEqual([410, 'history_lost']);
      expect((await api.get(`/posts/changes?after=${reset.id}`, { as: token })).status).toBe(200);
    });

    test('where it sees what it saw before, nothing is reset', async () => {
      const { token, after } = await leave('/books/changes', 'editor', 'member');
      const books = await feed('/books/changes', { token, lastEventId: after });
      expect(await books.events(1)).toMatchObject([{ operation: 'created', document: { title: 'a book' } }]);
    });

    test('a position of nobody, or of another feed, is not good where more is seen', async () => {
      const { token } = await aCaller('editor');
      const { body: nobody } = await api.get('/posts/changes', { as: '' });
      const { body: tags } = await api.get('/tags/changes', { as: token });
      for (const [path, { position }] of [
        ['/posts/changes', nobody],
        ['/changes', tags],
      ]) {
        const { status, body } = await api.get(`${path}?after=${position}`, { as: token });
        expect([path, status, body.code]).toEqual([path, 410, 'history_lost']);
      }
    });
  });

  test('a logout while a feed begins ends it, too', async () => {
    const begin = async (_: unknown, delay: number) => {
      const { id, token } = await aCaller('member');
      const opened = feed('/books/changes', { token }).catch(({ status }) => expect(status).toBe(401));
      await sleep(delay);
      await modelOf(Session).deleteMany({ user: id });
      return opened;
    };
    const feeds = await Promise.all(Array.from({ length: 30 }, begin));
    for (const one of feeds) await one?.ended(3_000);
  });

  test('a key without the scope is shown what everybody is, beside a session of the same admin', async () => {
    const { token } = await aCaller('admin');
    const body = { currentPassword: DEMO_PASSWORD, name: 'narrow', scopes: ['books:read'] };
    const key: string = (await api.post('/me/keys', body, { as: token })).body.secret;
    const [full, narrow] = [await feed('/changes', { token }), await feed('/changes', { token: key })];
    // From the second event on both are told as it happens.
    await aBook();
    await Promise.all([full.events(1), narrow.events(1)]);
    await aUser({ name: 'Newcomer' });
    expect((await full.events(1))[0].document).toHaveProperty('email');
    expect((await narrow.events(1))[0].document).not.toHaveProperty('email');
  });

  test.each([
    ['a logout', (token: { session: Types.ObjectId }) => modelOf(Session).deleteOne({ _id: token.session })],
    [
      'the removal of the user',
      (token: { id: Types.ObjectId }) => modelOf(User).deleteOne({ _id: token.id }),
    ],
  ])('%s ends a feed within a second', async (_, end) => {
    const { id, token } = await aCaller('member');
    const { _id: session } = (await modelOf(Session).findOne({ user: id }).lean()) as any;
    const books = await feed('/books/changes', { token });
    const start = performance.now();
    await end({ id, session });
    const told = await books.ended();
    expect(performance.now() - start).toBeLessThan(1_000);
    expect(told.at(-1)).toMatchObject({ event: 'end', code: 'unauthenticated' });
  });

  test('a session that expires ends a feed within a second', async () => {
    const { id, token } = await aCaller('member');
    await database()
      .collection('sessions')
      .updateOne({ user: id }, { $set: { expiresAt: new Date(Date.now() + 900) } });
    const books = await feed('/books/changes', { token });
    const start = performance.now();
    await books.ended();
    expect(performance.now() - start).toBeLessThan(2_000);
  });
});

describe('filters', () => {
  test("are the list's own, also for what comes to match and no longer does", async () => {
    const book = await aBook({ year: 1950 });
    const books = await feed('/books/changes?year[gte]=1960&title[contains]=OO');
    for (const year of [1970, 1980, 1940]) await modelOf(Book).updateOne({ _id: book._id }, { year });
    await aBook({ title: 'Nothing of the kind' });
    await aBook({ title: 'Good', year: 1990 });
    expect((await books.events(4)).map(({ operation }) => operation)).toEqual([
      'created',
      'updated',
      'removed',
      'created',
    ]);
  });

  test('take an expression, which no index need lead to', async () => {
    const filter = encodeURIComponent('year < 0 or not (title contains "oo" xor language = "en")');
    const books = await feed(`/books/changes?filter=${filter}`);
    for (const [title, year, language] of [
      ['Good', 1990, 'en'],
      ['Good', 1990, 'pl'],
      ['Bad', -5, 'en'],
      ['Bad', 1990, 'pl'],
    ] as const)
      await aBook({ title, year, language });
    const told = (await books.events(3)).map(({ document: { title, year, language } }) => [
      title,
      year,
      language,
    ]);
    expect(told).toEqual([
      ['Good', 1990, 'en'],
      ['Bad', -5, 'en'],
      ['Bad', 1990, 'pl'],
    ]);
  });

  test.each([
    'q=x',
    'filter=year+=+1960+or',
    'filter=tags.name+=+"x"',
    'tags.name=x',
    'filter=posts+exists',
    'include=tags',
    'sort=year',
    'yaer=1960',
    'fields=nothing',
    'wait=100',
    'after=x&from=2026-01-01T00:00:00Z',
  ])('refuses %s', async (query) => {
    expect((await api.get(`/books/changes?${query}`)).status).toBe(422);
  });

  test('lists of values and collations mean what they mean in lists', async () => {
    const { token } = await aCaller('admin');
    const users = await feed('/users/changes?name=ÅSA&role[in]=member,editor', { token });
    await aUser({ name: 'Asa' });
    await aUser({ name: 'åsa' });
    await aUser({ name: 'Åsa', role: 'admin' });
    await aUser({ name: 'Åsa', role: 'editor' });
    expect((await users.events(2)).map(({ document }) => document.name)).toEqual(['åsa', 'Åsa']);
  });

  test('that look at what the caller does not see are refused, in a WebSocket and by a ticket, too', async () => {
    const path = '/users/changes?role[in]=admin';
    const [member, admin] = [await aCaller('member'), await aCaller('admin')];
    await expect(feed(path, { token: member.token })).rejects.toMatchObject({ status: 403 });
    const expressed = `/users/changes?filter=${encodeURIComponent('not role = admin')}`;
    await expect(feed(expressed, { token: member.token })).rejects.toMatchObject({ status: 403 });
    expect((await api.get(path, { as: member.token })).status).toBe(403);
    const headers = { authorization: `Bearer ${member.token}` };
    await expect(socket(path, { headers })).rejects.toMatchObject({ status: 403 });
    const refused = await socket(path);
    refused.send({ token: member.token });
    expect(await refused.closed()).toBe(4403);

    const { body } = await api.post('/changes/tickets', { feed: '/users/changes' }, { as: admin.token });
    expect((await api.get(`${path}&ticket=${body.ticket}`, { as: '' })).status).toBe(200);
    const open = await socket(path);
    open.send({ token: admin.token });
    expect(await open.next()).toMatchObject({ operation: 'position' });
    await modelOf(User).updateOne({ _id: admin.id }, { role: 'member' });
    expect(await open.next()).toMatchObject({ operation: 'end', code: 'forbidden' });
  });
});

describe('in JSON', () => {
  test('without a position it tells the current one, and after it what has happened', async () => {
    const { body: now } = await api.get('/changes');
    expect(now).toEqual({ items: [], position: expect.any(String) });
    const tag = await aTag();
    await aBook();
    const { body } = await api.get(`/tags/changes?after=${now.position}&wait=5`);
    expect(body.items).toMatchObject([{ operation: 'created', documentId: String(tag._id) }]);
    const { body: rest } = await api.get(`/tags/changes?after=${body.position}`);
    expect(rest.items).toEqual([]);
    const { body: all } = await api.get(`/changes?after=${now.position}&wait=5`);
    expect(all.items.map(({ resource }: any) => resource)).toEqual(expect.arrayContaining(['tags']));
  });

  test('the current position is before a change under way, even if later ones have been committed', async () => {
    const admin = database().client.db('admin');
    const failPoint = 'hangAfterCollectionInserts';
    const data = { collectionNS: `${database().databaseName}.books` };
    const { count } = await admin.command({ configureFailPoint: failPoint, mode: 'alwaysOn', data });
    let position: string;
    let writing: Promise<unknown> | undefined;
    try {
      writing = aBook({ title: 'under way' });
      await admin.command({ waitForFailPoint: failPoint, timesEntered: count + 1, maxTimeMS: 10_000 });
      await database()
        .collection(GUARDS)
        .insertOne({ n: 1 }, { writeConcern: { w: 1 } });
      ({ position } = (await api.get('/books/changes')).body);
    } finally {
      await admin.command({ configureFailPoint: failPoint, mode: 'off' });
    }
    await writing;
    const { body } = await api.get(`/books/changes?after=${position}&wait=10`);
    expect(body.items).toMatchObject([{ operation: 'created', document: { title: 'under way' } }]);
  });

  test('wait waits for the first', async () => {
    const { body: now } = await api.get('/books/changes');
    const start = performance.now();
    const asked = api.get(`/books/changes?after=${now.position}&wait=10`);
    await sleep(300);
    await aBook({ title: 'late' });
    expect((await asked).body.items).toMatchObject([{ document: { title: 'late' } }]);
    expect(performance.now() - start).toBeLessThan(5_000);
  });

  test('from= goes back in the history, beyond what this process has seen', async () => {
    const before = new Date(Date.now() - 1_000).toISOString();
    await aBook({ title: 'early' });
    const { body } = await api.get(`/books/changes?from=${before}&wait=5`);
    expect(body.items.at(-1)).toMatchObject({ document: { title: 'early' } });
  });

  test.each(['nonsense', '2f4xq0zq4g00-3fa2b1', '2f4xq0zq4g00-3fa2b1-51c09e-9c01d2e3f4a5'])(
    'a position that is not ours (%s) is history_lost',
    async (after) => {
      const { status, body } = await api.get(`/books/changes?after=${after}`);
      expect([status, body.code]).toEqual([410, 'history_lost']);
    },
  );

  test('a position that was made up of ours is history_lost, in a stream a reset', async () => {
    const { body: now } = await api.get('/books/changes');
    await aBook();
    const [time, mark, rights] = now.position.split('-');
    const later = (Number.parseInt(time, 36) + 2 ** 40).toString(36);
    for (const after of [`${time}-${mark}-${rights}-000000000000`, `${later}-${mark}-${rights}`]) {
      expect((await api.get(`/books/changes?after=${after}&wait=30`)).status).toBe(410);
      const stream = await feed('/books/changes', { lastEventId: after });
      const [reset] = await stream.events(1);
      expect(reset).toMatchObject({ operation: 'reset', code: 'history_lost' });
      await aBook({ title: 'after it' });
      expect((await stream.events(1))[0]).toMatchObject({ document: { title: 'after it' } });
    }
  });
});

describe('a WebSocket', () => {
  test('tells the same as messages; a client without a header says in its first message who it is', async () => {
    const { token } = await aCaller('editor');
    const [first, second] = [
      await socket('/posts/changes', { headers: { authorization: `Bearer ${token}` } }),
      await socket('/posts/changes'),
    ];
    second.send({ token });
    for (const one of [first, second])
      expect(await one.next()).toEqual({ id: expect.any(String), operation: 'position' });
    const { _id } = await aPost();
    const told = await first.next();
    expect(told).toMatchObject({
      operation: 'created',
      documentId: String(_id),
      document: { status: 'draft' },
    });
    expect(await second.next()).toEqual(told);

    const third = await socket('/posts/changes');
    third.send({ token, after: told.id });
    await third.next();
    await aPost({ title: 'later' });
    expect(await third.next()).toMatchObject({ document: { title: 'later' } });
  });

  test('a newer token takes the place of the old one', async () => {
    const { id, token } = await aCaller('member');
    const books = await socket('/books/changes');
    books.send({ token });
    await books.next();
    /** The next message that is more than a sign of life. */
    const nextEvent = async (): Promise<any> => {
      const message: any = await books.next();
      return message.operation === 'position' ? nextEvent() : message;
    };
    await sleep(1_000);
    books.send({ token: await tokenOf(id) });
    await sleep(200);
    await modelOf(Session).deleteOne({ user: id });
    await aBook({ title: 'goes on' });
    expect(await nextEvent()).toMatchObject({ document: { title: 'goes on' } });
    await modelOf(Session).deleteMany({ user: id });
    expect(await nextEvent()).toMatchObject({ operation: 'end', code: 'unauthenticated' });
    expect(await books.closed()).toBe(4401);
  });

  test.each([
    ['a token that is not valid', { token: 'nonsense' }, 4401],
    ['what is no message', { tokn: 'x' }, 4400],
  ])('%s closes it', async (_, message, code) => {
    const books = await socket('/books/changes');
    books.send(message);
    expect(await books.closed()).toBe(code);
  });

  test('is refused with a problem document, as any other request', async () => {
    const refused = async (path: string, headers = {}) => {
      const { status, body } = await socket(path, { headers }).catch((error) => error);
      return [status, JSON.parse(body).code];
    };
    expect(await refused('/books/changes?yaer=1')).toEqual([422, 'unknown_parameter']);
    expect(await refused('/books/changes', { authorization: 'Bearer nonsense' })).toEqual([
      401,
      'unauthenticated',
    ]);
    expect(await refused('/books/changes', { origin: 'https://evil.example' })).toEqual([403, 'forbidden']);
    expect(await refused('/nothing')).toEqual([404, 'route_not_found']);
  });

  test('other upgrades are ignored: a request with a body arrives as it was sent', async () => {
    const body = JSON.stringify(validBook);
    const { status } = await exchange(
      api.url(),
      `POST /books HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nAuthorization: ${CREDENTIALS}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    expect(status).toBe(201);
  });
});

describe('tickets', () => {
  const ticketFor = async (as: string, path = '/posts/changes') =>
    (await api.post('/changes/tickets', { feed: path }, { as })).body.ticket as string;

  test('open one feed as their caller, and end with the session', async () => {
    const { id, token } = await aCaller('editor');
    const ticket = await ticketFor(token);
    const posts = await feed(`/posts/changes?ticket=${ticket}`);
    const { _id } = await aPost();
    expect((await posts.events(1))[0]).toMatchObject({
      documentId: String(_id),
      document: { status: 'draft' },
    });
    expect((await api.get(`/changes?ticket=${ticket}`, { as: '' })).status).toBe(401);
    expect((await api.get(`/posts?ticket=${ticket}`, { as: '' })).status).toBe(422);
    expect((await api.get('/me', { as: ticket })).status).toBe(401);
    await modelOf(Session).deleteMany({ user: id });
    expect((await posts.ended()).at(-1)).toMatchObject({ event: 'end' });
    expect((await api.get(`/posts/changes?ticket=${ticket}`, { as: '' })).status).toBe(401);
  });

  test('are refused when they were changed or have expired, and given to nobody who has not logged in', async () => {
    const { token } = await aCaller('member');
    const ticket = await ticketFor(token);
    const [user = '', session = '', until = '', seal = ''] = ticket.split('.');
    const longer = (Number.parseInt(until, 36) + 60).toString(36);
    const path = (ticket: string) => `/posts/changes?ticket=${ticket}`;
    expect((await api.get(path(ticket), { as: '' })).status).toBe(200);
    expect((await api.get(path([user, session, longer, seal].join('.')), { as: '' })).status).toBe(401);
    expect((await api.post('/changes/tickets', { feed: '/changes' }, { as: '' })).status).toBe(401);
    expect((await api.post('/changes/tickets', { feed: '/audit' })).status).toBe(422);
  });
});

/** Documents and conditions of the kinds that policies and filters are made of, whatever other tools have stored. */
describe('conditions', () => {
  const ids = Array.from({ length: 3 }, () => new Types.ObjectId());
  const dates = [new Date(0), new Date('2026-01-31T12:00:00Z'), new Date(-62_135_596_800_000)];
  const texts = [
    '',
    'a',
    'A',
    'ä',
    'Ä',
    'ab',
    'AB',
    'b',
    '\u{1F600}',
    '\uFFFD',
    'straße',
    'STRASSE',
    '$a',
    'ſ',
    'S',
    'ς',
    'Σ',
    'ı',
    'İ',
    '\u212A',
    'k',
    'a.b',
    'a #-\n/',
    '\\w',
  ];
  const decimals = ['0', '1.0', '-0.1', '0.1', '1E+2'].map((text) => Types.Decimal128.fromString(text));
  const numbers = [-1, 0, 1, 1.5, 2 ** 40, Number.NaN, Number.POSITIVE_INFINITY];
  const scalars = [...ids, ...dates, ...texts, ...numbers, ...decimals, true, false, null];
  let seed = 7;
  const below = (n: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((seed / 2 ** 31) * n);
  };
  const pick = <T>(from: readonly T[]): T => from[below(from.length)] as T;
  const some = <T>(make: () => T): T[] => Array.from({ length: below(4) }, make);

  const value = (depth = 0): unknown => {
    const kind = below(depth < 2 ? 10 : 7);
    if (kind < 7) return pick(scalars);
    return kind < 9 ? some(() => value(depth + 1)) : { x: value(depth + 1) };
  };
  const paths = ['a', 'b', 'c', 'c.x', 'a.x'];
  const document = () => ({
    ...(below(8) > 0 && { a: value() }),
    ...(below(8) > 0 && { b: value() }),
    ...(below(8) > 0 && {
      c: pick([() => some(() => ({ x: value(1) })), () => ({ x: value(1) }), value])(),
    }),
  });
  const operand = () => pick(scalars.filter((one) => one !== null));
  const leaf = (): object => {
    const field = pick(paths);
    return pick([
      () => ({ [field]: { [pick(['$eq', '$ne', '$gt', '$gte', '$lt', '$lte'])]: operand() } }),
      () => ({ [field]: { [pick(['$in', '$nin'])]: some(() => pick(scalars)) } }),
      () => ({ [field]: { [pick(['$eq', '$ne'])]: null } }),
      () => ({ [field]: pick(scalars) }),
      () => ({ [field]: { [pick(['$in', '$nin'])]: [null, []] } }),
      () => ({ [field]: { $all: some(operand) } }),
      () => ({
        [pick(['a', 'c'])]: { $elemMatch: { x: pick([{ $ne: null }, { $nin: [null, []] }, { $eq: 'a' }]) } },
      }),
      () =>
        contains(
          pick([
            { path: 'a', lists: ['a'] },
            { path: 'b', lists: [] },
            { path: 'c.x', lists: ['c'] },
          ]),
        ),
    ])();
  };
  const contains = (path: { path: string; lists: string[] }) =>
    OPERATORS.contains.condition(path as Path, pick(texts));
  const condition = (depth = 0): object =>
    depth < 2 && below(3) === 0
      ? { [pick(['$and', '$or', '$nor'])]: [condition(depth + 1), ...some(() => condition(depth + 1))] }
      : leaf();

  test.each([
    ['byte by byte', undefined],
    ['with a collation', { locale: 'en', strength: 2 }],
  ])('are decided as MongoDB decides them, %s', async (_, collation) => {
    const name = `conditions_${collation ? 'collated' : 'plain'}`;
    const collection = database().collection(name);
    await collection.drop();
    await database().createCollection(name, { ...(collation && { collation }) });
    const documents = Array.from({ length: 400 }, (_, n) => ({ _id: n as never, ...document() }));
    await collection.insertMany(documents);
    const stored = await collection.find().toArray();
    for (let round = 0; round < 400; round++) {
      const filter = condition();
      const wanted = await collection.find(filter, { projection: { _id: 1 } }).toArray();
      const ids = new Set(wanted.map(({ _id }) => _id));
      const holds = compile(filter, collation);
      const otherwise = stored.filter((one) => holds(one) !== ids.has(one._id));
      if (otherwise.length > 0)
        throw new Error(
          `${inspect(filter, { depth: 9 })} is decided otherwise for ${inspect(otherwise.slice(0, 3), { depth: 9 })}`,
        );
    }
    await collection.drop();
  });

  test('of any other kind are refused', () => {
    for (const filter of [
      { a: { $regex: 'x' } },
      { a: { $regex: '^x', $options: 'i' } },
      { a: { $regex: '\\w', $options: 'i' } },
      { $where: 'x' },
      { $expr: { $function: {} } },
      { a: { $size: 1 } },
    ])
      expect(() => compile(filter)).toThrow('does not support');
    expect(() => compile({}, { locale: 'en', strength: 2, caseLevel: true })).toThrow('does not support');
  });
});

describe('connections', () => {
  test('a client that does not read is cut off with a reset', async () => {
    const own = await serve({});
    const client = await dial(own.url);
    client.pause();
    client.send('GET /books/changes HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n');
    const reader = await follow(`${own.url}/books/changes`);
    open.push(reader);
    const title = 'x'.repeat(300);
    const authors = Array.from({ length: 100 }, (_, i) => `${i} ${'y'.repeat(190)}`);
    const books = Array.from({ length: 40 }, () => ({ ...validBook, isbn: null, title, authors }));
    // Less at once than what a client may leave unread: the one that reads is never cut off. Sockets hold up to 10 MB.
    for (let i = 0; i < 18; i++) {
      await modelOf(Book).insertMany(books);
      await reader.events(40);
    }
    client.resume();
    const told = await client.rest();
    expect(told).toMatch(/event: reset\ndata: {"operation":"reset","code":"too_slow"/);
    await drain(own.server);
  });

  test('a server that stops sends its clients away at once, to come back', async () => {
    const own = await serve({});
    const url = new URL('/books/changes', own.url).href;
    const [stream, webSocket] = [await follow(url), await openSocket(url)];
    webSocket.send({});
    await webSocket.next();
    const asked = fetch(`${url}?after=${stream.position()}&wait=20`);
    await sleep(300);
    const start = performance.now();
    await drain(own.server);
    expect(performance.now() - start).toBeLessThan(4_000);
    await stream.ended();
    expect(await webSocket.next()).toMatchObject({ operation: 'end', code: 'draining' });
    expect(await webSocket.closed()).toBe(1012);
    expect(await (await asked).json()).toMatchObject({ items: [] });
  });

  test('another process goes on where the first was, with what happened meanwhile', async () => {
    const [first, second] = [await serve({}), await serve({})];
    const stream = await follow(`${first.url}/books/changes`);
    await aBook({ title: 'one' });
    await stream.events(1);
    await drain(first.server);
    for (let i = 0; i < 30; i++) await aBook({ title: `away ${i}` });
    const rest = await Promise.all(
      Array.from({ length: 20 }, () =>
        follow(`${second.url}/books/changes`, { lastEventId: stream.position() }),
      ),
    );
    await aBook({ title: 'last' });
    for (const one of rest) {
      const told = (await one.events(31)).map(({ operation, document }) => `${operation} ${document?.title}`);
      expect(told).toEqual([...Array.from({ length: 30 }, (_, i) => `created away ${i}`), 'created last']);
      one.close();
    }
    await drain(second.server);
  });

  test('history that several clients have read is buffered once', () => {
    const tail = createTail(
      { shown: ['books'], noticed: [] },
      { commits: async () => {}, lost: async () => {}, moved: () => {} },
      pino({ level: 'silent' }),
    );
    const commit = (time: number, size = 100): Commit => ({
      time,
      at: new Date(),
      size,
      entries: [{ collection: 'books', id: time, key: `${time}`, before: undefined, after: {} }],
    });
    // The large one leaves the buffer, which then begins after 100.
    tail.keep([commit(100, 20 * 1024 * 1024), commit(101)]);
    const history = [commit(10), commit(20), commit(30)];
    tail.extend(history, { time: 10 }, { time: 102 });
    // A slower client comes to the same place.
    tail.extend([], { time: 100 }, { time: 102 });
    tail.extend(history, { time: 10 }, { time: 102 });
    const told = tail.since({ time: 10, key: '10' })?.map(({ time }) => time);
    expect(told).toEqual([20, 30, 101]);
  });

  test('one that has left before its feed begins keeps no seat', async () => {
    let taken = 0;
    const count = (message: unknown) => void (taken += (message as { change: number }).change);
    const own = await serve({});
    streams.subscribe(count);
    // They leave at different moments of the preparation, which takes a few milliseconds.
    for (let i = 0; i < 60; i++) {
      const client = await dial(own.url);
      const transport = i % 2 ? UPGRADE : 'Accept: text/event-stream\r\n';
      client.send(
        `GET /books/changes HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${CREDENTIALS}\r\n${transport}\r\n`,
      );
      await sleep(i / 10);
      client.hangUp();
    }
    await drain(own.server);
    await sleep(200);
    streams.unsubscribe(count);
    expect(taken).toBe(0);
  });

  test('what follows it on its connection and is no request harms nobody', async () => {
    const { body: now } = await api.get('/books/changes');
    const client = await dial(api.url());
    client.send(
      `GET /books/changes?after=${now.position}&wait=1 HTTP/1.1\r\nHost: localhost\r\n\r\n` +
        'GET /books/changes HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\nno request\r\n\r\n',
    );
    expect(await client.rest()).toMatch(/^HTTP\/1.1 200/);
    expect((await api.get('/books')).status).toBe(200);
  });

  test('a WebSocket that was refused does not keep the server from stopping', async () => {
    const own = await serve({});
    const client = connect({ port: Number(new URL(own.url).port), host: '127.0.0.1', allowHalfOpen: true });
    client.write(
      `GET /books/changes HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\n${UPGRADE}\r\n`,
    );
    const [answer] = (await once(client, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1.1 401/);
    const start = performance.now();
    await drain(own.server, { patience: 3_000 });
    expect(performance.now() - start).toBeLessThan(2_500);
    client.destroy();
  });

  test('a client that comes while the server stops is sent away, too', async () => {
    const own = await serve({});
    const position = (await follow(`${own.url}/books/changes`)).position();
    const socket = await dial(own.url);
    const head = `GET /books/changes HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nLast-Event-ID: ${position}\r\n`;
    // Its request has begun before the stop, and ends after it.
    socket.send(head);
    await sleep(50);
    const start = performance.now();
    const drained = drain(own.server);
    await sleep(50);
    socket.send('\r\n');
    expect(await socket.rest()).toMatch(/retry: \d+\n\n/);
    await drained;
    expect(performance.now() - start).toBeLessThan(4_000);
  });

  test('an account may have 50 feeds open', async () => {
    const { token } = await aCaller('member');
    const feeds = await Promise.all(Array.from({ length: 50 }, () => feed('/tags/changes', { token })));
    const refused = () =>
      feed('/tags/changes', { token }).then(
        () => 200,
        (error) => error.status,
      );
    expect(await refused()).toBe(429);
    feeds[0]?.close();
    await sleep(200);
    expect(await refused()).toBe(200);
  });
});

test('the page that shows changes loads only what is served, under a strict policy', async () => {
  const page = await fetch(`${api.url()}/docs/live`);
  expect(page.headers.get('content-security-policy')).toMatch(
    /default-src 'none'; script-src 'self'; style-src 'self'/,
  );
  const html = await page.text();
  const loaded = [...html.matchAll(/(?:href|src)="(\/docs\/assets[^"]*)"/g)].map(([, path]) => path);
  expect(loaded).toHaveLength(2);
  for (const path of loaded) expect((await fetch(api.url() + path)).status).toBe(200);
  expect(html).not.toMatch(/<script>|<style>| style=| on\w+=/);
});

test('images that are not kept are a difference, and a step keeps them', async () => {
  const layout = async () => differences(databaseOf(collections), await readLayout(database()));
  const step = keepImages('books');
  const apply = async (action: typeof step.up | typeof step.down) => {
    if (typeof action !== 'string' && action.kind === 'structure')
      await action.apply(database(), async () => {});
  };
  try {
    await apply(step.down);
    expect(await layout()).toEqual([{ what: 'images', collection: 'books', wanted: true, found: undefined }]);
  } finally {
    await apply(step.up);
  }
  expect(await layout()).toEqual([]);
});
