import { isDeepStrictEqual } from 'node:util';
import mongoose, { type mongo } from 'mongoose';

const { Binary, deserialize, EJSON, serialize } = mongoose.mongo.BSON;
const CANONICAL = { relaxed: false } as const;

/** Collections and views as MongoDB describes them, with everything needed to recreate them. */

export interface Described {
  name: string;
  isView: boolean;
  options: mongo.Document;
  /** Without the index of _id, which every collection has. */
  indexes: mongo.Document[];
}

export async function describe(db: mongo.Db): Promise<Described[]> {
  const found = (await db.listCollections({}, { nameOnly: false }).toArray()) as mongo.CollectionInfo[];
  const own = found.filter(({ name }) => !name.startsWith('system.'));
  const described: Described[] = [];
  for (const { name, type, options = {} } of own.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const isView = type === 'view';
    const indexes = isView ? [] : await db.collection(name).indexes();
    described.push({ name, isView, options, indexes: indexes.filter(({ name }) => name !== '_id_') });
  }
  return described;
}

/** A description for the manifest: in Extended JSON, or its BSON in base64 if Extended JSON would be ambiguous. */
export function toManifest(described: Described): unknown {
  const bytes = serialize(described);
  const text = EJSON.stringify(described, CANONICAL);
  return JSON.parse(comesBack(text, bytes) ? text : EJSON.stringify(new Binary(bytes), CANONICAL));
}

function comesBack(text: string, bytes: Uint8Array): boolean {
  try {
    return isDeepStrictEqual(serialize(EJSON.parse(text, CANONICAL)), bytes);
  } catch {
    return false;
  }
}

export function fromManifest(layout: unknown): Described {
  const value = EJSON.parse(JSON.stringify(layout)) as Described | mongo.Binary;
  return value instanceof Binary ? (deserialize(value.buffer) as Described) : value;
}

export const create = (db: mongo.Db, { name, options }: Described): Promise<unknown> =>
  db.command({ create: name, ...options });

/** As MongoDB described them, including options that the driver does not know. */
export async function createIndexes(db: mongo.Db, { name, indexes }: Described): Promise<void> {
  if (indexes.length > 0) await db.command({ createIndexes: name, indexes });
}
