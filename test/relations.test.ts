import { Types } from 'mongoose';
import { z } from 'zod';
import { runAs, SYSTEM } from '../src/auth/caller.ts';
import { command } from '../src/http/command.ts';
import { create, read, remove, update } from '../src/http/crud.ts';
import { exportAll } from '../src/http/export.ts';
import { list } from '../src/http/list.ts';
import type { Route } from '../src/http/route.ts';
import { transaction } from '../src/mongo/transaction.ts';
import { checkReferences } from '../src/schema/check.ts';
import { objectId, ref, setOf, text } from '../src/schema/fields.ts';
import { redirect } from '../src/schema/integrity.ts';
import { modelOf } from '../src/schema/model.ts';
import { connect } from '../src/schema/references.ts';
import { type AnyResource, resource } from '../src/schema/resource.ts';
import * as store from '../src/schema/store.ts';
import { useApi } from './support/harness.ts';

/** Relations that no shipped resource has: one to one, to oneself, in a circle. */

const nobody = '0123456789abcdef01234567';
const definition = { description: 'Only for this test', example: { id: nobody } as any };

const Climber = resource('Climber', {
  ...definition,
  collection: 'climbers',
  fields: { name: text(1, 50), rope: ref('Rope', 'cascade').nullable() },
  defaults: { rope: null },
  indexes: [{ key: { rope: 1, _id: 1 } }],
});
const Rope = resource('Rope', {
  ...definition,
  collection: 'ropes',
  fields: { lead: ref(Climber, 'detach').nullable(), members: setOf(ref(Climber, 'detach'), 10) },
  defaults: { lead: null, members: [] },
  indexes: [{ key: { lead: 1, _id: 1 } }, { key: { members: 1, _id: 1 } }],
});
const Logbook = resource('Logbook', {
  ...definition,
  collection: 'logbooks',
  fields: { climber: ref(Climber, 'cascade'), motto: text(1, 50).nullable() },
  defaults: { motto: null },
  indexes: [{ key: { climber: 1 }, unique: true }],
});
/** Refers to a climber, and to one of their hires: by whatever order a cascade meets them. */
const Bill = resource('Bill', {
  ...definition,
  collection: 'bills',
  fields: { hire: ref('Hire', 'restrict'), climber: ref(Climber, 'cascade') },
  indexes: [{ key: { hire: 1, _id: 1 } }, { key: { climber: 1, _id: 1 } }],
});
const Hire = resource('Hire', {
  ...definition,
  collection: 'hires',
  fields: { climber: ref(Climber, 'cascade'), before: ref(Bill, 'restrict').nullable() },
  defaults: { before: null },
  indexes: [{ key: { climber: 1, _id: 1 } }, { key: { before: 1, _id: 1 } }],
});
const Trail = resource('Trail', {
  ...definition,
  collection: 'trails',
  fields: {
    name: text(1, 50),
    parent: ref('Trail', 'detach').nullable(),
    like: setOf(ref('Trail', 'detach'), 9),
  },
  defaults: { parent: null, like: [] },
  indexes: [{ key: { parent: 1, _id: 1 } }, { key: { like: 1, _id: 1 } }],
});
const Branch = resource('Branch', {
  ...definition,
  collection: 'branches',
  fields: { parent: ref('Branch', 'cascade').nullable() },
  defaults: { parent: null },
  indexes: [{ key: { parent: 1, _id: 1 } }],
});
const own: AnyResource[] = connect([Climber, Rope, Logbook, Bill, Hire, Trail, Branch]);

const api = useApi({
  resources: own,
  routes: [
    ...own.flatMap((resource): Route[] => [
      list(resource, { filter: [], sort: [] }),
      exportAll(resource, { filter: [], sort: [] }),
      create(resource, { example: {} }),
      read(resource),
      update(resource, { example: {} }),
      remove(resource, { example: nobody }),
    ]),
    command(Trail, 'merge', {
      summary: 'Merge a trail',
      description: 'Into another.',
      body: { schema: z.strictObject({ into: objectId() }), example: { into: nobody } },
      problems: ['reference_not_found', 'too_many_references'],
      handler: async ({ params, body }) => {
        await redirect(Trail, params.id, body.into, '/into');
        await store.remove(Trail, params.id);
        return store.read(Trail, body.into);
      },
    }),
  ],
});

const make = async ({ collection }: AnyResource, body: object = {}): Promise<string> => {
  const { status, body: made } = await api.post(`/${collection}`, body);
  expect([made, status]).toEqual([made, 201]);
  return made.id;
};
const change = async ({ collection }: AnyResource, id: string, body: object) =>
  expect((await api.patch(`/${collection}/${id}`, body)).status).toBe(200);
const shown = async (path: string) => {
  const { status, body } = await api.get(path);
  expect([path, status]).toEqual([path, 200]);
  return body;
};
const gone = async ({ collection }: AnyResource, id: string) =>
  expect((await api.delete(`/${collection}/${id}`)).status).toBe(204);
const idsOf = async (resource: AnyResource) => (await modelOf(resource).distinct('_id')).map(String).sort();

describe('a reference with a unique index', () => {
  test('is included from the other side as one document, or null', async () => {
    const [ann, theo] = [await make(Climber, { name: 'Ann' }), await make(Climber, { name: 'Theo' })];
    const logbook = await make(Logbook, { climber: ann, motto: 'Read on' });
    const own = await shown(`/logbooks/${logbook}`);
    expect((await shown(`/climbers/${ann}?include=logbook`)).logbook).toEqual(own);
    expect((await shown(`/climbers/${theo}?include=logbook`)).logbook).toBeNull();
    const { items } = await shown('/climbers?include=logbook&sort=id');
    expect(items.map((climber: any) => climber.logbook)).toEqual([own, null]);
    // Without it nothing is said of one.
    expect(await shown(`/climbers/${ann}`)).not.toHaveProperty('logbook');
    expect((await api.get(`/climbers/${ann}?include=logbooks`)).status).toBe(422);
  });

  test('shows the fields that were chosen, in a stream too', async () => {
    const ann = await make(Climber, { name: 'Ann' });
    await make(Climber, { name: 'Theo' });
    const logbook = await make(Logbook, { climber: ann, motto: 'Read on' });
    const query = 'include=logbook&fields=logbook.motto';
    expect(await shown(`/climbers/${ann}?${query}`)).toEqual({
      id: ann,
      logbook: { id: logbook, motto: 'Read on' },
    });
    const { body } = await api.get('/climbers/export?include=logbook&fields=name,logbook.motto&format=csv');
    expect(body.split('\r\n').slice(0, 3)).toEqual([
      'id,name,logbook',
      expect.stringContaining(',Theo,'),
      `${ann},Ann,"{""id"":""${logbook}"",""motto"":""Read on""}"`,
    ]);
  });

  test('lets one document refer', async () => {
    const ann = await make(Climber, { name: 'Ann' });
    await make(Logbook, { climber: ann });
    expect((await api.post('/logbooks', { climber: ann })).body.code).toBe('duplicate_key');
  });
});

describe('a reference to a document of the same resource', () => {
  test('is included two levels up, and from the other side', async () => {
    const top = await make(Trail, { name: 'top' });
    const middle = await make(Trail, { name: 'middle', parent: top });
    const leaf = await make(Trail, { name: 'leaf', parent: middle, like: [top, middle] });
    const { parent, like } = await shown(`/trails/${leaf}?include=parent.parent,like`);
    expect([parent.name, parent.parent.name, parent.parent.parent]).toEqual(['middle', 'top', null]);
    expect(like.map(({ name }: any) => name)).toEqual(['top', 'middle']);
    const found = await shown(`/trails/${top}?include=trailsByParent,trailsByLike`);
    expect(found.trailsByParent.items.map(({ id }: any) => id)).toEqual([middle]);
    expect(found.trailsByLike.items.map(({ id }: any) => id)).toEqual([leaf]);
  });

  test('is detached, from itself and around a circle', async () => {
    const [a, b] = [await make(Trail, { name: 'a' }), await make(Trail, { name: 'b' })];
    await change(Trail, a, { parent: b, like: [a, b] });
    await change(Trail, b, { parent: a, like: [a, b] });
    await gone(Trail, a);
    expect(await shown(`/trails/${b}`)).toMatchObject({ parent: null, like: [b] });
    await gone(Trail, b);
  });

  test('cannot come to dangle: of one who adds a branch and one who removes the tree, either is refused or all goes', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 12 }, async () => {
        const top = await make(Branch);
        const middle = await make(Branch, { parent: top });
        const [added, removed] = await Promise.all([
          api.post('/branches', { parent: middle }),
          api.delete(`/branches/${top}`),
        ]);
        return `${added.status} ${removed.status}`;
      }),
    );
    expect(outcomes.filter((outcome) => !['201 204', '422 204'].includes(outcome))).toEqual([]);
    expect(await idsOf(Branch)).toEqual([]);
  });

  test('that another tool has broken is found, and goes with all that depends on it', async () => {
    const [kept, broken] = [await make(Branch), await make(Branch)];
    await make(Branch, { parent: broken });
    await modelOf(Branch).collection.updateOne(
      { _id: new Types.ObjectId(broken) },
      { $set: { parent: new Types.ObjectId(nobody) } },
    );
    const found: unknown[] = [];
    await runAs(SYSTEM, async () => {
      for await (const { dangling } of checkReferences(Branch, transaction)) found.push(...dangling);
    });
    expect(found).toMatchObject([{ mended: true }]);
    expect(await idsOf(Branch)).toEqual([kept]);
  });

  test('does not come to lead to itself where two are merged', async () => {
    const [from, into] = [await make(Trail, { name: 'from' }), await make(Trail, { name: 'into' })];
    const child = await make(Trail, { name: 'child', parent: from, like: [from, into] });
    await change(Trail, into, { parent: from, like: [from, child] });
    await change(Trail, from, { parent: into, like: [from] });
    const { status, body } = await api.post(`/trails/${from}/merge`, { into });
    expect([status, body]).toMatchObject([200, { id: into, parent: null, like: [child] }]);
    expect(await shown(`/trails/${child}`)).toMatchObject({ parent: into, like: [into] });
    expect(await idsOf(Trail)).toEqual([into, child].sort());
  });
});

describe('references of two resources in a circle', () => {
  test('cascade one way and are detached the other', async () => {
    const lead = await make(Climber, { name: 'Lead' });
    const rope = await make(Rope, { lead, members: [lead] });
    await change(Climber, lead, { rope });
    const member = await make(Climber, { name: 'Member', rope });
    await change(Rope, rope, { members: [member, lead] });
    await gone(Climber, lead);
    expect(await shown(`/ropes/${rope}`)).toMatchObject({ lead: null, members: [member] });
    await gone(Rope, rope);
    expect(await idsOf(Climber)).toEqual([]);
  });

  test('restrict nothing that goes by the same removal, and everything else', async () => {
    const [ann, theo] = [await make(Climber, { name: 'Ann' }), await make(Climber, { name: 'Theo' })];
    const hire = await make(Hire, { climber: ann });
    const bill = await make(Bill, { climber: ann, hire });
    await change(Hire, hire, { before: bill });
    const refused = await api.delete(`/hires/${hire}`);
    expect([refused.status, refused.body.blockers]).toMatchObject([409, [{ resource: 'bills', count: 1 }]]);
    await gone(Climber, ann);
    expect([await idsOf(Hire), await idsOf(Bill)]).toEqual([[], []]);

    const lent = await make(Hire, { climber: theo });
    const another = await make(Climber, { name: 'Another' });
    await make(Bill, { climber: another, hire: lent });
    const kept = await api.delete(`/climbers/${theo}`);
    expect([kept.status, kept.body.blockers]).toMatchObject([409, [{ resource: 'bills', field: 'hire' }]]);
    expect(await idsOf(Hire)).toEqual([lent]);
  });
});

describe('is refused at start', () => {
  const faultsOf = (...resources: AnyResource[]) => {
    try {
      connect(resources);
      return [];
    } catch (error) {
      return (error as Error).message.split('\n  ').slice(1);
    }
  };
  const one = (name: string, fields: Record<string, z.ZodType>) =>
    resource(name, {
      ...definition,
      collection: `${name.toLowerCase()}s`,
      fields,
      indexes: Object.keys(fields).map((field) => ({ key: { [field]: 1 } })),
    });

  test('a circle of required references, because no first document could be created', () => {
    expect(faultsOf(one('A', { b: ref('B', 'cascade') }), one('B', { a: ref('A', 'cascade') }))).toEqual([
      'A.b, B.a refer to each other and are all required, so no first document could be created: make one nullable.',
    ]);
    expect(faultsOf(one('C', { parent: ref('C', 'restrict') }))).toEqual([
      expect.stringMatching(/^C\.parent refer/),
    ]);
    expect(
      faultsOf(one('D', { d: setOf(ref('E', 'cascade'), 3) }), one('E', { d: ref('D', 'cascade') })),
    ).toEqual([]);
  });

  test('an include with the name of a field', () => {
    expect(faultsOf(one('F', { gs: text(1, 9) }), one('G', { f: ref('F', 'cascade') }))).toEqual([
      'G.f is included in a F as "gs", which is also a field: rename one.',
    ]);
  });
});
