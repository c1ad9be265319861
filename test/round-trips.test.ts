import { randomUUID } from 'node:crypto';
import { Types } from 'mongoose';
import { verifyToken } from '../src/auth/tokens.ts';
import { aCaller } from './support/callers.ts';
import { type Command, commandsOf } from './support/commands.ts';
import { type Answer, useApi } from './support/harness.ts';
import { dial } from './support/socket.ts';
import { aBook, aPost, aTag } from './sample/factories.ts';
import { aUser } from './support/factories.ts';
import { modelOf } from '../src/schema/model.ts';
import { confirmAgain } from '../src/resources/sessions/authenticate.ts';
import { Session } from '../src/resources/sessions/session.ts';
import { resources } from '../src/resources/api.ts';

const api = useApi({}, { monitorCommands: true });

let count = 0;
const newTag = () => ({ name: `name ${++count}` });
const newBook = { title: 'Dune', authors: ['Frank Herbert'] };
const newPost = { title: 'Title', body: 'Body' };
const nobody = '0123456789abcdef01234567';

describe('the round trips of', () => {
  /** Who is calling; the commit. What stands between them is what the request does. */
  const [who, commit] = ['aggregate', 'commitTransaction'];
  const lookUp = 'aggregate';
  const write = 'bulkWrite';

  test.each<[string, () => Promise<() => Promise<Answer>>, number, string[]]>([
    ['a create', async () => () => api.post('/tags', newTag()), 201, [who, write, commit]],
    [
      'a create with references to several resources',
      async () => {
        const [author, book, tag] = [await aUser(), await aBook(), await aTag()];
        return () =>
          api.post('/posts', { ...newPost, author: author._id, books: [book._id], tags: [tag._id] });
      },
      201,
      [who, lookUp, write, commit],
    ],
    [
      'a create with an Idempotency-Key',
      async () => () => api.post('/tags', newTag(), { headers: { 'Idempotency-Key': randomUUID() } }),
      201,
      [who, 'find', write, commit],
    ],
    [
      'a create that is only tried',
      async () => () => api.post('/tags?dryRun=true', newTag()),
      201,
      [who, write, 'abortTransaction'],
    ],
    [
      'a change of a field',
      async () => {
        const { _id } = await aBook();
        return () => api.patch(`/books/${_id}`, { year: ++count });
      },
      200,
      [who, 'find', write, commit],
    ],
    [
      'a change of nothing',
      async () => {
        const { _id } = await aBook({ year: 5 });
        return () => api.patch(`/books/${_id}`, { year: 5 });
      },
      200,
      [who, 'find', commit],
    ],
    [
      'a change of references',
      async () => {
        const { _id } = await aBook();
        return async () => api.patch(`/books/${_id}`, { tags: [(await aTag())._id] });
      },
      200,
      ['insert', who, lookUp, write, commit],
    ],
    [
      'a JSON Patch that adds a reference',
      async () => {
        const { _id } = await aBook({ tags: [] });
        const headers = { 'content-type': 'application/json-patch+json' };
        return async () =>
          api.patch(`/books/${_id}`, [{ op: 'add', path: '/tags/-', value: (await aTag())._id }], {
            headers,
          });
      },
      200,
      ['insert', who, 'find', lookUp, write, commit],
    ],
    [
      'a replacement with If-Match',
      async () => {
        const path = `/books/${(await aBook())._id}`;
        let etag = (await api.get(path)).headers.get('etag') as string;
        return async () => {
          const answer = await api.put(
            path,
            { ...newBook, year: ++count },
            { headers: { 'If-Match': etag } },
          );
          etag = answer.headers.get('etag') as string;
          return answer;
        };
      },
      200,
      [who, 'find', 'find', write, commit],
    ],
    [
      'an entry that is put into a list',
      async () => {
        const { _id } = await aPost();
        return async () => api.put(`/posts/${_id}/tags/${(await aTag())._id}`);
      },
      204,
      ['insert', who, 'findAndModify', lookUp, write, commit],
    ],
    [
      'a removal of what nothing can refer to',
      async () => async () => api.delete(`/posts/${(await aPost())._id}`),
      204,
      ['insert', 'insert', who, 'find', write, commit],
    ],
    [
      'a removal of what others may refer to',
      async () => async () => api.delete(`/books/${(await aBook())._id}`),
      204,
      ['insert', who, lookUp, 'find', write, commit],
    ],
    [
      'a batch of creates',
      async () => () =>
        api.post('/batch', {
          operations: Array.from({ length: 10 }, () => ({
            method: 'create',
            resource: 'tags',
            body: newTag(),
          })),
        }),
      200,
      [who, write, commit],
    ],
  ])('%s', async (_, prepare, status, expected) => {
    const send = await prepare();
    // On a busy machine a request may be so slow that its caller is looked up once more, or that it is run again.
    const runs: string[][] = [];
    for (let run = 0; run < 5 && runs.at(-1)?.length !== expected.length; run++) {
      let answer: Answer | undefined;
      const commands = await commandsOf(async () => (answer = await send()));
      expect(answer?.status).toBe(status);
      const isAgain = ({ collection }: Command, i: number) =>
        collection === Session.collection && commands.findIndex((one) => one.collection === collection) < i;
      runs.push(commands.filter((command, i) => !isAgain(command, i)).map(({ name }) => name));
    }
    expect(runs.at(-1)).toEqual(expected);
  });
});

test('a write looks its caller up again only if more than 50 ms have passed', async () => {
  const { id, token } = await aCaller('editor');
  const { session } = (await verifyToken(token)) as { session: string };
  const who = { kind: 'user' as const, id, role: 'editor' as const, session: new Types.ObjectId(session) };
  const lookUpsAfter = async (time: number) =>
    (await commandsOf(() => confirmAgain({ ...who, asOf: performance.now() - time }))).length;
  expect(await lookUpsAfter(0)).toBe(0);
  expect(await lookUpsAfter(51)).toBe(1);
  await modelOf(Session).deleteMany({ user: id });
  await expect(confirmAgain({ ...who, asOf: performance.now() - 51 })).rejects.toMatchObject({ status: 401 });
});

test('what the same caller asks for in one turn is read once, and never of what was read before', async () => {
  const [member, admin] = [await aCaller('member'), await aCaller('admin')];
  await aTag();
  /** The answers to requests that arrive together, and how many times the list was read for them. */
  const ask = async (requests: [path: string, as?: string][]) => {
    const socket = await dial(api.url());
    const bodies: string[] = [];
    const commands = await commandsOf(async () => {
      socket.send(
        requests
          .map(
            ([path, as]) =>
              `GET ${path} HTTP/1.1\r\nHost: a\r\n${as ? `Authorization: Bearer ${as}\r\n` : ''}\r\n`,
          )
          .join(''),
      );
      while (bodies.length < requests.length) bodies.push((await socket.answer())?.body ?? '');
    });
    socket.hangUp();
    return { bodies, reads: commands.filter(({ name }) => name === 'find').length };
  };
  const same = await ask([['/tags'], ['/tags'], ['/tags']]);
  expect(same.reads).toBe(1);
  expect(new Set(same.bodies).size).toBe(1);
  // Another caller may see something else, and another path is another question.
  expect(
    (
      await ask([
        ['/tags', member.token],
        ['/tags', admin.token],
      ])
    ).reads,
  ).toBe(2);
  expect((await ask([['/tags'], ['/tags?limit=5']])).reads).toBe(2);
  const { name } = await aTag();
  const later = await ask([['/tags']]);
  expect([later.reads, later.bodies[0]?.includes(name)]).toEqual([1, true]);
});

const WRITES = ['insert', 'update', 'delete', 'findAndModify', 'bulkWrite', 'commitTransaction'];

test('what is refused for its input or its caller sends no write at all', async () => {
  const [member, book, tag] = [await aCaller('member'), await aBook(), await aTag()];
  const etag = { 'If-Match': '"another"' };
  const refused: [number, () => Promise<Answer>][] = [
    [401, () => api.post('/tags', newTag(), { as: '' })],
    [403, () => api.post('/tags', newTag(), { as: member.token })],
    [422, () => api.post('/tags', { name: 5 })],
    [422, () => api.post('/books', { ...newBook, tags: [tag._id, nobody] })],
    [422, () => api.post('/batch', { operations: [{ method: 'create', resource: 'tags', body: {} }] })],
    [404, () => api.patch(`/books/${nobody}`, { year: 1 })],
    [422, () => api.patch(`/books/${book._id}`, { tags: [nobody] })],
    [412, () => api.patch(`/books/${book._id}`, { year: 1 }, { headers: etag })],
    [404, () => api.delete(`/books/${nobody}`)],
    [412, () => api.delete(`/books/${book._id}`, { headers: etag })],
  ];
  for (const [status, send] of refused) {
    let answer: Answer | undefined;
    const commands = await commandsOf(async () => (answer = await send()));
    expect([answer?.status, commands.filter(({ name }) => WRITES.includes(name))]).toEqual([status, []]);
  }
});

test('what the database refuses is never committed', async () => {
  const [tag, other] = [await aTag(), await aTag()];
  const { _id: book } = await aBook();
  const everything = () =>
    Promise.all(resources.map((resource) => modelOf(resource).find().sort({ _id: 1 }).lean()));
  const author = new Types.ObjectId();
  await aPost({ books: [book] });
  const before = await everything();
  const refused: [number, () => Promise<Answer>][] = [
    [409, () => api.post('/tags', { name: tag.name })],
    [409, () => api.patch(`/tags/${other._id}`, { name: tag.name })],
    [409, () => api.delete(`/books/${book}`)],
    [422, () => api.post('/posts', { ...newPost, author })],
    [
      422,
      () =>
        api.post('/batch', {
          operations: [
            { method: 'create', resource: 'tags', body: newTag() },
            { method: 'create', resource: 'tags', body: { name: tag.name } },
            { method: 'update', resource: 'tags', id: other._id, body: newTag() },
          ],
        }),
    ],
  ];
  for (const [status, send] of refused) {
    let answer: Answer | undefined;
    const commands = await commandsOf(async () => (answer = await send()));
    expect([answer?.status, commands.map(({ name }) => name)]).toEqual([
      status,
      expect.not.arrayContaining(['commitTransaction']),
    ]);
  }
  expect(await everything()).toEqual(before);
});
