import type { mongo } from 'mongoose';
import { fromMongo, toMongo, type Validator } from '../layout.ts';
import type { Check, Foresight } from './migration.ts';

/** The validator of a collection, and the documents that break it. */

export async function validatorOf(db: mongo.Db, name: string): Promise<Validator> {
  const [found] = await db.listCollections({ name }, { nameOnly: false }).toArray();
  return fromMongo((found as mongo.CollectionInfo | undefined)?.options?.['validator'] ?? {});
}

/**
 * Gives a collection a validator that all of its documents obey. First the validator, then the look at what is
 * there: nothing that breaks it can come in between. If that fails, the runner puts the former one back, because the
 * API could no longer change what breaks it.
 */
export async function enforce(
  db: mongo.Db,
  collection: string,
  validator: Validator,
  check: Check,
): Promise<void> {
  await setValidator(db, collection, validator, check);
  const { refused = 0, ids = [], rules = [] } = await violators(db, collection, validator);
  if (refused === 0) return;
  throw new Error(
    `${refused} documents of ${collection} break the new rules, such as ${ids.map(String).join(', ')} ` +
      `(${rules.join(', ')}): change them first, by a step before this one.`,
  );
}

export async function setValidator(
  db: mongo.Db,
  collection: string,
  validator: Validator,
  check: Check,
): Promise<void> {
  await check();
  await db.command({
    collMod: collection,
    validator: toMongo(validator),
    validationLevel: 'strict',
    validationAction: 'error',
  });
}

/** How many ids are shown. */
export const SHOWN = 5;

export async function violators(db: mongo.Db, collection: string, validator: Validator): Promise<Foresight> {
  const where = { $nor: [toMongo(validator)] };
  const refused = await db.collection(collection).countDocuments(where);
  const some = refused > 0 ? db.collection(collection).find(where, { projection: { _id: 1 } }) : undefined;
  const ids = ((await some?.limit(SHOWN).toArray()) ?? []).map(({ _id }) => _id);
  return { refused, ids, rules: refused > 0 ? await rulesBrokenBy(db, collection, validator, ids) : [] };
}

/** The rules of a schema that some of these documents break, each by itself: title.maxLength. */
async function rulesBrokenBy(
  db: mongo.Db,
  collection: string,
  { schema = {} }: Validator,
  ids: unknown[],
): Promise<string[]> {
  const { properties = {}, required = [], additionalProperties } = schema;
  const rules: [string, JsonSchema][] = [
    ...required.map((field): [string, JsonSchema] => [`${field}.required`, { required: [field] }]),
    ...Object.entries(properties).flatMap(([field, { title, description, ...schema }]) =>
      Object.entries(schema).map(([keyword, value]): [string, JsonSchema] => [
        `${field}.${keyword}`,
        // Some keywords mean nothing without their type.
        { properties: { [field]: { [keyword]: value } } },
      ]),
    ),
  ];
  if (additionalProperties === false) {
    const known = Object.fromEntries(Object.keys(properties).map((field) => [field, {}]));
    rules.push(['additionalProperties', { properties: known, additionalProperties: false }]);
  }
  const facets = rules.map(([, schema], i) => [
    `rule${i}`,
    [{ $match: { $nor: [{ $jsonSchema: schema }] } }, { $limit: 1 }, { $project: { _id: 1 } }],
  ]);
  if (facets.length === 0) return [];
  const [found = {}] = await db
    .collection(collection)
    .aggregate([{ $match: { _id: { $in: ids } } }, { $facet: Object.fromEntries(facets) }])
    .toArray();
  return rules.flatMap(([name], i) => (found[`rule${i}`]?.length > 0 ? [name] : []));
}
