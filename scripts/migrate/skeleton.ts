import { type Difference, isSame } from '../../src/mongo/differences.ts';
import { type Index, type IndexLayout, indexName, type JsonSchema, nameOf } from '../../src/mongo/layout.ts';
import { type Draft, type Rename, writeField } from './fields.ts';
import { literal, newSource, type Source } from './source.ts';

/**
 * The sources of migrations that make a database match the definitions, in two parts: changes that the previous
 * version can work with are applied before the deployment; the others after it.
 */
export function skeleton(differences: Difference[], renames: string[] = []): Draft {
  const draft: Draft = { before: newSource(), after: newSource() };
  const pairs = renames.map((rename) => findRename(rename, differences));
  for (const difference of differences)
    if (!isOfView(difference)) write(draft, difference, pairs, differences);
  return draft;
}

/** Views are recreated whenever migrations are applied. */
export const isOfView = (difference: Difference): boolean =>
  difference.what === 'view' ||
  (difference.what === 'collection' && (difference.wanted ?? difference.found)?.view !== undefined);

/** The collection in which one field disappears and the other is new. */
function findRename(text: string, differences: Difference[]): Rename {
  const [, inCollection, from, to] = /^(?:(\w+)\/)?(\w+):(\w+)$/.exec(text) ?? [];
  if (from === undefined || to === undefined)
    throw new Error(`--rename takes OLD:NEW or COLLECTION/OLD:NEW, not "${text}".`);
  const fits = differences.flatMap((difference) => {
    if (difference.what !== 'validator') return [];
    const { collection, found, wanted } = difference;
    const [had, has] = [found?.properties ?? {}, wanted?.properties ?? {}];
    const isMeant = from in had && !(from in has) && to in has && !(to in had);
    return isMeant && collection === (inCollection ?? collection) ? [collection] : [];
  });
  if (fits.length === 1) return { collection: fits[0] as string, from, to };
  throw new Error(
    fits.length === 0
      ? `--rename ${text}: there is no collection in which ${from} is no longer defined and ${to} is new.`
      : `--rename ${text}: name the collection, one of ${fits.join(', ')}: --rename ${fits[0]}/${from}:${to}`,
  );
}

function write(draft: Draft, difference: Difference, renames: Rename[], all: Difference[]): void {
  const { before, after } = draft;
  const { what, collection } = difference;
  const target = literal(collection);
  switch (what) {
    case 'collection': {
      const { wanted } = difference;
      if (!wanted) {
        after.comment('This removes its documents.');
        return after.step('structure', 'dropCollection', target);
      }
      const indexes = Object.entries(wanted.indexes).map(([name, index]) => withName(name, index));
      return before.step('structure', 'createCollection', target, literal({ ...wanted, indexes }));
    }
    case 'index': {
      const { name, wanted, found } = difference;
      // MongoDB allows one index per name, and one per content: the old one is dropped first.
      const goesFirst = all.some(
        (other) => other.what === 'index' && other.collection === collection && isSame(other.found, wanted),
      );
      if (!(found && wanted) && isUniqueInPart(found ?? wanted, collection, all))
        return writeUnique(draft, collection, name, { found, wanted });
      const where = found || goesFirst ? after : before;
      if (found) where.step('structure', 'dropIndex', target, literal(withName(name, found)));
      if (wanted) where.step('structure', 'createIndex', target, literal(withName(name, wanted)));
      return;
    }
    case 'view':
      return;
    case 'validator':
      return writeValidator(draft, collection, difference.found ?? {}, difference.wanted ?? {}, renames);
    case 'images':
      return difference.wanted
        ? before.step('structure', 'keepImages', target)
        : after.step('structure', 'dropImages', target);
    case 'rule': {
      // The previous version may store what breaks a new rule, and the next one what breaks a former rule.
      const { name, wanted, found } = difference;
      const changeRule = (part: string, source: Source) =>
        source.step('structure', 'changeRule', target, literal(name), part);
      if (found) changeRule(`{ from: ${literal(found)} }`, before);
      if (wanted) changeRule(`{ to: ${literal(wanted)} }`, after);
      return;
    }
    case 'validation':
      return before.comment(`The validator of ${collection} is not enforced; changing it enforces it.`);
  }
}

/** Whether a unique index has a field that documents of one of the two versions lack. */
function isUniqueInPart(index: IndexLayout | undefined, collection: string, all: Difference[]): boolean {
  if (!index?.['unique'] || index['partialFilterExpression']) return false;
  return all.some((other) => {
    if (other.what !== 'validator' || other.collection !== collection) return false;
    const [had, has] = [other.found?.properties ?? {}, other.wanted?.properties ?? {}];
    return Object.keys(index.key).some((path) => {
      const [field = ''] = path.split('.');
      return field in had !== field in has;
    });
  });
}

/** For MongoDB missing values are equal: while both versions run, the index covers only documents with a value. */
function writeUnique(
  { before, after }: Draft,
  collection: string,
  name: string,
  { found, wanted }: { found: IndexLayout | undefined; wanted: IndexLayout | undefined },
): void {
  const { key, ...options } = (wanted ?? found) as IndexLayout;
  const filter = Object.fromEntries(Object.keys(key).map((path) => [path, { $exists: true }]));
  const partial = withName(indexName({ key, where: filter } as Index, options['collation'] as never), {
    key,
    ...options,
    partialFilterExpression: filter,
  });
  const step = (source: Source, builder: 'createIndex' | 'dropIndex', index: object) =>
    source.step('structure', builder, literal(collection), literal(index));
  step(before, 'createIndex', partial);
  if (found) step(before, 'dropIndex', withName(name, found));
  if (wanted) step(after, 'createIndex', withName(name, wanted));
  step(after, 'dropIndex', partial);
}

const withName = (name: string, index: IndexLayout) => ({
  ...(name !== nameOf(index.key) && { name }),
  ...index,
});

function writeValidator(
  draft: Draft,
  collection: string,
  found: JsonSchema,
  wanted: JsonSchema,
  renames: Rename[],
): void {
  const { properties: had = {}, required: requiredBefore = [], ...restBefore } = found;
  const { properties: has = {}, required: requiredAfter = [], ...restAfter } = wanted;
  const rule = (schema: JsonSchema | undefined, required: boolean) => schema && { schema, required };
  // Additions before removals, because a value may move.
  for (const field of new Set([...Object.keys(has), ...Object.keys(had)])) {
    const from = rule(had[field], requiredBefore.includes(field));
    const to = rule(has[field], requiredAfter.includes(field));
    if (!isSame(from, to)) writeField(draft, { collection, field, from, to }, renames);
  }
  if (!isSame(restBefore, restAfter))
    draft.after.step(
      'structure',
      'changeValidator',
      literal(collection),
      `{ from: ${literal({ ...found, properties: has, required: requiredAfter })}, to: ${literal(wanted)} }`,
    );
}
