import type { mongo } from 'mongoose';
import { sendBefore } from './collected.ts';
import { readMany, type Wanted } from './read-many.ts';
import { underway } from './session.ts';

/** Reads documents of several collections by their ids in one round trip, inside a transaction. */
export async function lookUp(wanted: Wanted[]): Promise<mongo.Document[][]> {
  const { session, shared } = underway();
  if (shared) return shared(wanted);
  await sendBefore(...wanted.flatMap(({ collection, join }) => [collection, join?.from ?? collection]));
  return readMany(wanted, session);
}
