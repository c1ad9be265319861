import mongoose, { Types } from 'mongoose';
import { ANONYMOUS, type Caller, runAs } from '../src/auth/caller.ts';
import { User } from '../src/resources/users/user.ts';
import { etagOf } from '../src/schema/etag.ts';
import { expanded, showing } from '../src/schema/include.ts';
import { modelOf } from '../src/schema/model.ts';
import { typical } from '../src/schema/example.ts';
import type { AnyResource } from '../src/schema/resource.ts';
import { type Selection, selectionOf } from '../src/schema/selection.ts';
import { shapeOf } from '../src/schema/shape.ts';
import { writerOf } from '../src/schema/json/writer.ts';
import { Book } from './sample/books/book.ts';
import { Post } from './sample/posts/post.ts';
import { Tag } from './sample/tags/tag.ts';
import { useApi } from './support/harness.ts';
import { Guide, Trip } from './support/trips.ts';

/**
 * Answers are written from stored bytes. They are, byte for byte, what JSON.stringify() makes of Mongoose's own
 * `populate().lean()`, for documents of every kind, broken ones included.
 */

useApi({ resources: [User, Book, Post, Tag, Guide, Trip] });

const SEED = 20;
const random = (() => {
  let state = SEED;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296;
    return state / 4_294_967_296;
  };
})();
const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;

const { BSON } = mongoose.mongo;
/** Of each resource some that are there; whoever refers to others refers to nothing. */
const idsOf = new Map<AnyResource, Types.ObjectId[]>();
const known = () => pick([...idsOf.values()].flat());

const STRANGE: (() => unknown)[] = [
  () => null,
  () => undefined,
  () => pick([0, -0, 1, -1, 2 ** 31, 2 ** 53, 1e21, 1e-7, 0.1, -12.5, Number.NaN, Infinity, -Infinity]),
  () => BSON.Long.fromString(pick(['7', '-9007199254740991', '9007199254740993', '9223372036854775807'])),
  () => new BSON.Double(pick([3, -0])),
  () =>
    pick([
      '',
      'plain',
      'a "quote" and a \\',
      'tab\tline\nNUL-\u0001',
      'Ångström 漢字 😀',
      '\u2028',
      '5'.repeat(24),
    ]),
  () => String(known()),
  () => pick([true, false]),
  () => new Date(pick([0, 1, -1, 1_700_000_000_123, -62_167_219_200_001, 253_402_300_800_000, 8.64e15])),
  () => new Types.ObjectId(),
  () => known(),
  () => Types.Decimal128.fromString(pick(['1', '1.50', '-0', '1E+3', 'NaN', 'Infinity', '12345.678901'])),
  () => new BSON.Binary(Buffer.from('bytes')),
  () => /a.*b/i,
  () => new BSON.Timestamp({ t: 5, i: 6 }),
  () => new BSON.MinKey(),
  () => new BSON.Code('1'),
  () => ({}),
  () => ({ 10: 1, b: 2, 2: 3, text: 'x', by: pick(['card', 'none', 'barter', 5, null]) }),
  () => [],
  () => [known(), null, 'x', [1], { note: 1, lead: known() }],
];

/**
 * A valid document with some of its values, at any depth, exchanged or gone; but for those at these paths, which lead
 * to references.
 */
function spoil(value: unknown, chance: number, kept: string[], path = ''): unknown {
  if (random() < chance && !kept.includes(path)) return pick(STRANGE)();
  if (Array.isArray(value)) return value.map((entry) => spoil(entry, chance, kept, path));
  if (value === null || typeof value !== 'object' || Object.getPrototypeOf(value) !== Object.prototype)
    return value;
  const entries = Object.entries(value).map(
    ([name, inner]) => [name, spoil(inner, chance, kept, path ? `${path}.${name}` : name)] as const,
  );
  if (random() < chance) entries.reverse();
  return Object.fromEntries([...(random() < chance ? [['stranger', 1] as const] : []), ...entries]);
}

/** The paths of references, and of what they stand in. */
const leading = ({ references }: AnyResource): string[] => [
  '',
  ...references.flatMap(({ field }) => {
    const names = field.split('.');
    return names.map((_, i) => names.slice(0, i + 1).join('.'));
  }),
];

const some = (resource: AnyResource, most: number) =>
  Array.from({ length: Math.floor(random() * (most + 1)) }, () => pick(idsOf.get(resource) ?? []));
const one = (resource: AnyResource) => pick([null, new Types.ObjectId(), ...(idsOf.get(resource) ?? [])]);
const money = (text: string) => Types.Decimal128.fromString(text);

const valid: [AnyResource, () => object][] = [
  [User, () => ({ name: pick(['Ann', 'Åsa "Å"']), email: `${new Types.ObjectId()}@example.org`, bio: null })],
  [Tag, () => ({ name: String(new Types.ObjectId()), description: pick([null, 'A\nB']) })],
  [Book, () => ({ title: 'A book', authors: ['A', 'B'], year: 2001, isbn: null, tags: some(Tag, 3) })],
  [
    Post,
    () => ({
      title: 'A post',
      body: 'Text',
      author: one(User),
      status: pick(['draft', 'published']),
      books: some(Book, 3),
      tags: some(Tag, 2),
    }),
  ],
  [Guide, () => ({ name: 'A guide', team: one(Guide) })],
  [
    Trip,
    () => ({
      title: 'A trip',
      price: money('12.5'),
      rating: 4.5,
      begins: '2026-01-31',
      start: { city: 'Oslo', spot: { x: 1.5, y: -2, zone: null }, guide: one(Guide) },
      stops: Array.from({ length: 2 }, () => ({
        note: 'A stop',
        at: new Date(),
        fee: money('3.00'),
        lead: one(Guide),
        guests: some(Guide, 2),
        // In a list of a list populate() shows neither an id that leads nowhere nor null for it.
        legs: [{ helper: pick(idsOf.get(Guide) ?? []), km: 3 }],
      })),
      labels: { a: 'x', B: 'y', '7': 'z' },
      payment: pick([null, { by: 'card', last4: '1234', amount: money('9.99') }, { by: 'none' }]),
      part: one(Trip),
    }),
  ],
];

const paths: [AnyResource, string[], (string[] | undefined)[]][] = [
  [User, [], [['name', 'email'], ['etag']]],
  [
    Book,
    ['tags'],
    [
      ['title', 'tags.name'],
      ['*', 'etag'],
    ],
  ],
  [
    Post,
    ['author', 'books.tags', 'tags'],
    [['title', 'author.name', 'books.title', 'books.tags.name', 'etag']],
  ],
  [
    Trip,
    ['start.guide', 'stops.lead', 'stops.guests.team', 'stops.legs.helper', 'part'],
    [['title', 'start.spot.x', 'stops.note', 'stops.lead.name', 'stops.legs.helper.team', 'payment']],
  ],
];

/** The members that were chosen, of JSON. */
function choose(json: any, selection: Selection | undefined, at = ''): unknown {
  if (Array.isArray(json)) return json.map((entry) => choose(entry, selection, at));
  if (json === null || typeof json !== 'object' || !selection) return json;
  const chosen = selection.get(at);
  const entries = Object.entries(json).filter(([name]) => !chosen || chosen.has(name));
  return Object.fromEntries(
    entries.map(([name, inner]) => [name, choose(inner, selection, at ? `${at}.${name}` : name)]),
  );
}

const member = new Types.ObjectId();
const callers: [string, Caller][] = [
  ['anonymous', ANONYMOUS],
  ['a member', { kind: 'user', id: member, role: 'member' }],
  ['an admin', { kind: 'user', id: new Types.ObjectId(), role: 'admin' }],
];

/** Where two texts begin to differ. */
function difference(is: string, expected: string): object | undefined {
  if (is === expected) return undefined;
  let at = 0;
  while (is[at] === expected[at]) at++;
  return {
    is: is.slice(Math.max(0, at - 80), at + 80),
    expected: expected.slice(Math.max(0, at - 80), at + 80),
  };
}

const COUNT = 50;

/** Of whose references populate() would drop what is no id: ours shows it, as it does without a join. */
const unjoinable: Types.ObjectId[] = [];

beforeEach(async () => {
  idsOf.clear();
  idsOf.set(User, [member]);
  for (const round of ['valid', 'spoilt', 'spoilt references'])
    for (const [resource, make] of valid) {
      const kept = round === 'spoilt references' ? [''] : leading(resource);
      const documents = Array.from({ length: COUNT }, (_, i) => {
        const document = { ...typical(resource), ...make(), createdAt: new Date(), updatedAt: new Date() };
        const _id = resource === User && round === 'valid' && i === 0 ? member : new Types.ObjectId();
        return { _id, ...(spoil(document, round === 'valid' ? 0 : 0.15, kept) as object) };
      });
      const { collection } = modelOf(resource);
      // What is unique may be refused: those that are left are many enough.
      await collection
        .insertMany(documents as never, {
          bypassDocumentValidation: true,
          ordered: false,
          ignoreUndefined: true,
        })
        .catch(() => {});
      const ids = documents.map(({ _id }) => _id);
      if (round === 'spoilt references') unjoinable.push(...ids);
      else idsOf.set(resource, [...(idsOf.get(resource) ?? []), ...ids].slice(0, 80));
    }
});

test.each(callers)('for %s, what is written is what Mongoose and JSON.stringify() would give', (_name, who) =>
  runAs(who, async () => {
    for (const [resource, include, choices] of paths)
      for (const fields of [undefined, ...choices])
        for (const included of [[], include]) await compare(resource, included, fields);
  }),
);

test('of bytes that are no whole document none is written, and nothing goes on for ever', () => {
  const whole = Buffer.from(BSON.serialize({ _id: new Types.ObjectId(), title: 'A book', authors: ['A'] }));
  const write = writerOf(expanded(Book));
  for (let length = 5; length < whole.length; length++)
    expect(() => write(Buffer.from(whole.subarray(0, length)), 0, { shown: undefined })).toThrow();
});

async function compare(
  resource: AnyResource,
  include: string[],
  fields: string[] | undefined,
): Promise<void> {
  const isShown = (path: string) => !path.includes('.') || include.length > 0 || path.startsWith('start');
  const chosen = fields?.filter(isShown);
  const { joins, answer, projection } = showing(resource)({ include, ...(chosen && { fields: chosen }) });
  const find = (read?: Record<string, 1>) =>
    modelOf<AnyResource>(resource)
      .find(include.length > 0 ? { _id: { $nin: unjoinable } } : {}, read)
      .sort({ _id: 1 });
  const { rows } = await find(projection).populate(joins).bytes(answer);
  const objects = await find(projection).populate(joins).lean();
  const whole = await find().lean();
  expect(rows.length).toBeGreaterThan(COUNT);
  const shape = shapeOf(expanded(resource));
  const selection = selectionOf(resource, chosen, include);
  const differences = rows.flatMap(({ json }, i) => {
    const etag = chosen?.includes('etag') ? etagOf(resource, whole[i]) : undefined;
    const text = JSON.stringify(shape({ ...objects[i], etag }));
    const expected = selection ? JSON.stringify(choose(JSON.parse(text), selection)) : text;
    return difference(json.toString(), expected) ?? [];
  });
  expect(differences).toEqual([]);
}
