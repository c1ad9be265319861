import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { mongo } from 'mongoose';
import { isTransient } from '../failures.ts';
import type { Check } from './migration.ts';
import { prepareCollection } from './structure.ts';

/**
 * One process at a time migrates a database. The lease is a document that is valid for a while, by the server's clock,
 * and is renewed. A process that was suspended for longer has lost it: its successor increments `fence`, and every
 * transaction of a runner changes the fence only under its own number, so one that comes too late changes nothing. The
 * fence is a separate document, so that the lease can be renewed while a transaction holds the fence.
 */
export const LOCK = {
  collection: 'migrationlock',
  indexes: [],
  schema: {
    title: 'Migration lock',
    description: 'The process that is migrating this database',
    bsonType: 'object',
    properties: {
      _id: { bsonType: 'string' },
      fence: { bsonType: ['int', 'long', 'double'], description: 'The number of the present holder' },
      beats: {
        bsonType: ['int', 'long', 'double'],
        description: 'Counts renewals; in the fence, transactions',
      },
      until: { bsonType: 'date', description: 'When it expires, unless renewed' },
      owner: { bsonType: ['string', 'null'], description: 'Host and process' },
      session: { bsonType: ['object', 'null'], description: 'The session of its transactions' },
    },
    required: ['_id', 'fence', 'beats'],
    additionalProperties: false,
  },
};

interface LockDocument {
  _id: typeof LEASE | typeof FENCE;
  fence: number;
  beats: number;
  until?: Date;
  owner?: string | null;
  session?: mongo.Document | null;
}

export interface Lock {
  /** Runs `work` as one transaction, possibly several times, that commits once, and only while the lock is ours. */
  transaction: (work: (session: mongo.ClientSession) => Promise<void>) => Promise<void>;
  check: Check;
}

/** Another process has taken over. */
export class LostLock extends Error {
  /** `late` is the title of a step outside transactions that may have run too late. */
  constructor(late?: string) {
    const known = 'That process finishes or undoes what was under way: npm run migrate -- status';
    const unknown =
      `"${late}" may have changed what that process had made. When it has ended, npm run migrate -- status shows ` +
      'whether the database is as defined.';
    super(
      'This process was suspended for so long that another process has taken over the migration. ' +
        (late === undefined ? known : unknown),
    );
  }
}

const LEASE = 'lock';
const FENCE = 'fence';
const OPTIONS = {
  readConcern: { level: 'snapshot' },
  writeConcern: { w: 'majority' },
  readPreference: 'primary',
} as const;

export interface LockSettings {
  /** Milliseconds that the lock is valid without renewal. */
  lease?: number;
  say?: (line: string) => void;
  signal?: AbortSignal;
}

/** Runs the work once no other process migrates. */
export async function withLock<T>(
  db: mongo.Db,
  { lease = 15_000, say = () => {}, signal }: LockSettings,
  work: (lock: Lock) => Promise<T>,
): Promise<T> {
  const lock = db.collection<LockDocument>(LOCK.collection);
  const session = db.client.startSession();
  try {
    const fence = await take(lock, { lease, say, signal, session });
    const renew = async (): Promise<void> => {
      const until = { $add: ['$$NOW', lease] };
      const change = [{ $set: { until, beats: { $add: ['$beats', 1] } } }];
      const { matchedCount } = await lock.updateOne({ _id: LEASE, fence }, change);
      if (matchedCount === 0) throw new LostLock();
    };
    let transactions = 0;
    const heart = setInterval(() => void renew().catch(() => {}), lease / 3);
    try {
      const ours = { $set: { fence, beats: 0 } };
      const { matchedCount } = await lock.updateOne({ _id: FENCE, fence: { $lt: fence } }, ours);
      if (matchedCount === 0) throw new LostLock();
      return await work({
        check: renew,
        transaction: async (work) => {
          const beats = ++transactions;
          await patiently(() =>
            session.withTransaction(async () => {
              const { matchedCount } = await lock.updateOne(
                { _id: FENCE, fence, beats: { $lt: beats } },
                { $set: { beats } },
                { session },
              );
              if (matchedCount > 0) return work(session);
              // It may run again because the reply to its commit was lost.
              const committed = await lock.findOne({ _id: FENCE, fence, beats }, { session });
              if (!committed) throw new LostLock();
            }, OPTIONS),
          );
        },
      });
    } finally {
      clearInterval(heart);
      await lock.updateOne({ _id: LEASE, fence }, { $set: FREE }).catch(() => {});
    }
  } finally {
    await session.endSession().catch(() => {});
  }
}

const FREE = { until: new Date(0), owner: null, session: null };
const POLL = 200;

/** Waits until the lock is free and takes it; returns the number of this holder. */
async function take(
  lock: mongo.Collection<LockDocument>,
  {
    lease,
    say,
    signal,
    session,
  }: {
    lease: number;
    say: (line: string) => void;
    signal?: AbortSignal | undefined;
    session: mongo.ClientSession;
  },
): Promise<number> {
  const owner = `process ${process.pid} on ${hostname()}`;
  for (let told = false; ; ) {
    const current = await lock.findOne({ _id: LEASE, $expr: { $lt: ['$until', '$$NOW'] } });
    if (current) {
      // Its transaction may still be open, and would block this one as long as MongoDB lets it live.
      if (current.session) await killSession(lock, current.session);
      const taken = await lock.findOneAndUpdate(
        { _id: LEASE, fence: current.fence, $expr: { $lt: ['$until', '$$NOW'] } },
        [
          {
            $set: {
              fence: { $add: ['$fence', 1] },
              until: { $add: ['$$NOW', lease] },
              owner,
              session: { $literal: session.id },
            },
          },
        ],
        { returnDocument: 'after' },
      );
      if (taken) return taken.fence;
      continue;
    }
    if (!told) {
      const holder = await lock.findOne({ _id: LEASE });
      if (holder?.owner) say(`Waiting: ${holder.owner} is migrating this database.`);
      told = holder?.owner !== undefined;
    }
    if (signal?.aborted) throw new Interrupted();
    await sleep(POLL);
  }
}

/** The process was told to stop. Finished work is recorded and not repeated. */
export class Interrupted extends Error {
  constructor() {
    super('Interrupted: finished work is kept. To continue: npm run migrate -- up');
  }
}

/** The user may lack the right to kill sessions; then the transaction has to expire. */
const killSession = (lock: mongo.Collection<LockDocument>, session: mongo.Document) =>
  lock.db
    .admin()
    .command({ killSessions: [session] })
    .catch(() => {});

/** Creates the documents of the lock. */
export async function prepareLock(db: mongo.Db): Promise<void> {
  await prepareCollection(db, LOCK);
  const lock = db.collection<LockDocument>(LOCK.collection);
  await lock.updateOne({ _id: LEASE }, { $setOnInsert: { fence: 0, beats: 0, ...FREE } }, { upsert: true });
  await lock.updateOne({ _id: FENCE }, { $setOnInsert: { fence: 0, beats: 0 } }, { upsert: true });
}

/** How long to wait for an unreachable database. */
const PATIENCE = 60_000;

/** LockTimeout, LockBusy, WriteConflict: others are using the collection. */
const BUSY = new Set<unknown>([24, 46, 112]);
const DUPLICATE_KEY = 11000;

/** Whether the same operation may succeed if it is retried. */
const isPassing = (error: unknown): boolean => {
  const { code } = error as { code?: unknown };
  return BUSY.has(code) || (isTransient(error) && code !== DUPLICATE_KEY);
};

/** The driver retries transactions after transient errors, except when a lost primary leaves no label. */
export async function patiently(work: () => Promise<unknown>): Promise<void> {
  const deadline = performance.now() + PATIENCE;
  for (;;) {
    try {
      await work();
      return;
    } catch (error) {
      if (!isPassing(error) || performance.now() > deadline) throw error;
      await sleep(200);
    }
  }
}
