import { setTimeout as sleep } from 'node:timers/promises';
import mongoose, { type ClientSession } from 'mongoose';
import { Problem } from '../errors.ts';
import { retries, transactions } from '../measures.ts';
import { sendCollected } from './collected.ts';
import {
  databaseProblem,
  isTransient,
  outcomeUnknown,
  reasonOf,
  tooSlow,
  writeConflict,
} from './failures.ts';
import { type Guarded, holding } from './guards.ts';
import { sessions, type Underway } from './session.ts';
import { inTurn } from './turns.ts';

/** Milliseconds for a transaction including all its attempts, unless its claims say otherwise. */
const BUDGET = 8_000;
/** Milliseconds after that in which a running attempt may still succeed. */
export const GRACE = 1_000;

const OPTIONS = {
  readConcern: 'snapshot',
  writeConcern: { w: 'majority' },
  readPreference: 'primary',
} as const;

/**
 * Runs `work` as one transaction and returns what it returns: all of its writes, or none.
 *
 * Rules for `work`: it may run several times, so it must change nothing but the database; it awaits one operation at a
 * time (no Promise.all: a session supports only one); it swallows no database error (the first one aborts the
 * transaction); and it does not call transaction(). Models join automatically; calls on the driver's own collections
 * must pass `currentSession()`. `holds` names the documents that it will refer to, and `changes` those that it will
 * change, if known in advance: work on the same documents takes turns. `dry` does everything but commit. `deadline` is
 * when it must have ended.
 *
 * The driver's withTransaction() retries for two minutes, and gives up on errors that a lost primary leaves without a
 * label; hence this loop. Throws a 503 problem when the time is up.
 */
export async function transaction<T>(work: () => Promise<T>, claims: Claims = {}): Promise<T> {
  if (sessions.getStore()) throw new Error('Transactions do not nest.');
  const deadline = dueBy(claims);
  const course: Course = { deadline, isOver: false, isCommitting: false };
  // Not every driver call can be interrupted: the time limit must hold even if one of them hangs.
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => {
        course.isOver = true;
        reject(
          course.isCommitting
            ? outcomeUnknown('The database has not answered the commit.')
            : course.failure
              ? exhausted(course.failure)
              : tooSlow('The database has not answered in a transaction.'),
        );
      },
      deadline - performance.now() + GRACE,
    ).unref();
  });
  try {
    const result = await Promise.race([attempts(work, claims, course), limit]);
    transactions.publish({ outcome: 'committed' });
    return result;
  } catch (error) {
    const isUnknown = error instanceof Problem && error.code === 'outcome_unknown';
    transactions.publish({ outcome: isUnknown ? 'unknown' : 'failed' });
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** When a transaction must be done, by performance.now(). Throws a 503 problem if that time has passed. */
export function dueBy({ deadline }: Claims): number {
  const now = performance.now();
  if (deadline !== undefined && deadline <= now)
    throw tooSlow('The deadline passed before the transaction began.');
  return deadline ?? now + BUDGET;
}

/** What a transaction will touch; knowing this in advance avoids attempts that would fail. */
export interface Claims {
  holds?: Guarded[] | undefined;
  changes?: string | undefined;
  dry?: boolean;
  /** Its deadline, by performance.now(). */
  deadline?: number;
}

/** The progress of a transaction. */
interface Course {
  deadline: number;
  /** The caller has been told that the time is up. */
  isOver: boolean;
  isCommitting: boolean;
  /** Why the last attempt failed. */
  failure?: unknown;
}

async function attempts<T>(
  work: () => Promise<T>,
  { holds = [], changes, dry = false }: Claims,
  course: Course,
): Promise<T> {
  const session = await mongoose.startSession();
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        return await inTurn(changes, () =>
          holding(holds, attempt, (stripes) =>
            once({ session, stripes, writes: [], guards: new Map() }, work, course, dry),
          ),
        );
      } catch (error) {
        if (!isTransient(error)) throw error;
        course.failure = error;
        course.isCommitting = false;
        retries.publish({ reason: reasonOf(error) });
        if (performance.now() > course.deadline) throw exhausted(error);
        await sleep(backOff(attempt));
      }
    }
  } finally {
    await session.endSession().catch(() => {});
  }
}

async function once<T>(underway: Underway, work: () => Promise<T>, course: Course, dry: boolean): Promise<T> {
  const { session } = underway;
  // A transaction that queued for too long must not start.
  if (performance.now() > course.deadline)
    throw writeConflict(course.failure ?? 'It waited too long for other writes to the same document.');
  course.isCommitting = false;
  try {
    session.startTransaction(OPTIONS);
    const result = await sessions.run(underway, async () => {
      const made = await work();
      await sendCollected();
      return made;
    });
    // The caller has been told that nothing was written.
    if (course.isOver) throw tooSlow(course.failure);
    if (dry) {
      await session.abortTransaction();
      return result;
    }
    course.isCommitting = true;
    await commit(session, course.deadline);
    return result;
  } catch (error) {
    if (session.inTransaction()) await session.abortTransaction().catch(() => {});
    throw error;
  }
}

/**
 * A commit whose reply was lost may have happened. Sending the commit again is safe; running the work again is not.
 */
async function commit(session: ClientSession, deadline: number): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await session.commitTransaction();
      return;
    } catch (error) {
      const label = (error as { hasErrorLabel?: (label: string) => boolean }).hasErrorLabel?.bind(error);
      if (label?.('TransientTransactionError') || !isTransient(error)) throw error;
      if (performance.now() > deadline) throw outcomeUnknown(error);
      await sleep(backOff(attempt));
    }
  }
}

/** Milliseconds; random, so that transactions that collided do not collide again. */
const backOff = (attempt: number): number => Math.random() * Math.min(250, 4 * 1.5 ** attempt);

/** The problem for a failure that was retried until the deadline. Nothing was written. */
function exhausted(error: unknown): Problem {
  const problem = databaseProblem(error);
  return problem?.status === 503 ? problem : writeConflict(error);
}
