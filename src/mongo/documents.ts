import type { ObjectId } from 'bson';
import mongoose, { type mongo } from 'mongoose';
import { batches } from '../measures.ts';
import { database } from './connect.ts';

/** Documents as MongoDB sends them: bytes, of which no object is made. */

/** What is read of which documents of a collection. */
export interface Reading {
  collection: string;
  condition?: object | undefined;
  /** How the condition compares texts. */
  collation?: mongo.CollationOptions | undefined;
  projection?: Record<string, 1> | undefined;
  /** Milliseconds that MongoDB may take. */
  maxTimeMS: number;
}

/** The filter for the documents of these ids that meet a condition. */
export function byIds(ids: readonly unknown[], condition?: object): mongo.Filter<mongo.Document> {
  const byId = { _id: ids.length === 1 ? ids[0] : { $in: ids } } as mongo.Filter<mongo.Document>;
  return condition ? { $and: [byId, condition] } : byId;
}

/** The most bytes that are held for one page, or for what a turn of the event loop joins. */
export const MAX_BYTES = 8 << 20;

/** As many as fit, and whether those are all. */
export interface Some {
  documents: Buffer[];
  isCut: boolean;
}

/** Reads a cursor that was opened with `raw` to its end, or until `most` bytes are there. */
export async function readSome(cursor: mongo.AbstractCursor, most = MAX_BYTES): Promise<Some> {
  const documents: Buffer[] = [];
  let bytes = 0;
  for await (const document of cursor as AsyncIterable<Buffer>) {
    documents.push(document);
    bytes += document.length;
    // Leaving the loop closes the cursor.
    if (bytes > most) return { documents, isCut: true };
  }
  return { documents, isCut: false };
}

/** An id as the key of a map: its twelve bytes. */
export type Key = string;
export const keyOf = (id: ObjectId): Key => Buffer.from(id.id).toString('latin1');
export const idOf = (key: Key) => new mongoose.Types.ObjectId(Buffer.from(key, 'latin1'));

export interface Found {
  documents: Map<Key, Buffer>;
  /** Some that are there may be missing, because they would have been too large together. */
  isCut: boolean;
}

/** Reads documents by their ids, whatever their size if `most` is Infinity: then the caller bounds it. */
export async function readNow(reading: Reading, keys: Iterable<Key>, most = MAX_BYTES): Promise<Found> {
  const { collection, condition, collation, projection, maxTimeMS } = reading;
  const ids = Array.from(keys, idOf);
  if (batches.hasSubscribers) batches.publish({ size: ids.length });
  const cursor = database()
    .collection(collection)
    .find(byIds(ids, condition), {
      raw: true,
      maxTimeMS,
      // All at once: a second round trip would not be tried again.
      batchSize: ids.length + 1,
      ...(projection && { projection }),
      // With none, an id is found by the shortest way.
      ...(condition && collation && { collation }),
    });
  const { documents, isCut } = await readSome(cursor, most);
  return { documents: new Map(documents.map((document) => [keyIn(document), document])), isCut };
}

/** An ObjectId by the name of `_id`, which MongoDB sends before all else. */
const FIRST = '\x07_id\0';
/** The id of a document that begins at `at`; '' where it is no ObjectId. */
export const keyIn = (document: Buffer, at = 0): Key =>
  document.toString('latin1', at + 4, at + 9) === FIRST ? document.toString('latin1', at + 9, at + 21) : '';

/** More would make others wait too long. */
const MAX_SHARED = 1_000;

interface Round {
  keys: Set<Key>;
  found: Promise<Found>;
}

const rounds = new Map<string, Round>();

/**
 * Reads documents by their ids. What is asked for in the same turn of the event loop, of the same documents and in the
 * same way, is one query, which is sent after the last has asked: nobody is given what was read before.
 *
 * After facebook/dataloader, without its cache.
 */
export async function readByIds(reading: Reading, keys: ReadonlySet<Key>): Promise<Found> {
  if (keys.size === 0) return { documents: new Map(), isCut: false };
  const name = JSON.stringify([reading.collection, reading.condition, reading.projection]);
  const round = rounds.get(name) ?? begin(name, reading);
  for (const key of keys) round.keys.add(key);
  if (round.keys.size > MAX_SHARED) rounds.delete(name);
  return round.found;
}

function begin(name: string, reading: Reading): Round {
  const keys = new Set<Key>();
  const found = new Promise((resolve) => setImmediate(resolve)).then(() => {
    if (rounds.get(name) === round) rounds.delete(name);
    return readNow(reading, keys);
  });
  const round = { keys, found };
  rounds.set(name, round);
  return round;
}
