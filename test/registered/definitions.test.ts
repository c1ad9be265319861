import { z } from 'zod';
import { resources } from '../../src/resources/api.ts';
import { modelOf } from '../../src/schema/model.ts';
import { indexName } from '../../src/mongo/layout.ts';
import { isRestricted } from '../../src/schema/access.ts';
import { constantsOf } from '../../src/schema/defaults.ts';

/** What holds for every definition that is registered. */

const kindsOf = (schema: any): string[] => {
  const { type, innerType, element, shape, in: from, out } = schema.def;
  const inner = [innerType, element, from, out, ...Object.values(shape ?? {})].filter(Boolean);
  return [type, ...inner.flatMap(kindsOf)];
};

describe.each(resources)('$name', (definition) => {
  const { fields, body, bodies, computed, document, example, indexes, paths, readable } = definition;

  test('has no default inside its fields, which a PATCH would put back', () => {
    for (const field of Object.values(fields))
      expect(
        kindsOf(field).filter((kind) => ['default', 'prefault', 'catch', 'optional'].includes(kind)),
      ).toEqual([]);
    expect(bodies.update.parse({})).toEqual({});
  });

  test('has an example that is a valid answer', () => {
    expect(document.safeParse(example).error).toBeUndefined();
  });

  test('has defaults that its own rules allow', () => {
    for (const [name, value] of Object.entries(constantsOf(definition)))
      expect([
        name,
        (fields[name] as z.ZodType).safeParse(z.encode(fields[name] as z.ZodType, value)).data,
      ]).toEqual([name, value]);
  });

  test('refuses whatever it does not declare', () => {
    for (const schema of [body, ...Object.values(bodies), document]) {
      const issues = schema.safeParse({ ...example, surprise: 1 }).error?.issues ?? [];
      expect(issues.flatMap((issue) => (issue.code === 'unrecognized_keys' ? issue.keys : []))).toContain(
        'surprise',
      );
    }
  });

  test('lets no client write its id or its times', () => {
    for (const name of ['id', '_id', 'createdAt', 'updatedAt']) {
      expect(body.shape).not.toHaveProperty(name);
      const issues = bodies.update.safeParse({ [name]: 'x' }).error?.issues ?? [];
      expect(issues).toMatchObject([{ code: 'unrecognized_keys' }]);
    }
  });

  test('has indexes of its own fields only, and no two that are the same', () => {
    for (const { key } of indexes)
      for (const name of Object.keys(key)) expect([...paths.keys(), '_id']).toContain(name);
    expect(new Set(indexes.map((index) => indexName(index))).size).toBe(indexes.length);
  });

  test('has in its model what it has in its fields', () => {
    expect(Object.keys(modelOf(definition).schema.paths).toSorted()).toEqual(
      [...Object.keys(fields), '_id', 'createdAt', 'updatedAt'].toSorted(),
    );
    // What not everybody sees stands in it, too.
    const shown = Object.keys(document.shape).filter((name) => !isRestricted(definition, name));
    const derived = Object.keys(computed).filter((name) => !isRestricted(definition, name));
    expect(shown).toEqual(['id', ...readable, ...derived, 'createdAt', 'updatedAt']);
  });
});

test('no two resources have the same name or collection', () => {
  for (const part of ['name', 'collection'] as const)
    expect(new Set(resources.map((definition) => definition[part])).size).toBe(resources.length);
});
