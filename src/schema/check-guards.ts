import type { mongo } from 'mongoose';
import { collect } from '../mongo/collected.ts';
import { database } from '../mongo/connect.ts';
import { documentOf, GUARDS, guards, keyOf, removeGuards } from '../mongo/guards.ts';
import { currentSession } from '../mongo/session.ts';
import { transaction } from '../mongo/transaction.ts';
import { inBatches } from './check.ts';

/**
 * Finds guards whose document is gone, and removes them. They are harmless but take space: the API removes them with
 * the document, other tools leave them behind. Missing guards are no fault, because each is created when first needed.
 */

const BATCH = 1_000;
/** Guards removed at once; most documents with a few guards have all 32. */
const REMOVED = 100;

/** Goes through all guards in batches; returns the ids of those whose document is gone. */
export async function* checkGuards(mending: boolean): AsyncGenerator<{ read: number; surplus: string[] }> {
  const cursor = guards()
    .find({}, { projection: { _id: 1 } })
    .sort({ _id: 1 })
    .batchSize(BATCH);
  for await (const batch of inBatches(cursor, BATCH)) {
    const suspects = await surplusOf(batch.map(({ _id }) => _id));
    const surplus: string[] = [];
    for (let start = 0; start < suspects.length; start += REMOVED)
      surplus.push(...(await lookAgain(suspects.slice(start, start + REMOVED), mending)));
    yield { read: batch.length, surplus };
  }
}

/** A concurrent write that refers to such a document changes the same guard, so one of the two waits. */
const lookAgain = (suspects: string[], mending: boolean): Promise<string[]> =>
  transaction(async () => {
    const session = currentSession();
    const found = await guards()
      .find({ _id: { $in: suspects } }, { session, projection: { _id: 1 } })
      .toArray();
    const ids = found.map(({ _id }) => _id);
    const surplus = await surplusOf(ids, session);
    if (!mending) return surplus;
    removeGuards(surplus.flatMap((guard) => documentOf(guard) ?? []));
    const filter = { _id: { $in: surplus.filter((guard) => !documentOf(guard)) } };
    collect({ collection: GUARDS, statement: { delete: true, filter, multi: true } });
    return surplus;
  });

async function surplusOf(guardIds: string[], session?: mongo.ClientSession): Promise<string[]> {
  const db = database();
  const documents = guardIds.flatMap((guard) => documentOf(guard) ?? []);
  const existing = new Set<string>();
  for (const name of new Set(documents.map(({ collection }) => collection))) {
    const ids = documents.filter(({ collection }) => collection === name).map(({ id }) => id);
    const found = await db
      .collection(name)
      .find({ _id: { $in: ids } }, { projection: { _id: 1 }, ...(session && { session }) })
      .toArray();
    for (const { _id } of found) existing.add(keyOf({ collection: name, id: _id }));
  }
  return guardIds.filter((guard) => {
    const document = documentOf(guard);
    return !document || !existing.has(keyOf(document));
  });
}
