import type { ObjectId } from 'bson';
import mongoose, { type mongo } from 'mongoose';
import { batches } from '../measures.ts';
import { database } from './connect.ts';

/** Documents as MongoDB sends them: bytes, without objects. */

/** What to read of which documents of a collection. */
export interface Reading {
  collection: string;
  condition?: object | undefined;
  /** The collation of the condition. */
  collation?: mongo.CollationOptions | undefined;
  projection?: Record<string, 1> | undefined;
  /** MongoDB's time limit, in milliseconds. */
  maxTimeMS: number;
}

/** The filter for the documents of these ids that meet a condition. */
export function byIds(ids: readonly unknown[], condition?: object): mongo.Filter<mongo.Document> {
  const byId = { _id: ids.length === 1 ? ids[0] : { $in: ids } } as mongo.Filter<mongo.Document>;
  return condition ? { $and: [byId, condition] } : byId;
}

/** The most bytes held for one page, or for the joins of one turn of the event loop. */
export const MAX_BYTES = 8 << 20;

/** As many documents as fit, and whether those are all. */
export interface Some {
  documents: Buffer[];
  isCut: boolean;
}

/** Reads a cursor opened with `raw` to its end, or until `most` bytes have been read. */
export async function readSome(cursor: mongo.AbstractCursor, most = MAX_BYTES): Promise<Some> {
  const documents: Buffer[] = [];
  let bytes = 0;
  // The rest of its batch at once: awaiting each document costs more than reading it.
  for await (const first of cursor as AsyncIterable<Buffer>)
    for (const document of [first, ...(cursor.readBufferedDocuments() as unknown as Buffer[])]) {
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
  /** Some existing documents may be missing, because all of them together would be too large. */
  isCut: boolean;
}

/** Reads documents by their ids. With `most` = Infinity the caller limits the size. */
export async function readNow(reading: Reading, keys: Iterable<Key>, most = MAX_BYTES): Promise<Found> {
  const { collection, condition, collation, projection, maxTimeMS } = reading;
  const ids = Array.from(keys, idOf);
  if (batches.hasSubscribers) batches.publish({ size: ids.length });
  const cursor = database()
    .collection(collection)
    .find(byIds(ids, condition), {
      raw: true,
      maxTimeMS,
      // In one batch: a getMore would not be retried.
      batchSize: ids.length + 1,
      ...(projection && { projection }),
      // Without a condition MongoDB can use its fast path for ids.
      ...(condition && collation && { collation }),
    });
  const { documents, isCut } = await readSome(cursor, most);
  return { documents: new Map(documents.map((document) => [keyIn(document), document])), isCut };
}

/** How a document begins after its length: an ObjectId under the name `_id`, which MongoDB sends first. */
const FIRST = Buffer.from('\x07_id').readInt32LE();
/** The id of a document; '' if it is not an ObjectId. */
export const keyIn = (document: Buffer): Key =>
  document.readInt32LE(4) === FIRST && document[8] === 0 ? document.toString('latin1', 9, 21) : '';

/** More documents would make other requests wait too long. */
const MAX_SHARED = 1_000;

interface Round {
  keys: Set<Key>;
  found: Promise<Found>;
}

const rounds = new Map<string, Round>();

/**
 * Reads documents by their ids. Calls in the same turn of the event loop with the same collection, condition and
 * projection share one query, sent at the end of the turn: no caller gets data read before it asked.
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
