import { isDeepStrictEqual } from 'node:util';
import { isSimple } from './collation.ts';
import type { CollectionLayout, Expression, IndexLayout, JsonSchema, Layout, View } from './layout.ts';

/**
 * A difference between a database and the definitions. `wanted` is undefined for what should not exist, `found` for
 * what is missing.
 */
export type Difference =
  | {
      what: 'collection';
      collection: string;
      wanted: CollectionLayout | undefined;
      found: CollectionLayout | undefined;
    }
  | {
      what: 'index';
      collection: string;
      name: string;
      wanted: IndexLayout | undefined;
      found: IndexLayout | undefined;
    }
  | {
      what: 'validator';
      collection: string;
      wanted: JsonSchema | undefined;
      found: JsonSchema | undefined;
    }
  | {
      what: 'rule';
      collection: string;
      /** The rule's code. */
      name: string;
      wanted: Expression | undefined;
      found: Expression | undefined;
    }
  | {
      what: 'view';
      collection: string;
      wanted: View | undefined;
      found: View | undefined;
    }
  | {
      what: 'validation' | 'images';
      collection: string;
      wanted: unknown;
      found: unknown;
    };

export function differences(wanted: Layout, found: Layout): Difference[] {
  const all: Difference[] = [];
  for (const collection of keysOf(wanted, found)) {
    const [want, have] = [wanted[collection], found[collection]];
    if (!want || !have) {
      all.push({ what: 'collection', collection, wanted: want, found: have });
      continue;
    }
    if (!isSame(want.view, have.view))
      all.push({ what: 'view', collection, wanted: want.view, found: have.view });
    if (!isSame(withoutWords(want.schema), withoutWords(have.schema)))
      all.push({ what: 'validator', collection, wanted: want.schema, found: have.schema });
    for (const name of keysOf(want.rules ?? {}, have.rules ?? {})) {
      const rule = { wanted: want.rules?.[name], found: have.rules?.[name] };
      if (!isDeepStrictEqual(rule.wanted, rule.found)) all.push({ what: 'rule', collection, name, ...rule });
    }
    if (want.validation !== have.validation)
      all.push({ what: 'validation', collection, wanted: want.validation, found: have.validation });
    if (Boolean(want.images) !== Boolean(have.images))
      all.push({ what: 'images', collection, wanted: want.images, found: have.images });
    const indexes = underFoundNames(want.indexes, have.indexes);
    // A text index that must be dropped comes before the one that replaces it.
    for (const name of keysOf(have.indexes, indexes)) {
      const index = { wanted: indexes[name], found: have.indexes[name] };
      if (!isSame(index.wanted, index.found)) all.push({ what: 'index', collection, name, ...index });
    }
  }
  return all;
}

type Indexes = CollectionLayout['indexes'];

/** For MongoDB an index under another name is the same index: built by hand, or by an older version. */
function underFoundNames(wanted: Indexes, found: Indexes): Indexes {
  const free = Object.entries(found).filter(([name]) => !wanted[name]);
  const nameIn = (index: IndexLayout) => free.find(([, other]) => isSame(index, other))?.[0];
  return Object.fromEntries(
    Object.entries(wanted).map(([name, index]) => [found[name] ? name : (nameIn(index) ?? name), index]),
  );
}

/** What a schema has for people. */
export const WORDS = new Set(['title', 'description']);

const keysOf = (...objects: object[]): string[] => [...new Set(objects.flatMap(Object.keys))];

/** A schema without titles and descriptions: they are for people, and rewording them needs no migration. */
function withoutWords(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withoutWords);
  if (schema === null || typeof schema !== 'object') return schema;
  return Object.fromEntries(
    Object.entries(schema).flatMap(([name, inner]) =>
      // A property of that name has a schema, not a text.
      WORDS.has(name) && typeof inner === 'string' ? [] : [[name, withoutWords(inner)]],
    ),
  );
}

/**
 * The order of fields matters in the key of an index, and nowhere else, nor does that of `required`. MongoDB reports
 * no collation for an index with the simple one.
 */
export const isSame = (a: unknown, b: unknown): boolean => isDeepStrictEqual(canonical(a), canonical(b));

function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (value === null || typeof value !== 'object' || value instanceof Date) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, inner]) => {
      if (name === 'collation' && isSimple(inner)) return [];
      if (name === 'key') return [[name, JSON.stringify(inner)]];
      if (name === 'required' && Array.isArray(inner)) return [[name, new Set(inner)]];
      return [[name, canonical(inner)]];
    }),
  );
}

/** A difference in words. */
export function describe(difference: Difference): string {
  const { what, collection, wanted, found } = difference;
  const name = 'name' in difference ? ` ${difference.name}` : '';
  const subject = `${collection}: the ${what}${name}`;
  if (what === 'validation') return `${collection}: its validator is not enforced (${String(found)})`;
  if (what === 'images') return `${collection}: pre- and post-images are ${wanted ? 'not ' : ''}kept`;
  if (!found) return `${subject} is missing`;
  if (!wanted) return `${subject} is not in the definitions`;
  return `${subject} differs from the definitions`;
}
