import type { ObjectId } from 'bson';
import type { ClientSession, Model, mongo, PopulateOptions, Query } from 'mongoose';
import { database } from '../../mongo/connect.ts';
import {
  type Found,
  type Key,
  keyOf,
  MAX_BYTES,
  type Reading,
  readByIds,
  readNow,
  readSome,
  type Some,
} from '../../mongo/documents.ts';
import { inTurn } from '../../mongo/turns.ts';
import { eachValue } from './elements.ts';
import * as out from './output.ts';
import type { Joined, View } from './view.ts';
import { type DocumentWriter, joinKey } from './writer.ts';

/**
 * Mongoose queries that end in JSON: `find(…).populate(…).bytes(answer)` returns what JSON.stringify() makes of
 * `.lean()` and shapeOf(), without creating an object per document. Supports the populate() options of join() and
 * refuses others. Joined documents are read by readByIds(): one query for all requests of a turn.
 */

/** How documents are shown. */
export interface Answer {
  write: DocumentWriter;
  /** What is shown of the documents at a path of the answer; '' is the document itself. */
  shown: (path: string) => View['shown'];
  /** Members besides their fields. */
  add?: (documents: Buffer[]) => Promise<View['added']>;
}

export interface Row {
  /** The bytes that MongoDB sent. */
  stored: Buffer;
  json: Buffer;
}

export interface Rows {
  rows: Row[];
  /** Whether there are more documents, beyond the limit or MAX_BYTES. */
  hasMore: boolean;
}

type AnyQuery = Query<any, any, any>;

/** Additional ways to execute a query, on top of Mongoose's. */
export interface Bytes {
  /** The documents with these ids that match the query, in this order; without ids all matches, `limit` at most. */
  bytes(this: AnyQuery, answer: Answer, ids?: readonly ObjectId[]): Promise<Rows>;
  /** All documents, in batches. `session` ends the query when the client disconnects. */
  stream(this: AnyQuery, answer: Answer, session: ClientSession): AsyncGenerator<Row[]>;
}

export const queryMethods = {
  async bytes(this: AnyQuery, answer: Answer, ids?: readonly ObjectId[]): Promise<Rows> {
    const { documents, isCut } = ids ? await named(this, ids.map(keyOf)) : await found(this);
    const { limit = 0 } = this.getOptions();
    const { rows, hasMore } = await writeAll(documents.slice(0, limit || undefined), joinsOf(this), answer);
    return { rows, hasMore: hasMore || isCut || (limit > 0 && documents.length > limit) };
  },

  async *stream(this: AnyQuery, answer: Answer, session: ClientSession): AsyncGenerator<Row[]> {
    const cursor = open(this, { session, batchSize: STREAMED });
    let waiting: Buffer[] = [];
    const pieces = async function* (joins: PopulateOptions[]): AsyncGenerator<Row[]> {
      const { whole, write } = await prepare(waiting, joins, answer);
      const documents = waiting.slice(0, whole);
      waiting = waiting.slice(whole);
      let written = 0;
      while (written < documents.length) {
        await ownTurn();
        const rows = writeUpTo(PIECE, documents.slice(written), write);
        written += rows.length;
        yield rows;
      }
    };
    try {
      for await (const document of cursor as AsyncIterable<Buffer>)
        if (waiting.push(document) >= STREAMED) yield* pieces(joinsOf(this));
      while (waiting.length > 0) yield* pieces(joinsOf(this));
    } finally {
      await cursor.close();
    }
  },
} satisfies Bytes;

/** Documents that a stream reads at once. */
const STREAMED = 50;
/** After so many bytes a stream yields to others. */
const PIECE = 128 << 10;

/** Streams write one at a time, each in its own turn of the event loop, so that other requests get their turns. */
const ownTurn = (): Promise<void> =>
  inTurn('streams', () => new Promise((resolve) => void setImmediate(resolve)));

function open(query: AnyQuery, more: mongo.FindOptions): mongo.FindCursor {
  const conditions = query.cast(query.model) as object;
  const projection = query.projection();
  return database()
    .collection(query.model.collection.name)
    .find(conditions, {
      ...(query.getOptions() as object),
      ...(projection && { projection }),
      ...more,
      raw: true,
    });
}

/** Reads one more than the limit, to tell whether there are more. */
function found(query: AnyQuery): Promise<Some> {
  const { limit = 0 } = query.getOptions();
  return readSome(open(query, limit > 0 ? { limit: limit + 1 } : {}));
}

async function named(query: AnyQuery, keys: Key[]): Promise<Some> {
  const { maxTimeMS, collation } = query.getOptions();
  const reading = {
    collection: query.model.collection.name,
    condition: conditionOf(query),
    collation,
    projection: query.projection() as Reading['projection'],
    maxTimeMS: maxTimeMS as number,
  };
  const found = await readByIds(reading, new Set(keys));
  // Documents read for concurrent requests may have left no room.
  const missing = found.isCut ? keys.filter((key) => !found.documents.has(key)) : [];
  const more = missing.length > 0 ? await readNow(reading, missing, Infinity) : undefined;
  const documents = keys.flatMap((key) => found.documents.get(key) ?? more?.documents.get(key) ?? []);
  return { documents, isCut: false };
}

const conditionOf = (query: AnyQuery): object | undefined => {
  const filter = query.getFilter();
  return Object.keys(filter).length > 0 ? filter : undefined;
};

const joinsOf = (query: AnyQuery): PopulateOptions[] =>
  Object.values((query.mongooseOptions().populate ?? {}) as unknown as Record<string, PopulateOptions>);

/** Writes documents with their includes, as many as MAX_BYTES allow, but at least one. */
export async function writeAll(documents: Buffer[], joins: PopulateOptions[], answer: Answer): Promise<Rows> {
  const { whole, write } = await prepare(documents, joins, answer);
  const rows = writeUpTo(MAX_BYTES, documents.slice(0, whole), write);
  return { rows, hasMore: rows.length < documents.length };
}

type Write = (stored: Buffer) => Row;

/** Reads the includes of documents; returns how many of them, from the first, are complete. */
async function prepare(
  documents: Buffer[],
  joins: PopulateOptions[],
  answer: Answer,
): Promise<{ whole: number; write: Write }> {
  const { view, whole } = await viewOf(documents, joins, answer, '');
  const added = documents.length > 0 ? await answer.add?.(documents.slice(0, whole)) : undefined;
  const write = (stored: Buffer): Row => {
    const mark = out.written();
    answer.write(stored, 0, { ...view, added });
    return { stored, json: out.take(mark) };
  };
  return { whole, write };
}

/** Writes documents until they exceed so many bytes. */
function writeUpTo(most: number, documents: Buffer[], write: Write): Row[] {
  const rows: Row[] = [];
  let bytes = 0;
  for (const stored of documents) {
    if (bytes > most) break;
    const row = write(stored);
    bytes += row.json.length;
    rows.push(row);
  }
  return rows;
}

/** How documents are shown, and how many of them, from the first, have all their includes. */
async function viewOf(
  documents: Buffer[],
  joins: PopulateOptions[],
  answer: Answer,
  at: string,
): Promise<{ view: View; whole: number }> {
  let whole = documents.length;
  const joined = await Promise.all(
    joins.map(async (join): Promise<[string, Joined]> => {
      const path = at === '' ? join.path : `${at}.${join.path}`;
      const names = join.path.split('.').map((name) => Buffer.from(name));
      const ids = documents.map((document) => idsAt(document, names));
      const { found, upTo } = await joinedTo(join, ids);
      whole = Math.min(whole, upTo);
      const inner = (join.populate ?? []) as PopulateOptions[];
      const theirs = inner.length > 0 ? [...new Set(ids.flat())].flatMap((key) => found.get(key) ?? []) : [];
      const deeper = await viewOf(theirs, inner, answer, path);
      return [join.path, { documents: found, view: deeper.view }];
    }),
  );
  return { view: { shown: answer.shown(at), joined: new Map(joined) }, whole };
}

function idsAt(document: Buffer, path: Buffer[]): Key[] {
  const keys: Key[] = [];
  eachValue(document, path, (type, at) => {
    const key = joinKey(document, type, at);
    if (key !== undefined) keys.push(key);
  });
  return keys;
}

/** Reads includes; returns for how many documents, from the first and at least one, all were read. */
async function joinedTo(
  { model, match, select, options }: PopulateOptions,
  ids: Key[][],
): Promise<{ found: Found['documents']; upTo: number }> {
  const reading = {
    collection: (model as Model<unknown>).collection.name,
    condition: match as object | undefined,
    collation: (model as Model<unknown>).schema.get('collation'),
    projection: select as Reading['projection'],
    maxTimeMS: options?.['maxTimeMS'] as number,
  };
  const { documents, isCut } = await readByIds(reading, new Set(ids.flat()));
  if (!isCut) return { found: documents, upTo: ids.length };
  const lacks = (key: Key) => !documents.has(key);
  const [first = [], ...others] = ids;
  const missing = first.filter(lacks);
  const more = missing.length > 0 ? await readNow(reading, missing, Infinity) : undefined;
  const next = others.findIndex((keys) => keys.some(lacks));
  return {
    found: more ? new Map([...documents, ...more.documents]) : documents,
    upTo: next < 0 ? ids.length : next + 1,
  };
}
