import { isDeepStrictEqual } from 'node:util';
import type { mongo } from 'mongoose';
import type { Check } from './migration.ts';

/**
 * What a structure step found before it changed anything, so that it can be restored exactly: after a failure or a
 * kill the database no longer shows it.
 */
export interface Former {
  /** Undefined for a step that may change anything. */
  collection?: string;
  /** Undefined if the collection did not exist. */
  found?: Found;
}

interface Found {
  type: string;
  options: mongo.Document;
  indexes: mongo.Document[];
}

export async function readFormer(db: mongo.Db, collection: string | undefined): Promise<Former> {
  if (collection === undefined) return {};
  const [info] = await db.listCollections({ name: collection }, { nameOnly: false }).toArray();
  if (!info) return { collection };
  const { type = 'collection', options = {} } = info as mongo.CollectionInfo;
  const indexes = type === 'view' ? [] : await db.collection(collection).indexes();
  return { collection, found: { type, options, indexes } };
}

/** Restores a collection. One that did not exist is dropped, unless it has documents by now. */
export async function putBack(db: mongo.Db, { collection, found }: Former, check: Check): Promise<void> {
  if (collection === undefined) return;
  const now = (await readFormer(db, collection)).found;
  if (!found) {
    await check();
    if (now?.type === 'view') await db.dropCollection(collection);
    else if (now) await dropEmpty(db, collection);
    return;
  }
  await check();
  if (!now) await db.createCollection(collection, found.options);
  else if (!isDeepStrictEqual(now.options, found.options))
    await db.command({ collMod: collection, ...changeable(found) });
  const isIn =
    (indexes: mongo.Document[] = []) =>
    (index: mongo.Document) =>
      indexes.some((other) => isDeepStrictEqual(other, index));
  const tooMany = now?.indexes.filter((index) => !isIn(found.indexes)(index)) ?? [];
  for (const { name } of tooMany) await db.collection(collection).dropIndex(name);
  const missing = found.indexes.filter((index) => index['name'] !== '_id_' && !isIn(now?.indexes)(index));
  // An index without a collation has the simple one, not the collection's: MongoDB would have reported that.
  const indexes = missing.map((index) => ({ collation: { locale: 'simple' }, ...index }));
  if (indexes.length > 0) await db.command({ createIndexes: collection, indexes });
}

const changeable = ({ type, options }: Found): mongo.Document => {
  const {
    viewOn,
    pipeline,
    validator = {},
    validationLevel = 'strict',
    validationAction = 'error',
    changeStreamPreAndPostImages = { enabled: false },
  } = options;
  return type === 'view'
    ? { viewOn, pipeline }
    : { validator, validationLevel, validationAction, changeStreamPreAndPostImages };
};

export async function refuseFull(db: mongo.Db, collection: string): Promise<void> {
  const documents = await db.collection(collection).countDocuments();
  if (documents > 0)
    throw new Error(
      `The collection ${collection} has ${documents} documents, which would be lost: remove them first.`,
    );
}

export async function dropEmpty(db: mongo.Db, collection: string): Promise<void> {
  await refuseFull(db, collection);
  // MongoDB accepts dropping a missing collection.
  await db.dropCollection(collection);
}
