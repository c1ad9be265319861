import { describe, expect, test } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { Types } from 'mongoose';
import { z } from 'zod';
import { create, remove, update } from '../src/http/crud.ts';
import { list } from '../src/http/list.ts';
import { Book, resources, User } from '../src/resources/index.ts';
import { instant, objectId, setOf, text } from '../src/schema/fields.ts';
import { isPublic, resource } from '../src/schema/resource.ts';
import { shapeOf } from '../src/schema/shape.ts';

/** What holds for every definition, and what the parts of a definition promise. */

const kindsOf = (schema: any): string[] => {
  const { type, innerType, element, shape, in: from, out } = schema.def;
  const inner = [innerType, element, from, out, ...Object.values(shape ?? {})].filter(Boolean);
  return [type, ...inner.flatMap(kindsOf)];
};

let count = 0;
/** A definition of which only the fields matter. */
const define = (fields: Record<string, z.ZodType>, rest: object = {}) =>
  resource(`Thing${++count}`, {
    collection: `things${count}`,
    description: 'A thing',
    fields,
    example: { id: '65f000000000000000000e01' },
    ...rest,
  } as any);

describe.each(resources)('$name', (definition) => {
  const { fields, body, patch, document, example, defaults, indexes, readable, model } = definition;

  test('has no default inside its fields, which a PATCH would put back', () => {
    for (const field of Object.values(fields))
      expect(
        kindsOf(field).filter((kind) => ['default', 'prefault', 'catch', 'optional'].includes(kind)),
      ).toEqual([]);
    expect(patch.parse({})).toEqual({});
  });

  test('has an example that is a valid answer', () => {
    expect(document.safeParse(example).error).toBeUndefined();
  });

  test('has defaults that its own rules allow', () => {
    for (const [name, value] of Object.entries(defaults))
      expect([
        name,
        (fields[name] as z.ZodType).safeParse(z.encode(fields[name] as z.ZodType, value)).data,
      ]).toEqual([name, value]);
  });

  test('refuses whatever it does not declare', () => {
    for (const schema of [body, patch, document]) {
      const issues = schema.safeParse({ ...example, surprise: 1 }).error?.issues ?? [];
      expect(issues.flatMap((issue) => (issue.code === 'unrecognized_keys' ? issue.keys : []))).toContain(
        'surprise',
      );
    }
  });

  test('lets no client write its id or its times', () => {
    for (const name of ['id', '_id', 'createdAt', 'updatedAt']) {
      expect(body.shape).not.toHaveProperty(name);
      expect(patch.shape).not.toHaveProperty(name);
    }
  });

  test('has indexes of its own fields only, and no two that are the same', () => {
    for (const { key } of indexes)
      for (const name of Object.keys(key))
        expect([...Object.keys(fields), 'createdAt', 'updatedAt', '_id']).toContain(name);
    const keys = indexes.map(({ key }) => JSON.stringify(key));
    expect(new Set(keys).size).toBe(keys.length);
  });

  test('has in its model what it has in its fields', () => {
    expect(Object.keys(model.schema.paths).toSorted()).toEqual(
      [...Object.keys(fields), '_id', 'createdAt', 'updatedAt'].toSorted(),
    );
    // What is private stands in it, too, where the caller may see it.
    const shown = Object.keys(document.shape).filter((name) => isPublic(definition, name));
    expect(shown).toEqual(['id', ...readable, 'createdAt', 'updatedAt']);
  });
});

test('no two resources have the same name or collection', () => {
  for (const part of ['name', 'collection'] as const)
    expect(new Set(resources.map((definition) => definition[part])).size).toBe(resources.length);
});

describe('a definition is refused at start', () => {
  test.each([
    ['z.map()', z.map(z.string(), z.string())],
    ['z.any()', z.any()],
    ['z.unknown()', z.unknown()],
    ['z.record()', z.record(z.string(), z.string())],
    ['z.string().default()', z.string().default('x')],
    ['z.string().optional()', z.string().optional()],
    ['z.array(z.any())', z.array(z.any())],
    ['z.object({ a: z.any() })', z.object({ a: z.any() })],
  ])('for a field %s, which Mongoose would not check', (_, field) => {
    expect(() => define({ odd: field })).toThrow(/The field (odd|a)/);
  });

  test('for a list that sorts by what is not one value', () => {
    expect(() => list(Book, { filter: [], sort: ['authors'] })).toThrow('Book cannot be sorted by authors');
    expect(() =>
      list(define({ place: z.object({ city: text(1, 9) }) }), { filter: [], sort: ['place'] }),
    ).toThrow('sorted');
  });

  test('for a list that filters or sorts by what no answer shows', () => {
    for (const name of ['passwordHash', 'email'] as const) {
      expect(() => list(User, { filter: [name], sort: [] })).toThrow(`User cannot be filtered by ${name}`);
      expect(() => list(User, { filter: [], sort: [name] })).toThrow(`User cannot be sorted by ${name}`);
    }
  });

  test('for a filter or an order without an index, and says which to add', () => {
    const fields = { name: text(1, 9), year: z.int() };
    const indexes = [
      { key: { name: 1, _id: 1 }, where: { name: { $gt: '' } } },
      { key: { year: 1 } },
      { key: { year: -1, name: 1, _id: 1 } },
    ];
    const thing = define(fields, { indexes });
    const listing = (filter: string[], sort: string[]) => () => list(thing, { filter, sort } as never);
    expect(listing(['year'], ['-year,name', 'year,-name'])).not.toThrow();
    expect(listing(['name'], [])).toThrow(
      /Thing\d+ cannot be filtered by name: it leads no index. Add { key: { name: 1, _id: 1 } } to/,
    );
    // One of some documents, one without an end that is unique, one in which the other field goes the other way.
    for (const [sort, key] of [
      ['name', 'name: 1, _id: 1'],
      ['year', 'year: 1, _id: 1'],
      ['year,name', 'year: 1, name: 1, _id: 1'],
    ] as const)
      expect(listing([], [sort])).toThrow(
        `cannot be sorted by ${sort}: no index has that order. Add { key: { ${key} } }`,
      );
  });

  test('without its parts, as is a route, which the compiler refuses, too', () => {
    expect(() => define({}, { example: undefined, description: undefined })).toThrow(
      /The resource Thing\d+ lacks "description", "example"/,
    );
    // @ts-expect-error
    expect(() => create(Book)).toThrow('create(Book, …) lacks "example"');
    // @ts-expect-error
    expect(() => update(Book, {})).toThrow('update(Book, …) lacks "example"');
    // @ts-expect-error
    expect(() => remove(Book)).toThrow('remove(Book, …) lacks "example"');
    // @ts-expect-error
    expect(() => list(Book)).toThrow('The list of Book lacks "filter", "sort"');
  });

  test('for a filter or an order that is no field; the compiler refuses it too, and an example that lacks a field', () => {
    // @ts-expect-error
    expect(() => list(Book, { filter: ['colour'], sort: [] })).toThrow();
    // @ts-expect-error
    expect(() => list(Book, { filter: [], sort: ['colour'] })).toThrow();
    const nameless = {
      collection: 'x',
      description: 'x',
      fields: { name: text(1, 2) },
      example: { id: 'x' },
    };
    // @ts-expect-error
    expect(() => resource('Nameless', nameless)).not.toThrow();
  });
});

describe('text()', () => {
  const ajv = new Ajv2020({ strict: false });
  test.each<[string, number, number, boolean]>([
    ['', 0, 5, true],
    ['', 1, 5, false],
    ['a', 1, 5, true],
    ['abcde', 1, 5, true],
    ['abcdef', 1, 5, false],
    ['📚📚📚📚📚', 1, 5, true],
    ['📚📚📚📚📚📚', 1, 5, false],
    ['📚', 2, 5, false],
    ['e\u0301', 2, 2, true],
    ['   ', 1, 5, false],
    ['   ', 0, 5, true],
    ['\u2003\u00a0', 1, 5, false],
    [' a ', 1, 5, true],
  ])('says of %j with %i to %i characters: %s, and so does its JSON Schema', (value, min, max, fits) => {
    expect(text(min, max).safeParse(value).success).toBe(fits);
    expect(ajv.validate(z.toJSONSchema(text(min, max)), value)).toBe(fits);
  });

  test.each(['\0', 'a\0b', '\ud800', '\udc00\ud800', 'a\udfff'])(
    'refuses %j, which MongoDB or another tool would change',
    (value) => {
      expect(text(0, 9).safeParse(value).success).toBe(false);
    },
  );
});

describe('what is one thing on the wire and another in MongoDB', () => {
  test('is an id there and back', () => {
    const id = objectId().parse('65F000000000000000000b01');
    expect(id).toBeInstanceOf(Types.ObjectId);
    expect(z.encode(objectId(), id)).toBe('65f000000000000000000b01');
    for (const bad of [
      '',
      'x',
      '65f000000000000000000b0',
      '65f000000000000000000b011',
      'abcdefabcdef',
      1,
      null,
      { $oid: '' },
    ])
      expect(objectId().safeParse(bad).success).toBe(false);
  });

  test('is a time there and back, whatever its zone', () => {
    expect(z.encode(instant(), instant().parse('2026-01-31T13:00:00+01:00'))).toBe(
      '2026-01-31T12:00:00.000Z',
    );
    for (const bad of [
      '',
      '2026-01-31',
      '2026-02-30T00:00:00Z',
      '2026-01-31T12:00:00',
      '2026-01-31 12:00:00Z',
      0,
      null,
    ])
      expect([bad, instant().safeParse(bad).success]).toEqual([bad, false]);
  });

  test('is a list in which nothing stands twice, however it is written', () => {
    const ids = setOf(objectId(), 2);
    expect(ids.safeParse(['65f000000000000000000b01', '65f000000000000000000b02']).success).toBe(true);
    const { error } = ids.safeParse(['65f000000000000000000b01', '65F000000000000000000B01']);
    expect(error?.issues).toMatchObject([{ path: [1], params: { code: 'repeated' } }]);
  });
});

test('an answer has the declared fields only, at every depth, and no value fails it', () => {
  const shape = shapeOf(
    z.strictObject({
      id: objectId(),
      at: instant().nullable(),
      list: z.array(z.strictObject({ name: text(1, 9) })),
      place: z.strictObject({ city: text(1, 9) }).nullable(),
    }),
  );
  const _id = new Types.ObjectId('65f000000000000000000b01');
  expect(
    shape({
      _id,
      at: new Date(0),
      list: [{ name: 'a', secret: 1 }],
      place: { city: 'b', secret: 1 },
      secret: 1,
    }),
  ).toEqual({
    id: '65f000000000000000000b01',
    at: '1970-01-01T00:00:00.000Z',
    list: [{ name: 'a' }],
    place: { city: 'b' },
  });
  expect(shape({ _id })).toEqual({ id: '65f000000000000000000b01', at: null, list: [], place: null });
  for (const odd of [null, 'x', 5, [], [null, 'x'], new Date(Number.NaN)])
    expect(() => JSON.stringify(shape({ _id, at: odd, list: odd, place: odd }))).not.toThrow();
});
