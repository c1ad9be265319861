import { Types } from 'mongoose';
import { database } from '../src/mongo/connect.ts';
import { transaction } from '../src/mongo/transaction.ts';
import { checkReferences } from '../src/schema/check.ts';
import { useApi } from './support/harness.ts';
import { Guide, routes, Trip } from './support/trips.ts';

/** Fields of every kind, at every depth, over HTTP. */

const api = useApi({ resources: [Guide, Trip], routes: routes() });

const aGuide = async (name = 'Ada', more: object = {}): Promise<string> =>
  (await api.post('/guides', { name, ...more })).body.id;
const aTrip = async (more: object = {}): Promise<any> =>
  (await api.post('/trips', { title: 'Along the coast', ...more })).body;
const stop = { note: 'Lunch', at: null, fee: null, lead: null, guests: [], legs: [] };
const faultsOf = ({ status, body }: { status: number; body: any }) => [
  status,
  ...(body.errors ?? []).map(({ pointer, code }: any) => `${pointer} ${code}`),
];
const nowhere = new Types.ObjectId().toHexString();

describe('values', () => {
  test('come back as they went in; a decimal with all of its digits', async () => {
    const guide = await aGuide();
    const trip = {
      title: 'T',
      price: '99999.99',
      rating: 4.5,
      begins: '2024-02-29',
      start: { city: 'Rome', spot: { x: 0.1, y: -1e-9, zone: null }, guide },
      stops: [{ ...stop, at: '2026-01-31T12:00:00.000Z', fee: '-0.10', legs: [{ helper: guide, km: 2.5 }] }],
      labels: { en: 'x', 'pt-BR': 'y' },
      payment: { by: 'card', last4: '0042', amount: '0.01' },
      part: null,
    };
    const { id, createdAt, updatedAt, ...shown } = await aTrip(trip);
    expect(shown).toEqual(trip);
    expect((await api.get(`/trips/${id}`)).body).toEqual({ id, ...trip, createdAt, updatedAt });
    const stored = await database()
      .collection('trips')
      .findOne({ _id: new Types.ObjectId(id) });
    expect(stored).toMatchObject({
      price: { _bsontype: 'Decimal128' },
      begins: '2024-02-29',
      stops: [{ at: new Date('2026-01-31T12:00:00Z'), legs: [{ helper: new Types.ObjectId(guide) }] }],
    });
    for (const [given, answered] of [
      ['7', '7.00'],
      ['0.5', '0.50'],
      ['-0', '0.00'],
      ['0', '0.00'],
    ])
      expect((await aTrip({ price: given })).price).toBe(answered);
  });

  test('are refused where they are wrong, each with its pointer', async () => {
    const body = {
      title: 'T',
      price: 12.5,
      rating: 5.1,
      begins: '2023-02-29',
      start: { city: '', spot: { x: '1', y: 1, zone: null, z: 1 }, guide: 'x' },
      stops: [stop, { ...stop, fee: '1.234', legs: [{ helper: null }] }],
      labels: { 'a.b': 'x', $a: 'x', c: '' },
      payment: { by: 'card', last4: '12345', amount: '1e3' },
      part: 'x',
    };
    const [status, ...faults] = faultsOf(await api.post('/trips', body));
    expect([status, new Set(faults)]).toEqual([
      422,
      new Set([
        '/price invalid_type',
        '/rating too_big',
        '/begins invalid_format',
        '/start/city too_short',
        '/start/spot/x invalid_type',
        '/start/spot/z unknown_field',
        '/start/guide invalid_format',
        '/stops/1/fee invalid_format',
        '/stops/1/legs/0/km required',
        '/labels/a.b invalid_key',
        '/labels/$a invalid_key',
        '/labels/c too_short',
        '/payment/last4 invalid_format',
        '/payment/amount invalid_format',
        '/part invalid_format',
      ]),
    ]);
    expect(faultsOf(await api.post('/trips', { title: 'T', payment: { by: 'gold' } }))).toEqual([
      422,
      '/payment/by invalid_union',
    ]);
    for (const price of ['', '1.', '.5', '01', '+1', '1e1', ' 1', '100000', '1.005', '-0.01', 'NaN', null])
      expect((await api.post('/trips', { title: 'T', price })).status).toBe(price === null ? 201 : 422);
  });
});

describe('references inside objects and lists', () => {
  test('must lead somewhere, and are refused with their pointers', async () => {
    const guide = await aGuide();
    const body = {
      title: 'T',
      start: { city: 'Rome', spot: null, guide: nowhere },
      stops: [
        { ...stop, lead: guide },
        { ...stop, lead: nowhere, guests: [guide, nowhere], legs: [{ helper: nowhere, km: 1 }] },
      ],
    };
    expect(faultsOf(await api.post('/trips', body))).toEqual([
      422,
      '/start/guide reference_not_found',
      '/stops/1/lead reference_not_found',
      '/stops/1/guests/1 reference_not_found',
      '/stops/1/legs/0/helper reference_not_found',
    ]);
  });

  test('keep what they lead to from going, or go with it, and touch nothing else', async () => {
    const [start, lead, guest, helper] = [await aGuide(), await aGuide(), await aGuide(), await aGuide()];
    const leg = { helper: null, km: 2 };
    const trip = await aTrip({
      start: { city: 'Rome', spot: null, guide: start },
      stops: [
        { ...stop, lead, guests: [guest, helper], legs: [{ helper, km: 1 }, leg] },
        { ...stop, guests: [helper] },
        { ...stop, legs: [leg] },
      ],
    });
    for (const [guide, field] of [
      [start, 'start.guide'],
      [lead, 'stops.lead'],
    ])
      expect((await api.delete(`/guides/${guide}`)).body.blockers).toEqual([
        { resource: 'trips', field, count: 1, ids: [trip.id], link: `/trips?${field}=${guide}` },
      ]);
    expect((await api.delete(`/guides/${helper}`)).status).toBe(204);
    expect((await api.get(`/trips/${trip.id}`)).body.stops).toEqual([
      { ...stop, lead, guests: [guest], legs: [{ helper: null, km: 1 }, leg] },
      stop,
      { ...stop, legs: [leg] },
    ]);
  });

  test('to documents of their own resource cascade down', async () => {
    const top = await aTrip();
    const part = await aTrip({ part: top.id });
    const small = await aTrip({ part: part.id });
    const other = await aTrip();
    await api.patch(`/trips/${top.id}`, { part: small.id });
    expect((await api.delete(`/trips/${part.id}`)).status).toBe(204);
    expect((await api.get('/trips')).body.items.map(({ id }: any) => id)).toEqual([other.id]);
  });

  test('become references to another document, once in each list', async () => {
    const [from, to, else_] = [await aGuide(), await aGuide(), await aGuide()];
    const trip = await aTrip({
      start: { city: 'Rome', spot: null, guide: from },
      stops: [
        { ...stop, lead: from, guests: [from, else_, to], legs: [{ helper: from, km: 1 }] },
        { ...stop, lead: else_, guests: [else_, from], legs: [{ helper: to, km: 1 }] },
      ],
    });
    const { body } = await api.post(`/guides/${from}/merge`, { into: to });
    expect(body.changed).toBeGreaterThan(0);
    expect((await api.get(`/trips/${trip.id}`)).body).toMatchObject({
      start: { guide: to },
      stops: [
        { lead: to, guests: [else_, to], legs: [{ helper: to }] },
        { lead: else_, guests: [else_, to], legs: [{ helper: to }] },
      ],
    });
  });

  test('show documents in their places, with the fields that were asked for', async () => {
    const head = await aGuide('Hal');
    const guide = await aGuide('Ada', { team: head });
    const { id } = await aTrip({
      start: { city: 'Rome', spot: { x: 1, y: 2, zone: null }, guide },
      stops: [{ ...stop, lead: guide, guests: [guide], legs: [{ helper: guide, km: 1 }] }, stop],
    });
    const include = 'include=start.guide,stops.lead.team,stops.guests,stops.legs.helper';
    const whole = (await api.get(`/trips/${id}?${include}`)).body;
    expect(whole.start).toMatchObject({ city: 'Rome', guide: { id: guide, name: 'Ada', team: head } });
    expect(whole.stops[0]).toMatchObject({ lead: { team: { name: 'Hal' } }, guests: [{ name: 'Ada' }] });
    expect(whole.stops[0].legs).toMatchObject([{ helper: { name: 'Ada' }, km: 1 }]);
    expect(whole.stops[1]).toEqual(stop);

    const fields = 'fields=start.guide.name,start.spot.x,stops.lead.team.name,stops.guests,stops.legs.km';
    const { body } = await api.get(`/trips?${include}&${fields}`);
    expect(body.items).toEqual([
      {
        id,
        start: { guide: { id: guide, name: 'Ada' }, spot: { x: 1 } },
        stops: [
          {
            lead: { id: guide, team: { id: head, name: 'Hal' } },
            guests: [expect.objectContaining({ name: 'Ada', team: head })],
            // What is included is shown without being chosen.
            legs: [{ helper: expect.objectContaining({ name: 'Ada' }), km: 1 }],
          },
          { lead: null, guests: [], legs: [] },
        ],
      },
    ]);
    const reverse = (
      await api.get(
        `/guides/${guide}?include=tripsByStopsLegsHelper&fields=name,tripsByStopsLegsHelper.stops.note`,
      )
    ).body;
    expect(reverse).toEqual({
      id: guide,
      name: 'Ada',
      tripsByStopsLegsHelper: {
        items: [{ id, stops: [{ note: 'Lunch' }, { note: 'Lunch' }] }],
        hasMore: false,
      },
    });
    expect((await api.get(`/trips?fields=stops.lead.name`)).body.detail).toContain(
      'which needs that document in include',
    );
    expect((await api.get(`/trips?fields=payment.by`)).status).toBe(422);
  });

  test('may be names of what the same batch creates', async () => {
    const operations = [
      { method: 'create', resource: 'guides', as: 'ada', body: { name: '$ada' } },
      {
        method: 'create',
        resource: 'trips',
        as: 'whole',
        body: {
          title: '$ada',
          start: { city: '$ada', spot: null, guide: '$ada' },
          stops: [{ ...stop, note: '$ada', guests: ['$ada'], legs: [{ helper: '$ada', km: 1 }] }],
        },
      },
      { method: 'create', resource: 'trips', body: { title: 'Part', part: '$whole' } },
    ];
    const { status, body } = await api.post('/batch', { operations });
    expect(status).toBe(200);
    const [ada, whole, part] = body.results.map(({ document }: any) => document);
    expect(whole).toMatchObject({
      title: '$ada',
      start: { city: '$ada', guide: ada.id },
      stops: [{ note: '$ada', guests: [ada.id], legs: [{ helper: ada.id }] }],
    });
    expect(part.part).toBe(whole.id);
    const bad = [{ ...operations[1], body: { title: 'T', stops: [{ ...stop, guests: ['$nobody'] }] } }];
    expect(faultsOf(await api.post('/batch', { operations: bad }))).toEqual([
      422,
      '/operations/0/body/stops/0/guests/0 invalid_format',
    ]);
  });

  test('that other tools broke are found, shown and mended', async () => {
    const [kept, gone] = [await aGuide('Ada'), await aGuide('Bea')];
    const legs = [
      { helper: gone, km: 1 },
      { helper: kept, km: 2 },
    ];
    const { id } = await aTrip({
      start: { city: 'Rome', spot: null, guide: gone },
      stops: [
        { ...stop, lead: kept, guests: [gone, kept], legs },
        { ...stop, guests: [gone] },
      ],
    });
    await aTrip({ stops: [{ ...stop, lead: kept }] });
    await database()
      .collection('guides')
      .deleteOne({ _id: new Types.ObjectId(gone) });

    const shown = await database()
      .collection('trips_named')
      .findOne({ _id: new Types.ObjectId(id) });
    expect(shown).toMatchObject({
      start: { city: 'Rome', guide: new Types.ObjectId(gone) },
      stops: [
        {
          lead: 'Ada',
          guests: [new Types.ObjectId(gone), 'Ada'],
          legs: [{ km: 1 }, { helper: 'Ada', km: 2 }],
        },
        { lead: null },
      ],
    });
    const view = await database().collection('dangling_references').find().toArray();
    expect(view.map(({ field, missing }) => `${field} ${missing}`).toSorted()).toEqual(
      ['start.guide', 'stops.guests', 'stops.legs.helper'].map((field) => `${field} ${gone}`),
    );
    const found = async (mending: boolean) => {
      const all = [];
      for await (const { dangling } of checkReferences(Trip, mending ? transaction : undefined))
        all.push(...dangling);
      return all.map(({ reference, missing, mended }) => [reference.field, missing.length, mended]);
    };
    expect(await found(false)).toEqual([
      ['start.guide', 1, false],
      ['stops.guests', 2, false],
      ['stops.legs.helper', 1, false],
    ]);
    await found(true);
    // What is restricted no machine can mend.
    expect(await found(true)).toEqual([['start.guide', 1, false]]);
    expect((await api.get(`/trips/${id}`)).body.stops).toEqual([
      { ...stop, lead: kept, guests: [kept], legs: [{ helper: null, km: 1 }, legs[1]] },
      stop,
    ]);
  });
});

describe('PATCH goes into objects at every level (RFC 7396)', () => {
  const start = { city: 'Rome', spot: { x: 1, y: 2, zone: 'z' }, guide: null };
  const whole = {
    start,
    labels: { en: 'x', de: 'y' },
    payment: { by: 'card', last4: '1234', amount: '3.00' },
    stops: [stop],
  };

  test.each<[object, object]>([
    [{ start: { city: 'Oslo' } }, { start: { ...start, city: 'Oslo' } }],
    [{ start: { spot: { x: 5, zone: null } } }, { start: { ...start, spot: { x: 5, y: 2, zone: null } } }],
    [{ start: { spot: null } }, { start: { ...start, spot: null } }],
    [
      { start: null, title: 'U' },
      { start: null, title: 'U' },
    ],
    [{ labels: { de: null, fr: 'z' } }, { labels: { en: 'x', fr: 'z' } }],
    [{ payment: { amount: '4.5' } }, { payment: { ...whole.payment, amount: '4.50' } }],
    [{ payment: { by: 'cash', last4: null } }, { payment: { by: 'cash', amount: '3.00' } }],
    [{ stops: [] }, { stops: [] }],
    [{ start: {} }, {}],
  ])('%j', async (patch, changed) => {
    const trip = await aTrip(whole);
    const { status, body } = await api.patch(`/trips/${trip.id}`, patch);
    expect([status, body]).toEqual([200, { ...trip, ...changed, updatedAt: body.updatedAt }]);
  });

  test('an object that was null has what the patch says, and null for the rest', async () => {
    const { id } = await aTrip();
    expect(faultsOf(await api.patch(`/trips/${id}`, { start: { spot: { x: 1 } } }))).toEqual([
      422,
      '/start/city required',
      '/start/spot/y required',
    ]);
    expect((await api.patch(`/trips/${id}`, { start: { city: 'Rome' } })).body.start).toEqual({
      city: 'Rome',
      spot: null,
      guide: null,
    });
  });

  test.each<[object, string[]]>([
    [
      { start: { spot: { x: 'a', q: 1 }, city: '' } },
      ['city too_short', 'spot/x invalid_type', 'spot/q unknown_field'],
    ],
    [{ start: { city: null } }, ['city invalid_type']],
    [{ start: { guide: nowhere } }, ['guide reference_not_found']],
  ])('faults have the full pointer: %j', async (patch, faults) => {
    const { id } = await aTrip(whole);
    const found = faultsOf(await api.patch(`/trips/${id}`, patch));
    expect(found).toEqual([422, ...faults.map((fault) => `/start/${fault}`)]);
  });

  test('also in a batch, with names of what it creates', async () => {
    const { id } = await aTrip(whole);
    const operations = [
      { method: 'create', resource: 'guides', as: 'ada', body: { name: 'Ada' } },
      { method: 'update', resource: 'trips', id, body: { start: { guide: '$ada' } } },
    ];
    const { body } = await api.post('/batch', { operations });
    const [ada, trip] = body.results.map(({ document }: any) => document);
    expect(trip.start).toEqual({ ...start, guide: ada.id });
    expect((await api.delete(`/guides/${ada.id}`)).status).toBe(409);
  });
});

describe('paths', () => {
  const titles = async (query: string): Promise<string> => {
    const { status, body } = await api.get(`/trips?${query}`);
    expect([query, status]).toEqual([query, 200]);
    return body.items.map(({ title }: any) => title).join('');
  };

  beforeEach(async () => {
    const [a, b] = [await aGuide('Ada'), await aGuide('Bea')];
    await aTrip({
      title: 'A',
      price: '10.10',
      rating: 4.5,
      begins: '2026-01-01',
      start: { city: 'Genoa', spot: { x: 1.5, y: 0, zone: null }, guide: a },
      stops: [
        { ...stop, note: 'Lunch at sea', guests: [a, b] },
        { ...stop, note: 'Tea', fee: '20' },
      ],
      payment: { by: 'cash', amount: '1' },
    });
    await aTrip({
      title: 'B',
      price: '9.99',
      rating: 4.25,
      begins: '2026-06-01',
      start: { city: 'Rome', spot: null, guide: null },
      stops: [{ ...stop, lead: b }],
      payment: { by: 'none' },
    });
    await aTrip({ title: 'C' });
  });

  test.each([
    ['price[gte]=10', 'A'],
    ['price[lt]=10.1', 'B'],
    ['price=9.990', 'B'],
    ['price[in]=9.99,10.1', 'AB'],
    ['rating=4.25', 'B'],
    ['rating[gt]=4.3', 'A'],
    ['rating[lt]=1e1', 'AB'],
    ['begins[gte]=2026-02-01', 'B'],
    ['begins[exists]=false', 'C'],
    ['start.city=Rome', 'B'],
    ['start.city[contains]=ENO', 'A'],
    ['start.city[exists]=true', 'AB'],
    ['start.city[exists]=false', 'C'],
    ['start.spot.x[gt]=1.2', 'A'],
    ['start.spot.x[exists]=false', 'BC'],
    ['stops.lead[exists]=true', 'B'],
    ['stops.lead[exists]=false', 'AC'],
    ['stops.guests[exists]=true', 'A'],
    ['stops.guests[exists]=false', 'BC'],
    ['stops.note[contains]=SEA', 'A'],
    ['stops.note[all]=Tea&stops.note[all]=Lunch at sea', 'A'],
    ['stops.fee[gt]=15', 'A'],
    ['payment.by=cash', 'A'],
    ['payment.by[in]=cash,none', 'AB'],
    ['payment.by[exists]=false', 'C'],
    ['createdAt[gt]=2020-01-01T00:00:00Z', 'ABC'],
    ['createdAt[lt]=2020-01-01T00:00:00Z', ''],
  ])('filter by %s', async (query, expected) => {
    expect(
      Array.from(await titles(query))
        .toSorted()
        .join(''),
    ).toBe(expected);
  });

  test('filter by nested references, by several ids, and by all of some', async () => {
    const { items } = (await api.get('/guides?sort=id')).body;
    const [a, b] = items.map(({ id }: any) => id);
    expect(await titles(`start.guide=${a}`)).toBe('A');
    expect(await titles(`stops.lead=${b}`)).toBe('B');
    expect(await titles(`stops.guests[all]=${a},${b}`)).toBe('A');
    expect(await titles(`stops.guests[all]=${a},${nowhere}`)).toBe('');
    const trips = (await api.get('/trips?sort=id')).body.items.map(({ id }: any) => id);
    expect(await titles(`sort=id&id[in]=${trips[0]},${trips[2]},${nowhere}`)).toBe('AC');
  });

  test.each(['price', 'rating', 'begins', 'start.city', 'start.spot.x', 'createdAt'])(
    'sort by %s, page by page, forwards and backwards',
    async (sort) => {
      for (const sign of ['', '-']) {
        const seen = [];
        for (let after = ''; ; ) {
          const { body } = await api.get(`/trips?limit=1&fields=title&sort=${sign}${sort}${after}`);
          seen.push(body.items[0].title);
          if (body.page.next === null) break;
          after = `&after=${body.page.next}`;
        }
        const whole = await titles(`sort=${sign}${sort}`);
        expect([sort, seen.join('')]).toEqual([sort, whole]);
        expect(whole).toHaveLength(3);
      }
    },
  );

  test.each([
    ['price=x', 'invalid_format'],
    ['price=1e3', 'invalid_format'],
    ['rating=1e999', 'invalid_type'],
    ['rating=0x1', 'invalid_format'],
    ['begins=2026-02-30', 'invalid_format'],
    ['start.spot.x=a', 'invalid_format'],
    ['payment.by=gold', 'invalid_value'],
    ['start.cty=Rome', 'unknown_parameter'],
    ['id=65f000000000000000000f11', 'unknown_parameter'],
    ['sort=stops.note', 'invalid_value'],
  ])('refuse %s', async (query, code) => {
    const { status, body } = await api.get(`/trips?${query}`);
    expect([status, body.errors.map((fault: any) => fault.code)]).toEqual([422, [code]]);
  });

  test('are the columns of a CSV: an object has one for each of its fields', async () => {
    const csv = async (query: string) =>
      (await api.get(`/trips/export?format=csv&sort=price&${query}`)).body as string;
    const [header, , , a] = (await csv('')).split('\r\n');
    expect(header).toBe(
      'id,title,price,rating,begins,start.city,start.spot.x,start.spot.y,start.spot.zone,start.guide,stops,labels,payment,part,createdAt,updatedAt',
    );
    expect(a).toContain(',A,10.10,4.5,2026-01-01,Genoa,1.5,0,,');
    expect(await csv('fields=start.city,stops.fee,price')).toMatch(
      /^id,price,start.city,stops\r\n\w+,,,\[\]\r\n\w+,9.99,Rome,"\[\{""fee"":null\}\]"\r\n/,
    );
  });
});
