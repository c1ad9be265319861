import mongoose, { type IndexDirection, type mongo } from 'mongoose';
import { RATE_LIMITS } from './budget.ts';

interface Collection {
  collection: string;
  collation?: mongo.CollationOptions | undefined;
  indexes: {
    key: Record<string, IndexDirection>;
    unique?: true;
    where?: Record<string, { $gt: '' }>;
    expireAfterSeconds?: number;
  }[];
  /** Text fields that a full-text search looks into. */
  search?: string[];
}

/** The collections that serve no resource. */
const OWN: Collection[] = [
  { collection: 'refguards', indexes: [] },
  { collection: 'idempotency', indexes: [{ key: { expireAt: 1 }, expireAfterSeconds: 0 }] },
  {
    collection: RATE_LIMITS,
    indexes: [
      { key: { key: 1 }, unique: true },
      { key: { expire: 1 }, expireAfterSeconds: 0 },
    ],
  },
];

/**
 * Makes the collections and indexes that do not exist yet. Before the server listens, because a collection or
 * an index that comes into being under traffic makes transactions fail.
 */
export async function makeCollections(collections: Collection[]): Promise<void> {
  const db = mongoose.connection.getClient().db(mongoose.connection.name);
  const existing = new Set(
    (await db.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name),
  );
  for (const { collection, collation, indexes, search = [] } of [...collections, ...OWN]) {
    if (!existing.has(collection)) await create(db, collection, collation);
    if (search.length > 0) await db.collection(collection).createIndex(...textIndex(search));
    if (indexes.length > 0)
      await db.collection(collection).createIndexes(
        indexes.map(({ key, unique, where, expireAfterSeconds }) => ({
          key: key as mongo.IndexDescription['key'],
          ...(unique && { unique }),
          ...(expireAfterSeconds !== undefined && { expireAfterSeconds }),
          ...(where && { partialFilterExpression: where }),
        })),
      );
  }
}

/**
 * No language, so that every word counts as it stands, and none is taken from the document: MongoDB would read its
 * field `language`, and refuse a document whose language it does not know.
 */
const textIndex = (fields: string[]): [mongo.IndexSpecification, mongo.CreateIndexesOptions] => [
  Object.fromEntries(fields.map((field) => [field, 'text'])),
  { name: 'search', default_language: 'none', language_override: '_none', collation: { locale: 'simple' } },
];

const NAMESPACE_EXISTS = 48;

/** Another process that starts at the same moment may have been faster. */
async function create(db: mongo.Db, name: string, collation?: mongo.CollationOptions): Promise<void> {
  try {
    await db.createCollection(name, { ...(collation && { collation }) });
  } catch (error) {
    if ((error as mongo.MongoServerError).code !== NAMESPACE_EXISTS) throw error;
  }
}
