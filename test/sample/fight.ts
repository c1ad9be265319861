import { setTimeout as sleep } from 'node:timers/promises';
import mongoose, { type Types } from 'mongoose';
import { resources } from '../../src/resources/api.ts';
import { modelOf } from '../../src/schema/model.ts';
import { type Arena, arenas, type Duel, duels, type Request } from './duels.ts';

/** Runs duels at two servers on one database. */

type Send = (server: number, request: Request) => Promise<{ status: number; body: any }>;

interface Fought {
  duel: Duel;
  arena: Arena;
  /** The document that came to refer, if that was acknowledged. */
  id: Types.ObjectId;
  acknowledged: boolean;
  outcome: string;
}

/** So many duels of each kind, sixteen at once. */
export async function fight(ofEach: number, send: Send): Promise<Fought[]> {
  const all = duels.flatMap((duel) => Array<Duel>(ofEach).fill(duel));
  const places = await arenas(all.length);
  const fought: Fought[] = [];
  const queue = all.entries();
  // On a busy machine a request may find no turn within its time; nothing was written, and clients send it again.
  const insist: Send = async (server, request) => {
    const answer = await send(server, request);
    return answer.body?.code === 'write_conflict' ? send(server, request) : answer;
  };
  const worker = async () => {
    for (const [index, duel] of queue) {
      const arena = places[index] as Arena;
      const hesitate = () => sleep(Math.random() * 12);
      const [referred, removed] = await Promise.all([
        hesitate().then(() => insist(index % 2, duel.refer(arena))),
        // Half of them on the same server.
        hesitate().then(() => insist((index >> 1) % 2, duel.remove(arena))),
      ]);
      fought.push({
        duel,
        arena,
        id: referred.status === 201 ? referred.body.id : (referred.body?.results?.[0].id ?? arena.post),
        acknowledged: referred.status < 300,
        outcome: `${referred.status} ${removed.status}`,
      });
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  return fought;
}

/** Of each duel one side has won, and the database has what was acknowledged; each side has won so many at least. */
export async function expectWinners(fought: Fought[], atLeast: number): Promise<void> {
  const surprises = fought.filter(({ duel, outcome }) => !duel.outcomes.includes(outcome));
  expect(surprises.map(({ duel, outcome }) => `${duel.name}: ${outcome}`)).toEqual([]);
  for (const which of [0, 1]) // Either side wins sometimes, or there was no duel.
    expect(fought.filter(({ duel, outcome }) => duel.outcomes[which] === outcome).length).toBeGreaterThan(
      atLeast,
    );
  expect(await dangling()).toBe(0);
  for (const { duel, arena, id, acknowledged } of fought) {
    const exists = await mongoose.connection
      .collection(`${duel.target}s`)
      .findOne({ _id: arena[duel.target] });
    const refers = await modelOf(duel.from).exists({ _id: id, [duel.field]: arena[duel.target] });
    expect([duel.name, refers !== null]).toEqual([duel.name, acknowledged && exists !== null]);
    if (acknowledged) expect([duel.name, await modelOf(duel.from).exists({ _id: id })]).not.toContain(null);
  }
}

/** How many references lead nowhere. Not by the code that is tested. */
export async function dangling(): Promise<number> {
  let count = 0;
  for (const { from, field, target } of resources.flatMap(({ references }) => references))
    count += (
      await modelOf(from).aggregate([
        { $unwind: `$${field}` },
        { $lookup: { from: target.collection, localField: field, foreignField: '_id', as: 'found' } },
        { $match: { found: [] } },
      ])
    ).length;
  return count;
}
