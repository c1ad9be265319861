import { bulkWrite, Refused } from '../bulk-write.ts';
import { isTransient, isUnreachable } from '../failures.ts';
import { guardWrites } from '../guards.ts';
import { readMany } from '../read-many.ts';
import { NotShared, sessions, type Underway, underway } from '../session.ts';
import { transaction } from '../transaction.ts';
import type { Member } from './member.ts';
import { sharedReads } from './shared-reads.ts';

/** How often a group is made smaller; then each of its members goes alone. */
const DIVISIONS = 4;
/** The kinds of work that need a transaction of their own after all: a hook of theirs reads, or writes at once. */
export const loners = new WeakSet<object>();
/** Milliseconds for which a request that is alone keeps others waiting. */
const ALONE = 100;

/** The members cannot be done by one transaction. These parts of them may; one that was refused goes alone after them. */
class Parted extends Error {
  readonly parts: Member[][];
  readonly refused: Member | undefined;
  constructor(parts: Member[][], refused?: Member) {
    super('The group goes in parts.');
    this.parts = parts.filter(({ length }) => length > 0);
    this.refused = refused;
  }
}

/** Does what the members ask for, and settles each of them. Never rejects. */
export async function perform(members: Member[], divisions = 0): Promise<void> {
  const [first] = members;
  if (members.length === 1 && first) return atMost(ALONE, goAlone(first));
  let conflicts = 0;
  const work = () =>
    attempt(members).catch((error: unknown) => {
      // The whole group tries once more: two that have met once seldom meet again.
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
      // What it was refused for may be another member's.
      if (error.refused) void goAlone(error.refused);
    }
  }
}

/** Waits for what never rejects, but not for long. */
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

/** Inside the transaction of the group: lets each member read and collect, and writes for those that were not refused. */
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
  // Several may refer to one document.
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
