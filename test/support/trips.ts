import { z } from 'zod';
import { batch } from '../../src/http/batch.ts';
import { command } from '../../src/http/command.ts';
import { create, read, remove, replace, update } from '../../src/http/crud.ts';
import { exportAll } from '../../src/http/export.ts';
import { list } from '../../src/http/list.ts';
import { decimal } from '../../src/schema/decimal.ts';
import { day, instant, mapOf, objectId, ref, setOf, text } from '../../src/schema/fields.ts';
import { redirect } from '../../src/schema/integrity.ts';
import { connect } from '../../src/schema/references.ts';
import { resource } from '../../src/schema/resource.ts';

/** A domain with every kind of field: nested objects, lists of objects with references inside, a map, a union. */

export const Guide = resource('Guide', {
  collection: 'guides',
  description: 'Somebody who knows the way',
  fields: { name: text(1, 50), team: ref('Guide', 'cascade').nullable().describe('The head of the team') },
  policy: { read: ['anyone'] },
  defaults: { team: null },
  indexes: [{ key: { team: 1, _id: 1 } }, { key: { name: 1, _id: 1 } }],
  example: { id: '65f000000000000000000f01', name: 'Ada', team: null },
});

export const Trip = resource('Trip', {
  collection: 'trips',
  description: 'A trip with guides',
  fields: {
    title: text(1, 50),
    price: decimal(7, 2, { min: 0 }).nullable(),
    rating: z.number().min(0).max(5).nullable(),
    begins: day().nullable(),
    start: z
      .strictObject({
        city: text(1, 50),
        spot: z.strictObject({ x: z.number(), y: z.number(), zone: text(1, 9).nullable() }).nullable(),
        guide: ref(Guide, 'restrict').nullable(),
      })
      .nullable(),
    stops: z
      .array(
        z.strictObject({
          note: text(1, 200),
          at: instant().nullable(),
          fee: decimal(5, 2).nullable(),
          lead: ref(Guide, 'restrict').nullable(),
          guests: setOf(ref(Guide, 'detach'), 5),
          legs: z.array(z.strictObject({ helper: ref(Guide, 'detach').nullable(), km: z.number() })).max(5),
        }),
      )
      .max(10),
    labels: mapOf(text(1, 50), 10),
    payment: z
      .discriminatedUnion('by', [
        z.strictObject({ by: z.literal('card'), last4: z.string().regex(/^\d{4}$/), amount: decimal(7, 2) }),
        z.strictObject({ by: z.literal('cash'), amount: decimal(7, 2) }),
        z.strictObject({ by: z.literal('none') }),
      ])
      .nullable(),
    part: ref('Trip', 'cascade').nullable().describe('The trip that it is a part of'),
  },
  policy: { read: ['anyone'] },
  defaults: {
    price: null,
    rating: null,
    begins: null,
    start: null,
    stops: [],
    labels: {},
    payment: null,
    part: null,
  },
  indexes: [
    { key: { title: 1, _id: 1 } },
    { key: { price: 1, _id: 1 } },
    { key: { rating: 1, _id: 1 } },
    { key: { begins: 1, _id: 1 } },
    { key: { 'start.city': 1, _id: 1 } },
    { key: { 'start.spot.x': 1, _id: 1 } },
    { key: { 'start.guide': 1, _id: 1 } },
    { key: { 'stops.note': 1, _id: 1 } },
    { key: { 'stops.fee': 1, _id: 1 } },
    { key: { 'stops.lead': 1, _id: 1 } },
    { key: { 'stops.guests': 1, _id: 1 } },
    { key: { 'stops.legs.helper': 1, _id: 1 } },
    { key: { 'payment.by': 1, _id: 1 } },
    { key: { part: 1, _id: 1 } },
    { key: { createdAt: 1, _id: 1 } },
  ],
  search: ['title'],
  example: {
    id: '65f000000000000000000f11',
    title: 'Along the coast',
    price: '120.50',
    rating: 4.5,
    begins: '2026-05-01',
    start: { city: 'Genoa', spot: { x: 1.5, y: 2, zone: null }, guide: '65f000000000000000000f01' },
    stops: [
      {
        note: 'Lunch',
        at: '2026-05-01T12:00:00.000Z',
        fee: '12.00',
        lead: '65f000000000000000000f01',
        guests: [],
        legs: [{ helper: null, km: 3.5 }],
      },
    ],
    labels: { en: 'coast' },
    payment: { by: 'cash', amount: '120.50' },
    part: null,
  },
});
connect([Guide, Trip]);

export const listing = {
  filter: [
    'id',
    'price',
    'rating',
    'begins',
    'start.city',
    'start.spot.x',
    'start.guide',
    'stops.note',
    'stops.fee',
    'stops.lead',
    'stops.guests',
    'payment.by',
    'createdAt',
  ],
  sort: ['price', 'rating', 'begins', 'start.city', 'start.spot.x', 'createdAt'],
} as const;
const example = { title: 'Up the hill' };
export const routes = () => [
  list(Guide, { filter: ['team'], sort: [] }),
  create(Guide, { example: { name: 'Ada' } }),
  read(Guide),
  update(Guide, { example: { name: 'Bea' } }),
  remove(Guide, { example: '65f000000000000000000f02' }),
  command(Guide, 'merge', {
    summary: 'Make a guide another one',
    description: 'All that refers to it refers to the other one then.',
    body: { schema: z.strictObject({ into: objectId() }), example: { into: '65f000000000000000000f02' } },
    answer: {
      status: 200,
      description: 'Done',
      schema: z.strictObject({ changed: z.int() }),
      example: { changed: 1 },
    },
    problems: ['reference_not_found'],
    handler: async ({ params, body }) => ({
      changed: await redirect(Guide, params.id, body.into, '/into'),
    }),
  }),
  batch([Guide, Trip], {
    example: { operations: [{ method: 'remove', resource: 'trips', id: '65f000000000000000000f12' }] },
  }),
  list(Trip, listing),
  exportAll(Trip, listing),
  create(Trip, { example }),
  read(Trip),
  replace(Trip),
  update(Trip, { example }),
  remove(Trip, { example: '65f000000000000000000f12' }),
];
