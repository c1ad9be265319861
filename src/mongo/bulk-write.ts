import mongoose, { type ClientSession, type mongo } from 'mongoose';
import { database } from './connect.ts';

/** Writes to any number of collections with one command; needs MongoDB 8.0 or later. */

export interface Write {
  collection: string;
  /** A statement of the command, as MongoDB documents it, without its namespace's number. */
  statement:
    | { insert: mongo.Document }
    | { filter: mongo.Document; updateMods: mongo.Document | mongo.Document[]; multi?: true; upsert?: true }
    | { filter: mongo.Document; multi: boolean; delete: true };
  /** Translates the refusal of this write; returns the error itself if there is nothing to add. */
  explain?: ((error: unknown) => unknown) | undefined;
}

/** A write that MongoDB refused; no later write was tried. A transaction is lost as a whole. */
export class Refused extends Error {
  readonly index: number;
  constructor(index: number, cause: Error) {
    super(cause.message, { cause });
    this.index = index;
  }
}

/** The most bytes of documents in one command, well below MongoDB's limit of 16 MB. */
const MAX_SIZE = 8 * 1024 * 1024;

/** Performs the writes in order. Throws a Refused, or an error of the command as a whole. */
export async function bulkWrite(writes: Write[], session: ClientSession): Promise<void> {
  for (let start = 0; start < writes.length; ) {
    const end = endOfCommand(writes, start);
    await send(writes.slice(start, end), start, session);
    start = end;
  }
}

function endOfCommand(writes: Write[], start: number): number {
  let size = 0;
  let end = start;
  for (; end < writes.length; end++) {
    size += mongoose.mongo.BSON.calculateObjectSize((writes[end] as Write).statement);
    if (size > MAX_SIZE && end > start) break;
  }
  return end;
}

interface Failure extends mongo.Document {
  idx: number;
  code: number;
  errmsg: string;
}

/**
 * Uses the command itself rather than the driver's bulkWrite(), which keeps only the code and message of a refusal,
 * not its keys and rules.
 */
async function send(writes: Write[], first: number, session: ClientSession): Promise<void> {
  const db = database();
  const collections = [...new Set(writes.map(({ collection }) => collection))];
  const numbers = new Map(collections.map((collection, number) => [collection, number]));
  const { nErrors, cursor } = await db.admin().command(
    {
      bulkWrite: 1,
      ops: writes.map(({ collection, statement }) => numbered(statement, numbers.get(collection) as number)),
      nsInfo: collections.map((collection) => ({ ns: `${db.databaseName}.${collection}` })),
      ordered: true,
      errorsOnly: true,
      cursor: {},
    },
    { session },
  );
  if (nErrors === 0) return;
  const [failure] = cursor.firstBatch as [Failure];
  const error = new mongoose.mongo.MongoServerError(failure);
  // The reply for a single write lacks the error label that the command as a whole would have.
  if (TRANSIENT.has(failure.code)) error.addErrorLabel('TransientTransactionError');
  throw new Refused(first + failure.idx, error);
}

/** LockTimeout, WriteConflict, SnapshotUnavailable, NoSuchTransaction. */
const TRANSIENT = new Set([24, 112, 246, 251]);

/** The statement's name must come first; its value is the number of the namespace. */
const numbered = (statement: Write['statement'], number: number): mongo.Document => {
  if ('insert' in statement) return { insert: number, document: statement.insert };
  if ('delete' in statement) return { ...statement, delete: number };
  return { update: number, ...statement };
};
