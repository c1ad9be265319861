import { isDeepStrictEqual } from 'node:util';
import type { mongo } from 'mongoose';
import { isSame } from '../differences.ts';
import {
  type CollectionLayout,
  type Expression,
  type IndexLayout,
  isChecked,
  type JsonSchema,
  isOfText,
  nameOf,
  readLayout,
  toMongo,
  type Validator,
  type View,
} from '../layout.ts';
import { dropEmpty, refuseFull } from './former.ts';
import type { Foresight, Step, Structure } from './migration.ts';
import { enforce, SHOWN, setValidator, validatorOf, violators } from './validate.ts';

/** Steps that change the structure of a database. */

/** An index for createIndexes; with its name, if that is not the default. */
type Index = { name?: string } & IndexLayout;

type NewCollection = Omit<CollectionLayout, 'indexes' | 'validation' | 'view'> & { indexes?: Index[] };

/** Creates a collection, or adds what an existing one lacks. Undone only while it is empty. */
export const createCollection = (name: string, layout: NewCollection): Step => ({
  up: adding(!mayRefer(layout.schema?.properties))(
    `create the collection ${name}`,
    name,
    async (db, check) => {
      const { collation, images, indexes = [] } = layout;
      const found = (await readLayout(db, name))[name];
      if (found && !isDeepStrictEqual(found.collation, collation))
        throw otherCollation(name, found.collation);
      if (!found)
        await db.createCollection(name, {
          ...(collation && { collation }),
          ...(isChecked(layout) && { validator: toMongo(layout) }),
        });
      else if (isChecked(layout)) await enforce(db, name, layout, check);
      if (images) await setImages(db, name, true);
      if (indexes.length > 0) await db.collection(name).createIndexes(indexes.map(named));
    },
    async (db) => {
      const found = (await readLayout(db, name))[name];
      if (!found) return {};
      if (!isDeepStrictEqual(found.collation, layout.collation))
        return { conflict: otherCollation(name, found.collation).message };
      const foreseen = isChecked(layout) ? [await violators(db, name, layout)] : [];
      for (const index of layout.indexes ?? []) foreseen.push(await foreseeIndex(db, name, index));
      return foreseen.find(({ refused, conflict }) => refused || conflict) ?? {};
    },
  ),
  down: {
    ...structure(
      `drop the collection ${name}`,
      name,
      (db) => dropEmpty(db, name),
      async (db) => ({ refused: await db.collection(name).countDocuments() }),
    ),
    refuse: (db) => refuseFull(db, name),
  },
});

const otherCollation = (name: string, found: object | undefined): Error =>
  new Error(
    `The collection ${name} exists with ${found ? 'another' : 'no'} collation, which cannot be changed: its strings ` +
      'would compare differently than the program expects. Rename it, apply this, and copy its documents into the new one.',
  );

/** Drops a collection with its documents. */
export const dropCollection = (name: string): Step => ({
  up: structure(
    `drop the collection ${name}`,
    name,
    async (db) => void (await db.dropCollection(name)),
    async (db) => ({ changes: await db.collection(name).countDocuments() }),
  ),
  down: 'Its documents cannot be restored.',
});

/** Several indexes are built in one pass through the collection. */
export const createIndex = (collection: string, ...indexes: Index[]): Step => ({
  up: makeIndexes(collection, indexes),
  down: removeIndexes(collection, indexes),
});

/** Takes the whole index, so that it can be created again. */
export const dropIndex = (collection: string, ...indexes: Index[]): Step => ({
  up: removeIndexes(collection, indexes),
  down: makeIndexes(collection, indexes),
});

const makeIndexes = (collection: string, indexes: Index[]): Structure =>
  adding(!indexes.some((index) => index['unique']))(
    `create ${inWords(indexes)} of ${collection}`,
    collection,
    async (db) => {
      await db.collection(collection).createIndexes(indexes.map(named));
    },
    async (db) => {
      const foreseen: Foresight[] = [];
      for (const index of indexes) foreseen.push(await foreseeIndex(db, collection, index));
      const ids = foreseen.flatMap(({ ids = [] }) => ids).slice(0, SHOWN);
      const conflict = foreseen.find((one) => one.conflict)?.conflict;
      const refused = foreseen.reduce((sum, one) => sum + (one.refused ?? 0), 0);
      return { ...(refused > 0 && { refused, ids }), ...(conflict && { conflict }) };
    },
  );

const inWords = (indexes: Index[]): string =>
  `the ${indexes.length === 1 ? 'index' : 'indexes'} ${indexes.map((index) => named(index).name).join(', ')}`;

async function foreseeIndex(db: mongo.Db, collection: string, index: Index): Promise<Foresight> {
  const conflict = await indexConflict(db, collection, index);
  return {
    ...(index['unique'] ? await duplicates(db, collection, index) : {}),
    ...(conflict && { conflict }),
  };
}

/** MongoDB allows one index per name, one text index, and one per key and `identity`. */
async function indexConflict(db: mongo.Db, collection: string, index: Index): Promise<string | undefined> {
  const { name, key, ...options } = named(index) as { name: string; key: object };
  const indexes = (await readLayout(db, collection))[collection]?.indexes ?? {};
  const identity = ({ partialFilterExpression, collation, unique, sparse }: Record<string, unknown>) => ({
    partialFilterExpression,
    collation,
    unique,
    sparse,
  });
  for (const [other, { key: otherKey, ...otherOptions }] of Object.entries(indexes)) {
    const isSameKey = JSON.stringify(otherKey) === JSON.stringify(key);
    if (other === name && isSameKey && isSame(options, otherOptions)) return undefined;
    if (other === name) return `${collection} has another index ${name}: drop it by a step before this one.`;
    if (isSameKey && isSame(identity(options), identity(otherOptions)))
      return `The index ${other} of ${collection} has the same key: drop it by a step before this one.`;
    if (isOfText(key) && isOfText(otherKey))
      return `The index ${other} of ${collection} is a text index, of which there can be only one: drop it by a step before this one.`;
  }
  return undefined;
}

const removeIndexes = (collection: string, indexes: Index[]): Structure =>
  structure(`drop ${inWords(indexes)} of ${collection}`, collection, async (db) => {
    for (const { name } of indexes.map(named))
      await db.collection(collection).dropIndex(name).catch(ignore(INDEX_NOT_FOUND, NAMESPACE_NOT_FOUND));
  });

const named = (index: Index) =>
  ({ name: nameOf(index.key), ...index }) as unknown as mongo.IndexDescription & { name: string };

/** The rules of one field in a validator. */
interface Field {
  schema: JsonSchema;
  required: boolean;
}
export const optional = (schema: JsonSchema): Field => ({ schema, required: false });
export const required = (schema: JsonSchema): Field => ({ schema, required: true });

/** Changes the validator's rules of one field; without `from` the field is new, without `to` it is removed. */
export const changeField = (
  collection: string,
  field: string,
  { from, to }: { from?: Field; to?: Field },
): Step => ({ up: fieldRule(collection, field, from, to), down: fieldRule(collection, field, to, from) });

const fieldRule = (
  collection: string,
  field: string,
  former: Field | undefined,
  rule: Field | undefined,
): Structure => {
  // Allowing more refuses no existing document: a large collection need not be scanned.
  const harmless = !former && !rule?.required;
  const changed = async (db: mongo.Db): Promise<Validator> => {
    const { schema, rules } = await validatorOf(db, collection);
    if (!schema) throw new Error(`The collection ${collection} has no validator to change.`);
    const { [field]: _, ...others } = schema.properties ?? {};
    const properties = rule ? { ...schema.properties, [field]: rule.schema } : others;
    const { required = [], ...rest } = schema;
    const names = required.filter((name) => name !== field).concat(rule?.required ? field : []);
    const made = { ...rest, properties, ...(names.length > 0 && { required: names }) };
    return { schema: made, ...(rules && { rules }) };
  };
  const what = rule ? `${rule.required ? 'require' : 'allow'} ${field}` : `no longer allow ${field}`;
  return adding(harmless && !mayRefer({ [field]: rule?.schema ?? {} }))(
    `${what} in ${collection}`,
    collection,
    async (db, check) => (harmless ? setValidator : enforce)(db, collection, await changed(db), check),
    async (db) => (harmless ? {} : violators(db, collection, await changed(db))),
  );
};

/** Changes the rest of a validator's schema: its title, its description, several fields at once. */
export const changeValidator = (
  collection: string,
  { from, to }: { from: JsonSchema; to: JsonSchema },
): Step => ({ up: validator(collection, to), down: validator(collection, from) });

const validator = (collection: string, schema: JsonSchema): Structure =>
  validation(`change the validator of ${collection}`, collection, (now) => ({ ...now, schema }));

/** Changes a rule across fields, by its code; without `from` it is new, without `to` it is removed. */
export const changeRule = (
  collection: string,
  code: string,
  { from, to }: { from?: Expression; to?: Expression },
): Step => ({ up: rule(collection, code, to), down: rule(collection, code, from) });

const rule = (collection: string, code: string, expression: Expression | undefined): Structure => {
  const title = `${expression ? 'check' : 'no longer check'} the rule ${code} in ${collection}`;
  return validation(title, collection, ({ rules: { [code]: _, ...others } = {}, ...rest }) => {
    const rules = expression ? { ...others, [code]: expression } : others;
    return { ...rest, ...(Object.keys(rules).length > 0 && { rules }) };
  });
};

const validation = (title: string, collection: string, change: (now: Validator) => Validator): Structure => {
  const changed = async (db: mongo.Db) => change(await validatorOf(db, collection));
  return structure(
    title,
    collection,
    async (db, check) => enforce(db, collection, await changed(db), check),
    async (db) => violators(db, collection, await changed(db)),
  );
};

/** Makes MongoDB keep documents before and after each change, so that changes can be followed. */
export const keepImages = (collection: string): Step => ({
  up: images(collection, true),
  down: images(collection, false),
});

/** The inverse of `keepImages`. */
export const dropImages = (collection: string): Step => ({
  up: images(collection, false),
  down: images(collection, true),
});

const images = (collection: string, enabled: boolean): Structure =>
  adding(enabled)(
    `${enabled ? 'keep' : 'no longer keep'} pre- and post-images of ${collection}`,
    collection,
    (db) => setImages(db, collection, enabled),
  );

async function setImages(db: mongo.Db, collection: string, enabled: boolean): Promise<void> {
  await db.command({ collMod: collection, changeStreamPreAndPostImages: { enabled } });
}

/** Changes a view; without `from` it is new, without `to` it is removed. */
export const changeView = (name: string, { from, to }: { from?: View; to?: View }): Step => ({
  up: showInstead(name, to),
  down: showInstead(name, from),
});

const showInstead = (name: string, view: View | undefined): Structure =>
  // Views are for people; no program reads them.
  adding(true)(`${view ? 'show' : 'drop'} the view ${name}`, name, async (db) => {
    const exists = await db.listCollections({ name }, { nameOnly: true }).hasNext();
    if (!view) {
      if (exists) await db.dropCollection(name);
      return;
    }
    const shown = { viewOn: view.on, pipeline: view.pipeline };
    if (exists) await db.command({ collMod: name, ...shown });
    else await unlessExists(db.createCollection(name, shown));
  });

/**
 * Any other operation of the driver. It must be repeatable, and it must be possible to undo it if it was not done or
 * only partly.
 */
export const run = (
  title: string,
  {
    up,
    down,
  }: { up: Structure['apply'] /** Or why it cannot be undone. */; down: Structure['apply'] | string },
): Step => ({
  up: structure(title, undefined, up),
  down: typeof down === 'string' ? down : structure(`undo: ${title}`, undefined, down),
});

const structure = (
  title: string,
  collection: string | undefined,
  apply: Structure['apply'],
  foresee?: Structure['foresee'],
): Structure => ({
  kind: 'structure',
  title,
  ...(collection !== undefined && { collection }),
  apply,
  ...(foresee && { foresee }),
});

const adding =
  (adds: boolean) =>
  (...given: Parameters<typeof structure>): Structure => ({ ...structure(...given), adds });

/** A program that does not know of a reference would remove referenced documents. */
const mayRefer = ({ _id, ...fields }: JsonSchema['properties'] = {}): boolean =>
  JSON.stringify(fields).includes('"objectId"');

/** Documents that share a value that is to be unique, as the index compares them. */
async function duplicates(db: mongo.Db, collection: string, index: Index): Promise<Foresight> {
  const groups = await db
    .collection(collection)
    .aggregate(
      [
        { $match: index['partialFilterExpression'] ?? {} },
        {
          $group: {
            _id: Object.keys(index.key).map((field) => ({ $ifNull: [`$${field}`, null] })),
            count: { $sum: 1 },
            ids: { $push: '$_id' },
          },
        },
        { $match: { count: { $gt: 1 } } },
        { $group: { _id: null, refused: { $sum: '$count' }, ids: { $first: '$ids' } } },
      ],
      index['collation'] ? { collation: index['collation'] as mongo.CollationOptions } : {},
    )
    .toArray();
  return { refused: groups[0]?.['refused'] ?? 0, ids: groups[0]?.['ids']?.slice(0, SHOWN) ?? [] };
}

const NAMESPACE_NOT_FOUND = 26;
const INDEX_NOT_FOUND = 27;
const NAMESPACE_EXISTS = 48;

const ignore =
  (...codes: number[]) =>
  (error: unknown): void => {
    if (!codes.includes((error as mongo.MongoServerError).code as number)) throw error;
  };

/** Another process that starts at the same moment may have been faster. */
const unlessExists = (created: Promise<unknown>): Promise<unknown> => created.catch(ignore(NAMESPACE_EXISTS));

/** Creates a collection of the runner itself; an existing one from an earlier version gets this version's rules. */
export async function prepareCollection(
  db: mongo.Db,
  { collection, schema }: { collection: string; schema: JsonSchema },
): Promise<void> {
  await unlessExists(db.createCollection(collection, { validator: { $jsonSchema: schema } }));
  if (!isDeepStrictEqual(await validatorOf(db, collection), { schema }))
    await setValidator(db, collection, { schema }, async () => {});
}
