import { setTimeout as sleep } from 'node:timers/promises';
import { Types } from 'mongoose';
import { database } from '../src/mongo/connect.ts';
import { checkReferences } from '../src/schema/check.ts';
import { useApi } from './support/harness.ts';
import { Guide, routes, Trip } from './support/trips.ts';

/** References inside objects and lists of objects, which are made in the moment in which their target goes. */

const api = useApi({ resources: [Guide, Trip], routes: routes() });

interface Arena {
  guide: string;
  spare: string;
  trip: string;
}
type Answer = { status: number; body: any };

const stop = { note: 'Lunch', at: null, fee: null, lead: null, guests: [], legs: [] };
const trip = (more: object) => ({ title: 'T', ...more });
const start = (guide: string) => ({ city: 'Rome', spot: null, guide });
const removal = ({ guide }: Arena) => api.delete(`/guides/${guide}`);

/** What refers, what removes, and the statuses of both: where the reference came first, or the removal. */
const duels: [
  string,
  (arena: Arena) => Promise<Answer>,
  (arena: Arena) => Promise<Answer>,
  string,
  string,
][] = [
  [
    'a new trip, restricting',
    ({ guide }) => api.post('/trips', trip({ stops: [stop, { ...stop, lead: guide }] })),
    removal,
    '201 409',
    '422 204',
  ],
  [
    'a new trip, two lists deep',
    ({ guide }) => api.post('/trips', trip({ stops: [{ ...stop, legs: [{ helper: guide, km: 1 }] }] })),
    removal,
    '201 204',
    '422 204',
  ],
  [
    'PATCH of a list of objects',
    ({ trip, guide, spare }) => api.patch(`/trips/${trip}`, { stops: [{ ...stop, guests: [spare, guide] }] }),
    removal,
    '200 204',
    '422 204',
  ],
  [
    'PATCH of an object',
    ({ trip, guide }) => api.patch(`/trips/${trip}`, { start: start(guide) }),
    removal,
    '200 409',
    '422 204',
  ],
  [
    'JSON Patch of an entry',
    ({ trip, guide }) =>
      api.call('PATCH', `/trips/${trip}`, {
        raw: JSON.stringify([{ op: 'add', path: '/stops/0/legs/-', value: { helper: guide, km: 2 } }]),
        headers: { 'content-type': 'application/json-patch+json' },
      }),
    removal,
    '200 204',
    '422 204',
  ],
  [
    'a batch that names it twice',
    ({ guide }) => {
      const body = trip({ start: start(guide), stops: [{ ...stop, guests: [guide] }] });
      return api.post('/batch', { operations: [{ method: 'create', resource: 'trips', body }] });
    },
    removal,
    '200 409',
    '422 204',
  ],
];

const OF_EACH = 6;

/** As clients do where a machine has too much to do. */
async function insist(send: () => Promise<Answer>): Promise<Answer> {
  const answer = await send();
  return answer.status === 503 ? insist(send) : answer;
}

test('a reference that is made while its target goes is refused, or goes with it', async () => {
  const arenas = Array.from({ length: duels.length * OF_EACH }, () => ({
    guide: new Types.ObjectId(),
    spare: new Types.ObjectId(),
    trip: new Types.ObjectId(),
  }));
  const stamps = { createdAt: new Date(), updatedAt: new Date() };
  const guides = arenas.flatMap(({ guide, spare }) => [guide, spare]);
  await database()
    .collection('guides')
    .insertMany(guides.map((_id) => ({ _id, name: 'Ada', team: null, ...stamps })));
  await database()
    .collection('trips')
    .insertMany(
      arenas.map(({ trip: _id }) => ({ ...Trip.defaults, _id, title: 'T', stops: [stop], ...stamps })),
    );

  const outcomes: string[] = [];
  const fight = async ({ guide, spare, trip }: (typeof arenas)[number], i: number) => {
    const [name, refer, remove, first, second] = duels[i % duels.length] as (typeof duels)[number];
    const arena = { guide: String(guide), spare: String(spare), trip: String(trip) };
    const hesitate = () => sleep(Math.random() * 12);
    const [referred, removed] = await Promise.all([
      hesitate().then(() => insist(() => refer(arena))),
      hesitate().then(() => insist(() => remove(arena))),
    ]);
    const outcome = `${referred.status} ${removed.status}`;
    expect([name, [first, second]]).toEqual([name, expect.arrayContaining([outcome])]);
    outcomes.push(outcome);
  };
  for (let at = 0; at < arenas.length; at += 12)
    await Promise.all(arenas.slice(at, at + 12).map((arena, i) => fight(arena, at + i)));

  // Either side wins sometimes, or there was no duel.
  expect(outcomes.some((outcome) => outcome.startsWith('422'))).toBe(true);
  expect(outcomes.some((outcome) => /^20\d (204|409)$/.test(outcome))).toBe(true);
  expect(await database().collection('dangling_references').find().toArray()).toEqual([]);
  for await (const { dangling } of checkReferences(Trip)) expect(dangling).toEqual([]);
});
