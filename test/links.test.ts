import { z } from 'zod';
import { create, read, remove, replace, update } from '../src/http/crud.ts';
import { linked } from '../src/http/linked.ts';
import { list } from '../src/http/list.ts';
import type { Route } from '../src/http/route.ts';
import { ref, text } from '../src/schema/fields.ts';
import { modelOf } from '../src/schema/model.ts';
import { connect } from '../src/schema/references.ts';
import { type AnyResource, resource } from '../src/schema/resource.ts';
import { aCaller } from './support/callers.ts';
import { useApi } from './support/harness.ts';

/** Links with data: a resource with two references and a unique pair. */

const nobody = '0123456789abcdef01234567';
const definition = { description: 'Only for this test', example: { id: nobody } as any };
const everybody = { read: ['anyone'] } as const;

const Hiker = resource('Hiker', {
  ...definition,
  collection: 'hikers',
  fields: { name: text(1, 50) },
  policy: everybody,
});
const Range = resource('Range', {
  ...definition,
  collection: 'ranges',
  fields: { name: text(1, 50) },
  policy: everybody,
});
const Peak = resource('Peak', {
  ...definition,
  collection: 'peaks',
  fields: { name: text(1, 50), range: ref(Range, 'detach').nullable() },
  policy: everybody,
  defaults: { range: null },
  indexes: [{ key: { range: 1, _id: 1 } }],
});
const Ascent = resource('Ascent', {
  ...definition,
  collection: 'ascents',
  fields: {
    hiker: ref(Hiker, 'cascade'),
    peak: ref(Peak, 'cascade'),
    grade: z.int().min(1).max(5),
    note: text(0, 100).nullable(),
  },
  policy: {
    owner: 'hiker',
    read: ['owner', 'admin'],
    create: ['owner', 'admin'],
    update: ['owner', 'admin'],
    remove: ['owner', 'admin'],
  },
  defaults: { note: null },
  indexes: [
    { key: { hiker: 1, peak: 1 }, unique: true },
    { key: { peak: 1, _id: 1 } },
    { key: { grade: 1, _id: 1 } },
  ],
  link: ['hiker', 'peak'],
});
const Follow = resource('Follow', {
  ...definition,
  collection: 'follows',
  fields: { follower: ref(Hiker, 'cascade'), followed: ref(Hiker, 'cascade') },
  policy: everybody,
  indexes: [{ key: { followed: 1, follower: 1 }, unique: true }, { key: { follower: 1, _id: 1 } }],
  link: ['follower', 'followed'],
});
const own: AnyResource[] = connect([Hiker, Range, Peak, Ascent, Follow]);

const api = useApi({
  resources: own,
  routes: [
    ...own.flatMap((resource): Route[] => [
      list(resource, { filter: [], sort: [] }),
      create(resource, { example: {} }),
      read(resource),
      replace(resource),
      update(resource, { example: {} }),
      remove(resource, { example: nobody }),
    ]),
    ...linked(Ascent, { listing: { filter: ['grade'], sort: ['grade'] }, example: { grade: 3 } }),
    ...linked(Follow, { listing: { filter: [], sort: [] }, example: {} }),
  ],
});

const aPeak = async (overrides: object = {}): Promise<string> =>
  (await modelOf(Peak).create({ name: 'Peak', range: null, ...overrides }))._id.toHexString();
/** A member, who is a hiker too. */
async function aHiker(): Promise<{ hiker: string; as: { as: string } }> {
  const { id, token } = await aCaller('member');
  await modelOf(Hiker).create({ _id: id, name: 'Hiker' });
  return { hiker: id.toHexString(), as: { as: token } };
}
const stored = () => modelOf(Ascent).find().lean();

test('a link is put, read and removed by its pair, as often as one likes', async () => {
  const [{ hiker, as }, peak] = [await aHiker(), await aPeak()];
  const path = `/hikers/${hiker}/ascents/${peak}`;
  expect((await api.get(path, as)).status).toBe(404);
  const made = await api.put(path, { grade: 3, note: 'Wind' }, as);
  expect([made.status, made.body]).toMatchObject([201, { hiker, peak, grade: 3, note: 'Wind' }]);
  const again = await api.put(path, { grade: 3, note: 'Wind' }, as);
  expect([again.status, again.body]).toEqual([200, made.body]);
  // What the body leaves out gets its default.
  const changed = await api.put(path, { grade: 4 }, as);
  expect([changed.status, changed.body]).toMatchObject([200, { id: made.body.id, grade: 4, note: null }]);
  const found = await api.get(path, as);
  expect([found.body, found.headers.get('etag')]).toEqual([changed.body, changed.headers.get('etag')]);
  // As it was read, it goes back.
  expect((await api.put(path, { ...found.body, grade: 5 }, as)).body).toMatchObject({
    id: made.body.id,
    grade: 5,
  });
  expect(await stored()).toHaveLength(1);
  for (let i = 0; i < 2; i++) expect((await api.delete(path, as)).status).toBe(204);
  expect(await stored()).toEqual([]);
});

test('each side lists its links, with the other side in the place of the id', async () => {
  const [ann, theo] = [await aHiker(), await aHiker()];
  const range = await modelOf(Range).create({ name: 'Alps' });
  const [low, high] = [await aPeak({ name: 'Low' }), await aPeak({ name: 'High', range: range._id })];
  for (const [{ hiker }, peak, grade] of [
    [ann, low, 1],
    [ann, high, 4],
    [theo, high, 2],
  ] as const)
    await api.put(`/hikers/${hiker}/ascents/${peak}`, { grade });
  const names = async (path: string, side: string) => {
    const { status, body } = await api.get(path);
    expect([path, status]).toEqual([path, 200]);
    return body.items.map((item: any) => [item.grade, item[side].name]);
  };
  expect(await names(`/hikers/${ann.hiker}/ascents?sort=grade`, 'peak')).toEqual([
    [1, 'Low'],
    [4, 'High'],
  ]);
  expect(await names(`/hikers/${ann.hiker}/ascents?grade[gte]=2`, 'peak')).toEqual([[4, 'High']]);
  expect(await names(`/peaks/${high}/ascents?sort=grade`, 'hiker')).toEqual([
    [2, 'Hiker'],
    [4, 'Hiker'],
  ]);
  const [first] = (await api.get(`/hikers/${ann.hiker}/ascents?include=peak.range`)).body.items;
  expect(first.peak).toMatchObject({ name: 'High', range: { name: 'Alps' } });
  const chosen = await api.get(`/hikers/${ann.hiker}/ascents?sort=grade&fields=grade,peak.name`);
  expect(chosen.body.items[0]).toEqual({
    id: first.id && expect.any(String),
    grade: 1,
    peak: { id: low, name: 'Low' },
  });
  expect((await api.get(`/peaks/${nobody}/ascents`)).status).toBe(404);
});

test('an include of links shows what is on their other side', async () => {
  const [{ hiker, as }, peak] = [await aHiker(), await aPeak({ name: 'Low' })];
  const { body: link } = await api.put(`/hikers/${hiker}/ascents/${peak}`, { grade: 3 }, as);
  const { body: shown } = await api.get(`/peaks/${peak}`);
  const whole = await api.get(`/hikers/${hiker}?include=ascents`, as);
  expect(whole.body.ascents).toEqual({ items: [{ ...link, peak: shown }], hasMore: false });
  const chosen = await api.get(`/hikers?include=ascents&fields=name,ascents.grade,ascents.peak.name`, as);
  expect(chosen.body.items).toEqual([
    {
      id: hiker,
      name: 'Hiker',
      ascents: { items: [{ id: link.id, grade: 3, peak: { id: peak, name: 'Low' } }], hasMore: false },
    },
  ]);
  const without = await api.get(`/hikers?fields=ascents.peak.name`, as);
  expect([without.status, without.body.errors[0].parameter]).toEqual([422, 'fields']);
  // Of another's links nothing is shown.
  expect((await api.get(`/hikers/${hiker}?include=ascents`, (await aHiker()).as)).body.ascents.items).toEqual(
    [],
  );
});

test('preconditions are about the link', async () => {
  const [{ hiker, as }, peak] = [await aHiker(), await aPeak()];
  const path = `/hikers/${hiker}/ascents/${peak}`;
  const put = (grade: number, headers: Record<string, string>) =>
    api.put(path, { grade }, { ...as, headers });
  const absent = await put(1, { 'if-match': '*' });
  expect([absent.status, absent.body.code]).toEqual([412, 'precondition_failed']);
  expect((await api.delete(path, { ...as, headers: { 'if-match': '"x"' } })).status).toBe(412);
  expect((await put(2, { 'if-none-match': '*' })).status).toBe(201);
  expect((await put(3, { 'if-none-match': '*' })).status).toBe(412);
  const etag = (await api.get(path, as)).headers.get('etag') as string;
  expect((await put(3, { 'if-match': '"another"' })).status).toBe(412);
  expect((await put(3, { 'if-match': etag })).status).toBe(200);
  expect((await api.delete(path, { ...as, headers: { 'if-match': etag } })).status).toBe(412);
  expect((await stored())[0]).toMatchObject({ grade: 3 });
});

test('a dry run answers as if, and minimal without the link', async () => {
  const [{ hiker, as }, peak] = [await aHiker(), await aPeak()];
  const path = `/hikers/${hiker}/ascents/${peak}`;
  expect((await api.put(`${path}?dryRun=true`, { grade: 3 }, as)).status).toBe(201);
  expect(await stored()).toEqual([]);
  const minimal = { ...as, headers: { prefer: 'return=minimal' } };
  expect([(await api.put(path, { grade: 3 }, minimal)).status, await stored()]).toMatchObject([
    201,
    [{ grade: 3 }],
  ]);
  expect((await api.put(path, { grade: 4 }, minimal)).status).toBe(204);
  expect((await api.delete(`${path}?dryRun=true`, as)).status).toBe(204);
  expect(await stored()).toHaveLength(1);
});

test('a body that does not fit, or contradicts the path, is refused', async () => {
  const [{ hiker, as }, peak] = [await aHiker(), await aPeak()];
  const path = `/hikers/${hiker}/ascents/${peak}`;
  const faults = async (body: object) => {
    const answer = await api.put(path, body, as);
    return [answer.status, answer.body.errors.map(({ pointer, code }: any) => `${pointer} ${code}`)];
  };
  expect(await faults({ grade: 6, colour: 'red' })).toEqual([
    422,
    ['/grade too_big', '/colour unknown_field'],
  ]);
  expect(await faults({})).toEqual([422, ['/grade required']]);
  expect(await faults({ grade: 3, hiker: nobody, peak: nobody })).toEqual([
    422,
    ['/hiker read_only', '/peak read_only'],
  ]);
  expect(await faults({ grade: 3, id: nobody, createdAt: '2026-01-31T12:00:00Z' })).toEqual([
    422,
    ['/id read_only', '/createdAt read_only'],
  ]);
  expect(await stored()).toEqual([]);
});

test('a side that does not exist is a 404, for whatever is done', async () => {
  const [{ hiker, as }, peak] = [await aHiker(), await aPeak()];
  for (const path of [`/hikers/${hiker}/ascents/${nobody}`, `/hikers/${nobody}/ascents/${peak}`]) {
    expect([path, (await api.put(path, { grade: 3 })).status]).toEqual([path, 404]);
    expect([path, (await api.get(path)).status]).toEqual([path, 404]);
  }
  expect((await api.delete(`/hikers/${nobody}/ascents/${peak}`)).status).toBe(404);
  expect((await api.put(`/hikers/${hiker}/ascents/what`, { grade: 3 }, as)).status).toBe(404);
  expect(await stored()).toEqual([]);
});

test('another one cannot tell whether two are linked', async () => {
  const [{ hiker, as }, theo] = [await aHiker(), await aHiker()];
  const [linked, other] = [await aPeak(), await aPeak()];
  await api.put(`/hikers/${hiker}/ascents/${linked}`, { grade: 3 }, as);
  const before = await stored();
  for (const peak of [linked, other]) {
    const path = `/hikers/${hiker}/ascents/${peak}`;
    for (const [request, status] of [
      [theo.as, 403],
      [{ ...theo.as, headers: { 'if-match': '*' } }, 403],
      [{ ...theo.as, headers: { 'if-none-match': '*' } }, 403],
      [{ as: '' }, 401],
    ] as const) {
      expect((await api.put(path, { grade: 1 }, request)).status).toBe(status);
      expect((await api.delete(path, request)).status).toBe(status);
    }
    expect((await api.get(path, theo.as)).status).toBe(404);
  }
  expect((await api.get(`/hikers/${hiker}/ascents`, theo.as)).body.items).toEqual([]);
  expect((await api.get(`/peaks/${linked}/ascents`, theo.as)).body.items).toEqual([]);
  expect((await api.get(`/hikers/${hiker}/ascents`, { as: '' })).status).toBe(401);
  expect(await stored()).toEqual(before);
  // An admin may, in the name of the hiker.
  expect((await api.put(`/hikers/${hiker}/ascents/${other}`, { grade: 5 })).body).toMatchObject({
    hiker,
    grade: 5,
  });
});

test('of many who put the same pair at once one makes it and the others change it', async () => {
  const [{ hiker, as }, peak] = [await aHiker(), await aPeak()];
  const path = `/hikers/${hiker}/ascents/${peak}`;
  const answers = await Promise.all(
    Array.from({ length: 24 }, (_, i) =>
      // What is created by the other route does not wait for the same turn.
      i % 2 ? api.put(path, { grade: (i % 5) + 1 }, as) : api.post('/ascents', { hiker, peak, grade: 3 }, as),
    ),
  );
  const puts = answers.filter((_, i) => i % 2).map(({ status }) => status);
  const posts = answers.filter((_, i) => i % 2 === 0).map(({ status }) => status);
  expect(puts.filter((status) => status !== 200 && status !== 201)).toEqual([]);
  expect(posts.filter((status) => status !== 409 && status !== 201)).toEqual([]);
  expect([...puts, ...posts].filter((status) => status === 201)).toHaveLength(1);
  expect(await stored()).toHaveLength(1);
});

test('of one who links and one who removes a side, either one is refused or there is no link', async () => {
  const { hiker, as } = await aHiker();
  const outcomes = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const peak = await aPeak();
      const [put, removed] = await Promise.all([
        api.put(`/hikers/${hiker}/ascents/${peak}`, { grade: 3 }, as),
        api.delete(`/peaks/${peak}`),
      ]);
      return `${put.status} ${removed.status}`;
    }),
  );
  expect(outcomes.filter((outcome) => !['201 204', '404 204'].includes(outcome))).toEqual([]);
  expect(await stored()).toEqual([]);
});

test('both sides may be of one resource', async () => {
  const [a, b] = [(await aHiker()).hiker, (await aHiker()).hiker];
  const link = await api.put(`/hikers/${a}/followsByFollower/${b}`, {});
  expect([link.status, link.body]).toMatchObject([201, { follower: a, followed: b }]);
  expect((await api.put(`/hikers/${b}/followsByFollower/${a}`, {})).status).toBe(201);
  const [{ followed }] = (await api.get(`/hikers/${a}/followsByFollower`)).body.items;
  const [{ follower }] = (await api.get(`/hikers/${b}/followsByFollowed`)).body.items;
  expect([followed.id, follower.id]).toEqual([b, a]);
  const { body } = await api.get(`/hikers/${a}?include=followsByFollower,followsByFollowed`);
  expect(body.followsByFollower.items[0].followed).toMatchObject({ id: b, name: 'Hiker' });
  expect(body.followsByFollowed.items[0].follower).toMatchObject({ id: b, name: 'Hiker' });
  expect((await api.delete(`/hikers/${a}`)).status).toBe(204);
  expect(await modelOf(Follow).countDocuments()).toBe(0);
});

test('what is no link is refused at start, with all that is wrong', () => {
  const define = (rest: object) =>
    resource('Odd', {
      ...definition,
      collection: 'odds',
      fields: {
        hiker: ref('OddHiker', 'cascade'),
        peak: ref('OddHiker', 'detach').nullable(),
        name: text(1, 9),
      },
      indexes: [{ key: { hiker: 1 } }, { key: { peak: 1 } }],
      ...rest,
    });
  const OddHiker = resource('OddHiker', { ...definition, collection: 'oddhikers', fields: {} });
  const started = (rest: object) => () => connect([OddHiker, define(rest)]);
  expect(started({ link: ['hiker', 'peak'] })).toThrow(
    /Odd\.peak is a side of a link, so it must be a required reference to one document\.\n.*pairs must be unique: add { key: { hiker: 1, peak: 1 }, unique: true } to its indexes/,
  );
  expect(started({ link: ['hiker', 'name'] })).toThrow(
    'Odd.name is a side of a link, so it must be a required reference',
  );
  expect(started({ link: ['hiker', 'hiker'] })).toThrow('Odd links hiker to itself: name two fields.');
  expect(started({ link: ['hiker', 'what'] })).toThrow('link names "what", which is not a field');
  expect(() => linked(define({}), { example: {}, listing: { filter: [], sort: [] } })).toThrow(
    'Odd is not a link: its definition has no `link: [ …, … ]`.',
  );
});
