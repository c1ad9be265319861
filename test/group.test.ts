import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Types } from 'mongoose';
import { AuditEntry } from '../src/http/audit.ts';
import { collect } from '../src/mongo/collected.ts';
import { together } from '../src/mongo/group/queue.ts';
import { lookUp } from '../src/mongo/look-up.ts';
import { modelOf } from '../src/schema/model.ts';
import { aCaller } from './support/callers.ts';
import { commandsOf } from './support/commands.ts';
import { type Answer, useApi } from './support/harness.ts';
import { Book } from './sample/books/book.ts';
import { aBook, aTag } from './sample/factories.ts';
import { Post } from './sample/posts/post.ts';
import { Tag } from './sample/tags/tag.ts';

const api = useApi({}, { monitorCommands: true });

const atOnce = <T>(count: number, send: (i: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, i) => send(i)));
const statuses = (answers: Answer[]) => answers.map(({ status }) => status);

test('creates that arrive at once share transactions, and each has its own entry in the audit trail', async () => {
  const { _id: tag } = await aTag();
  const book = (i: number) => ({ title: `Book ${i}`, authors: ['A'], tags: [tag] });
  let answers: Answer[] = [];
  const commands = await commandsOf(
    async () => (answers = await atOnce(60, (i) => api.post('/books', book(i)))),
  );
  expect(statuses(answers)).toEqual(Array(60).fill(201));
  // One for each would be 60. How many there are depends on how the requests arrive.
  expect(commands.filter(({ name }) => name === 'commitTransaction').length).toBeLessThan(55);
  expect(new Set(answers.map(({ body }) => body.id)).size).toBe(60);
  for (const [i, { body }] of answers.entries()) {
    expect(await modelOf(Book).findById(body.id).lean()).toMatchObject({ title: `Book ${i}` });
    expect(await modelOf(AuditEntry).countDocuments({ documents: body.id, changed: 1 })).toBe(1);
  }
});

test('one that is refused gets its own answer, and harms none of the others', async () => {
  const [taken, { _id: tag }] = [await aTag(), await aTag()];
  const nobody = '0123456789abcdef01234567';
  const kinds: [number, string, object][] = [
    [201, '/tags', {}],
    [409, '/tags', { name: taken.name }],
    [422, '/tags', { name: 5 }],
    [201, '/books', { title: 'T', authors: ['A'], tags: [tag] }],
    [422, '/books', { title: 'T', authors: ['A'], tags: [tag, nobody] }],
    [409, '/books', { title: 'T', authors: ['A'], isbn: '9780441172719' }],
  ];
  await aBook({ isbn: '9780441172719' });
  const answers = await atOnce(60, (i) => {
    const [, path, body] = kinds[i % kinds.length] as (typeof kinds)[number];
    return api.post(path, path === '/tags' ? { name: `name ${i}`, ...body } : body);
  });
  expect(statuses(answers)).toEqual(answers.map((_, i) => kinds[i % kinds.length]?.[0]));
  expect(answers[4]?.body.errors).toMatchObject([{ pointer: '/tags/1', code: 'reference_not_found' }]);
  expect(answers[1]?.body.errors).toMatchObject([{ pointer: '/name', code: 'duplicate' }]);
  expect(await modelOf(Tag).countDocuments()).toBe(2 + 10);
  expect(await modelOf(Book).countDocuments()).toBe(1 + 10);
});

test('of those that want the same value one succeeds', async () => {
  const answers = await atOnce(40, (i) => api.post('/tags', { name: `name ${i % 4}` }));
  expect(statuses(answers).filter((status) => status === 201)).toHaveLength(4);
  expect(statuses(answers).filter((status) => status === 409)).toHaveLength(36);
});

test('each acts on behalf of its own caller', async () => {
  const callers = [await aCaller('member'), await aCaller('member'), await aCaller('editor')];
  const post = (author: unknown) => ({ title: 'T', body: 'B', author });
  const answers = await atOnce(30, (i) => {
    const [own, other] = [callers[i % 3], callers[(i + 1) % 3]];
    return api.post('/posts', post(i < 15 ? own?.id : other?.id), { as: own?.token as string });
  });
  for (const [i, { status, body }] of answers.entries()) {
    const isAllowed = i < 15 || i % 3 === 2;
    expect([i, status]).toEqual([i, isAllowed ? 201 : 403]);
    if (!isAllowed) continue;
    const entry = await modelOf(AuditEntry).findOne({ documents: body.id }).lean();
    expect(String(entry?.actor)).toBe(String(callers[i % 3]?.id));
  }
  expect(await modelOf(Post).countDocuments()).toBe(answers.filter(({ status }) => status === 201).length);
});

test('those with one Idempotency-Key are one, and others beside them are not held up', async () => {
  const headers = { 'Idempotency-Key': randomUUID() };
  const answers = await atOnce(40, (i) =>
    i % 2 ? api.post('/tags', { name: `name ${i}` }) : api.post('/tags', { name: 'once' }, { headers }),
  );
  expect(statuses(answers)).toEqual(Array(40).fill(201));
  const same = answers.filter((_, i) => i % 2 === 0);
  expect(new Set(same.map(({ body }) => body.id)).size).toBe(1);
  expect(same.filter((one) => one.headers.get('idempotency-replayed') === null)).toHaveLength(1);
  expect(await modelOf(Tag).countDocuments()).toBe(21);
});

test('what reads or writes by itself gets a transaction of its own', async () => {
  const kind = {};
  const work = async () => {
    await modelOf(Tag).create({ name: `tag ${Math.random()}`, description: null });
    return modelOf(Tag).countDocuments();
  };
  expect(await atOnce(5, () => together(kind, work, {}))).toEqual(Array(5).fill(expect.any(Number)));
  expect(await modelOf(Tag).countDocuments()).toBe(5);
});

test('what members read is read together, and each gets what it has asked for', async () => {
  const tags = await Promise.all(Array.from({ length: 6 }, () => aTag()));
  const kind = {};
  let found: unknown[] = [];
  const commands = await commandsOf(async () => {
    found = await atOnce(6, (i) =>
      together(
        kind,
        async () => {
          const asked = [tags[i], tags[(i + 1) % 6]].map((tag) => tag?._id);
          const [documents = []] = await lookUp([{ collection: Tag.collection, ids: asked }]);
          return documents.map(({ name }) => name as string);
        },
        {},
      ),
    );
  });
  expect(found).toEqual(tags.map((tag, i) => [tag.name, tags[(i + 1) % 6]?.name]));
  expect(commands.map(({ name }) => name)).toEqual(['find', 'commitTransaction']);
});

test('one whose time is nearly over does not take it from the others', async () => {
  const kind = {};
  // The second takes longer than the first has, with the grace.
  const members = [
    { left: 200, takes: 0 },
    { left: 8_000, takes: 1_500 },
  ];
  const outcomes = await Promise.allSettled(
    members.map(({ left, takes }) => {
      const work = async () => {
        await sleep(takes);
        await lookUp([{ collection: Tag.collection, ids: [new Types.ObjectId()] }]);
        return 'done';
      };
      return together(kind, work, { deadline: performance.now() + left });
    }),
  );
  expect(outcomes).toEqual(Array(2).fill({ status: 'fulfilled', value: 'done' }));
});

test('more than a thousand that wait are refused at once, and come to no harm', async () => {
  const kind = {};
  const outcomes = await Promise.allSettled(
    Array.from({ length: 1_100 }, (_, i) => together(kind, async () => i, {})),
  );
  const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
  expect(refused).toHaveLength(100);
  for (const problem of refused)
    expect(problem).toMatchObject({ code: 'write_conflict', status: 503, headers: { 'Retry-After': '1' } });
  expect(await together(kind, async () => 'again', {})).toBe('again');
});

test('each gets the error of its own work, or of its own writes', async () => {
  const kind = {};
  const work = async (i: number) => {
    const insert = { _id: `name ${i}`, name: `name ${i}` };
    collect({ collection: Tag.collection, statement: { insert } });
    if (i === 3) throw new Error('bug');
    return i;
  };
  const outcomes = await Promise.allSettled(
    Array.from({ length: 5 }, (_, i) => together(kind, () => work(i), {})),
  );
  // The validator takes no such id: each is refused by itself.
  expect(outcomes.map(({ status }) => status)).toEqual(Array(5).fill('rejected'));
  expect(await modelOf(Tag).collection.countDocuments()).toBe(0);
});
