import type { mongo } from 'mongoose';
import { fromMongo, toMongo, type Validator } from '../layout.ts';
import type { Check, Foresight } from './migration.ts';

/** The validator of a collection, and the documents that break it. */

export async function validatorOf(db: mongo.Db, name: string): Promise<Validator> {
  const [found] = await db.listCollections({ name }, { nameOnly: false }).toArray();
  return fromMongo((found as mongo.CollectionInfo | undefined)?.options?.['validator'] ?? {});
}

/**
 * Gives a collection a validator that all of its documents meet. The validator is set first and the documents are
 * checked afterwards, so that none can break it in between. If the check fails, the runner restores the former
 * validator, because the API could no longer change the offending documents.
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
      `(${rules.join(', ')}): change them in a step before this one.`,
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

/** The rules that some of these documents break: title.maxLength, or the code of a rule across fields. */
async function rulesBrokenBy(
  db: mongo.Db,
  collection: string,
  { schema = {}, rules = {} }: Validator,
  ids: unknown[],
): Promise<string[]> {
  const { properties = {}, required = [], additionalProperties } = schema;
  const parts: [string, Validator][] = [
    ...required.map((field): [string, Validator] => [`${field}.required`, { schema: { required: [field] } }]),
    ...Object.entries(properties).flatMap(([field, { title, description, ...keywords }]) =>
      Object.entries(keywords).map(([keyword, value]): [string, Validator] => [
        `${field}.${keyword}`,
        { schema: { properties: { [field]: { [keyword]: value } } } },
      ]),
    ),
    ...Object.entries(rules).map(([code, rule]): [string, Validator] => [code, { rules: { [code]: rule } }]),
  ];
  if (additionalProperties === false) {
    const known = Object.fromEntries(Object.keys(properties).map((field) => [field, {}]));
    parts.push(['additionalProperties', { schema: { properties: known, additionalProperties: false } }]);
  }
  const facets = parts.map(([, part], i) => [
    `part${i}`,
    [{ $match: { $nor: [toMongo(part)] } }, { $limit: 1 }, { $project: { _id: 1 } }],
  ]);
  if (facets.length === 0) return [];
  const [found = {}] = await db
    .collection(collection)
    .aggregate([{ $match: { _id: { $in: ids } } }, { $facet: Object.fromEntries(facets) }])
    .toArray();
  return parts.flatMap(([name], i) => (found[`part${i}`]?.length > 0 ? [name] : []));
}
