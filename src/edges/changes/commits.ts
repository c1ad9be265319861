import mongoose, { type mongo } from 'mongoose';
import { database } from '../../mongo/connect.ts';
import { keyOf, type Position, type Time, toTime, toTimestamp } from './position.ts';

/** MongoDB's change stream as commits: each transaction as a whole, with each of its documents once. */

export type Stored = Record<string, unknown>;

/** The change of one document in a commit. */
export interface Entry {
  collection: string;
  id: unknown;
  key: string;
  /** The document before and after the commit, if it existed. */
  before: Stored | undefined;
  after: Stored | undefined;
}

export interface Commit {
  time: Time;
  at: Date;
  entries: Entry[];
  /** Approximate size in bytes. */
  size: number;
  /** Why the changes cannot be told: part of the database's history is missing, or the commit is too large. */
  lost?: string | undefined;
}

export interface Batch {
  commits: Commit[];
  /** Where the history continues after these commits, and after any that are not followed. */
  position: Position;
}

/** The followed collections: those shown, with their images, and those of which only removals or updates matter. */
export interface Followed {
  shown: string[];
  noticed: string[];
}

/** The position is not, or no longer, in the history that the database keeps. */
export class HistoryLost extends Error {}

const BATCH = 1_000;
/** MongoDB's batches have at most 16 MB; one of this size may have been cut. */
const CUT = 8 * 1024 * 1024;
/** The most bytes kept of one transaction; of a larger one, only its existence is reported. */
const MAX_COMMIT = 32 * 1024 * 1024;
/**
 * Starts after a position and ends only with the database, when that is dropped; an empty batch means that nothing has
 * happened up to its position.
 */
export async function* readCommits(
  followed: Followed,
  from: Position,
  signal: AbortSignal,
  /** How long MongoDB waits for the next event, in milliseconds. */
  patience = 1_000,
): AsyncGenerator<Batch> {
  const stream = open(followed, from, patience);
  const stop = () => void stream.close().catch(() => {});
  signal.addEventListener('abort', stop, { once: true });
  const assemble = assembler(from, new Set(followed.shown));
  try {
    // tryNext() of an ended stream returns null at once: the loop would never leave the turn of the event loop.
    while (!signal.aborted && !stream.closed) {
      const { events, isCut } = await nextEvents(stream);
      yield assemble(events, isCut, timeOfToken(stream.resumeToken));
    }
  } catch (error) {
    if (signal.aborted) return;
    throw isHistoryLost(error) ? new HistoryLost((error as Error).message) : error;
  } finally {
    signal.removeEventListener('abort', stop);
    await stream.close().catch(() => {});
  }
}

type Event = mongo.ChangeStreamDocument & { _id: unknown; size: number };

function open({ shown, noticed }: Followed, { time }: Position, maxAwaitTimeMS: number): mongo.ChangeStream {
  const pipeline = [
    {
      $match: {
        $or: [
          { 'ns.coll': { $in: shown } },
          { 'to.coll': { $in: shown } },
          // New sessions and keys have no followers yet.
          { 'ns.coll': { $in: noticed }, operationType: { $ne: 'insert' } },
          { operationType: { $in: ['dropDatabase', 'invalidate'] } },
        ],
      },
    },
    { $unset: 'updateDescription' },
    // Otherwise a single document of several megabytes, with its images, would end the stream for everybody.
    { $changeStreamSplitLargeEvent: {} },
  ];
  return database().watch(pipeline, {
    startAtOperationTime: toTimestamp(time),
    fullDocument: 'whenAvailable',
    fullDocumentBeforeChange: 'whenAvailable',
    maxAwaitTimeMS,
    batchSize: BATCH,
  });
}

/** The next batch, possibly empty; `isCut`: MongoDB may have more events of the same moment. */
async function nextEvents(stream: mongo.ChangeStream): Promise<{ events: Event[]; isCut: boolean }> {
  const events: Event[] = [];
  let size = 0;
  for (let next = await stream.tryNext(); next; ) {
    const event = next as Event;
    event.size = mongoose.mongo.BSON.calculateObjectSize(event);
    size += event.size;
    events.push(event);
    next = stream.bufferedCount() > 0 ? await stream.tryNext() : null;
  }
  return { events, isCut: events.length >= BATCH || size >= CUT };
}

/** Assembles commits from events, across batches. */
function assembler(from: Position, shown: Set<string>) {
  let fragments: Event | undefined;
  let current: Commit | undefined;
  // The entries of the current commit: a transaction may change a document several times.
  const entries = new Map<string, Entry>();
  let position = from;
  // Events up to this document have already been sent.
  let sought = from.key;

  const finish = (): Commit[] => {
    if (!current) return [];
    const commit = { ...current, entries: current.lost ? [] : [...entries.values()] };
    current = undefined;
    entries.clear();
    position = after(commit);
    if (commit.lost || !sought || commit.time !== from.time) return [commit];
    const rest = restOf(commit, sought);
    if (rest) sought = undefined;
    return rest && rest.entries.length > 0 ? [rest] : [];
  };

  return (events: Event[], isCut: boolean, reached: Time | undefined): Batch => {
    const commits: Commit[] = [];
    for (const part of events) {
      const event = fragments ? { ...fragments, ...part, size: fragments.size + part.size } : part;
      fragments = isWhole(event) ? undefined : event;
      if (fragments) continue;
      const time = toTime(event.clusterTime as mongo.Timestamp);
      if (current && current.time !== time) commits.push(...finish());
      current ??= { time, at: event.wallTime as Date, entries: [], size: 0 };
      current.size += event.size;
      current.lost ??= note(entries, event, shown);
      if (current.size > MAX_COMMIT) current.lost ??= 'One transaction changed more than a feed can report.';
      if (current.lost) entries.clear();
    }
    if (!isCut && !fragments) {
      commits.push(...finish());
      // Not the time of the last event: another shard may have an event of the same time.
      if (reached !== undefined && reached > position.time) position = { time: reached };
    }
    if (sought && position.time > from.time) throw new HistoryLost('The position is not in the history.');
    return { commits, position };
  };
}

const isWhole = (event: Event): boolean => {
  const { splitEvent } = event as { splitEvent?: { fragment: number; of: number } };
  return !splitEvent || splitEvent.fragment === splitEvent.of;
};

/** The position right behind a commit. */
export function after({ time, entries, lost }: Commit): Position {
  const last = lost === undefined ? entries.at(-1) : undefined;
  return last ? { time, key: last.key } : { time: time + 1 };
}

/** The part of a commit behind this document; undefined if the commit did not change it. */
export function restOf(commit: Commit, key: string): Commit | undefined {
  const told = commit.entries.findIndex((entry) => entry.key === key);
  return told < 0 ? undefined : { ...commit, entries: commit.entries.slice(told + 1) };
}

/** Records the change of a document; returns why it cannot be reported, if it cannot. */
function note(entries: Map<string, Entry>, event: Event, shown: Set<string>): string | undefined {
  const { operationType } = event;
  if (!isOfDocument(event)) return `A collection was changed as a whole (${operationType}).`;
  const collection = event.ns.coll;
  const before = (event.fullDocumentBeforeChange ?? undefined) as Stored | undefined;
  const after = (event.fullDocument ?? undefined) as Stored | undefined;
  const isComplete = (before || operationType === 'insert') && (after || operationType === 'delete');
  if (shown.has(collection) && !isComplete)
    return `The database has no pre-image of a document of ${collection}.`;
  const id = event.documentKey._id;
  const key = keyOf(collection, id);
  const known = entries.get(key);
  if (known) known.after = after;
  else entries.set(key, { collection, id, key, before, after });
  return undefined;
}

type DocumentEvent = Event & {
  ns: { coll: string };
  documentKey: { _id: unknown };
  fullDocument?: unknown;
  fullDocumentBeforeChange?: unknown;
};

const isOfDocument = (event: Event): event is DocumentEvent =>
  ['insert', 'update', 'replace', 'delete'].includes(event.operationType);

/** A resume token begins with a type byte and the cluster time, in hexadecimal. */
function timeOfToken(token: unknown): Time | undefined {
  const [, seconds, count] =
    /^82([0-9A-F]{8})([0-9A-F]{8})/.exec((token as { _data?: string } | undefined)?._data ?? '') ?? [];
  if (!seconds || !count) return undefined;
  return toTime(
    new mongoose.mongo.Timestamp({ t: Number.parseInt(seconds, 16), i: Number.parseInt(count, 16) }),
  );
}

/** ChangeStreamFatalError, and ChangeStreamHistoryLost. */
const isHistoryLost = (error: unknown): boolean => [280, 286].includes((error as { code: number }).code);
