import { bulkWrite, Refused } from '../bulk-write.ts';
import { isTransient, isUnreachable } from '../failures.ts';
import { guardWrites } from '../guards.ts';
import { readMany } from '../read-many.ts';
import { NotShared, sessions, type Underway, underway } from '../session.ts';
import { transaction } from '../transaction.ts';
import type { Member } from './member.ts';
import { sharedReads } from './shared-reads.ts';

/** How often a group is divided; after that each member runs alone. */
const DIVISIONS = 4;
/** Kinds of work that turned out to need their own transactions: a hook reads or writes immediately. */
export const loners = new WeakSet<object>();
/** A member with so little time left, in milliseconds, runs alone: a group has the least time of its members. */
const LATE = 2_000;
/** Milliseconds for which a single request may keep others waiting. */
const ALONE = 100;

/** The members do not fit in one transaction. These parts may; a refused member runs alone after them. */
class Parted extends Error {
  readonly parts: Member[][];
  readonly refused: Member | undefined;
  constructor(parts: Member[][], refused?: Member) {
    super('The group goes in parts.');
    this.parts = parts.filter(({ length }) => length > 0);
    this.refused = refused;
  }
}

/** Performs the work of the members, and settles each of them. Never rejects. */
export async function perform(members: Member[], divisions = 0): Promise<void> {
  const [first] = members;
  if (members.length === 1 && first) return atMost(ALONE, goAlone(first));
  const soon = performance.now() + LATE;
  const others = members.filter(({ deadline }) => deadline >= soon);
  if (others.length > 0 && others.length < members.length) {
    for (const member of members) if (member.deadline < soon) void goAlone(member);
    return perform(others, divisions);
  }
  let conflicts = 0;
  const work = () =>
    attempt(members).catch((error: unknown) => {
      // The whole group retries once: two groups that collided seldom collide again.
      const isConflict = isTransient(error) && !isUnreachable(error);
      if (isConflict && ++conflicts + divisions > 1) throw halves(members);
      throw error;
    });
  const claims = {
    holds: members.flatMap(({ holds }) => holds),
    deadline: Math.min(...members.map(({ deadline }) => deadline)),
  };
  try {
    const outcomes = await transaction(work, claims);
    for (const [i, outcome] of outcomes.entries()) settle(members[i] as Member, outcome);
  } catch (error) {
    if (!(error instanceof Parted)) for (const { reject } of members) reject(error);
    else if (divisions === DIVISIONS) for (const member of members) void goAlone(member);
    else {
      await Promise.all(error.parts.map((part) => perform(part, divisions + 1)));
      // The refusal may belong to another member.
      if (error.refused) void goAlone(error.refused);
    }
  }
}

/** Waits briefly for a promise that never rejects. */
const atMost = (time: number, done: Promise<void>): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, time).unref();
    void done.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });

const halves = (members: Member[]): Parted => {
  const middle = Math.ceil(members.length / 2);
  return new Parted([members.slice(0, middle), members.slice(middle)]);
};

const goAlone = ({ inContext, work, holds, deadline, resolve, reject }: Member): Promise<void> =>
  inContext(() => transaction(work, { holds, deadline }).then(resolve, reject));

function settle(member: Member, outcome: PromiseSettledResult<unknown>): void {
  if (outcome.status === 'fulfilled') member.resolve(outcome.value);
  else {
    const { reason } = outcome;
    if (reason instanceof NotShared) loners.add(member.kind);
    if (reason instanceof NotShared || isTransient(reason)) void goAlone(member);
    else member.reject(reason);
  }
}

/**
 * Runs inside the group's transaction: each member reads and collects, then the writes of those that were not refused
 * are kept.
 */
async function attempt(members: Member[]): Promise<PromiseSettledResult<unknown>[]> {
  const { session, stripes } = underway();
  const { lookUp, leave, requireRead } = sharedReads(members.length, (wanted) => readMany(wanted, session));
  const stores = members.map(
    (): Underway => ({ session, stripes, writes: [], guards: new Map(), shared: lookUp }),
  );
  const outcomes = await Promise.allSettled(
    members.map(({ inContext, work }, i) =>
      inContext(() => sessions.run(stores[i] as Underway, work)).finally(leave),
    ),
  );
  requireRead();
  const good = stores.flatMap((store, i) =>
    outcomes[i]?.status === 'fulfilled' ? [{ ...store, member: members[i] as Member }] : [],
  );
  const collected = good.flatMap(({ writes, member }) => writes.map((write) => ({ write, member })));
  // Several members may refer to one document.
  const guards = new Map(good.flatMap((one) => [...one.guards]));
  try {
    await bulkWrite([...collected.map(({ write }) => write), ...guardWrites(guards)], session);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const refused = isTransient(error.cause) ? undefined : collected[error.index]?.member;
    if (!refused) throw error.cause;
    const at = members.indexOf(refused);
    throw new Parted([members.slice(0, at), members.slice(at + 1)], refused);
  }
  return outcomes;
}
