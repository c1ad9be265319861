import type { Types } from 'mongoose';
import { batches } from '../measures.ts';
import { isInTransaction } from './session.ts';

/** What MongoDB sends at once is 101 documents: more would need a second round trip, which is not tried again. */
const MAX_IDS = 100;

type Id = Types.ObjectId;

interface Round<T> {
  ids: Id[];
  found: Promise<Map<string, T>>;
}

/**
 * A function that reads a document by its id. Those who ask in the same turn of the event loop are answered by one
 * query, which is sent after the last of them has asked: nobody is given what was read before. Each has an object to
 * himself, but what is inside is shared, and so is an error. A transaction reads for itself. The query runs on behalf
 * of whoever asked first, so it must not depend on who is calling.
 *
 * After facebook/dataloader, without its cache.
 */
export function loader<T extends { _id: Id }>(read: (ids: Id | { $in: Id[] }) => Promise<T[]>) {
  let next: Round<T> | undefined;

  const begin = (): Round<T> => {
    const ids: Id[] = [];
    const found = new Promise((resolve) => setImmediate(resolve)).then(async () => {
      if (next === round) next = undefined;
      if (batches.hasSubscribers) batches.publish({ size: ids.length });
      const [first, ...others] = ids as [Id, ...Id[]];
      const documents = await read(others.length === 0 ? first : { $in: ids });
      return new Map(documents.map((document) => [document._id.toHexString(), document]));
    });
    const round = { ids, found };
    return round;
  };

  return async (id: Id): Promise<T | undefined> => {
    if (isInTransaction()) return (await read(id))[0];
    if (!next || next.ids.length >= MAX_IDS) next = begin();
    next.ids.push(id);
    const found = (await next.found).get(id.toHexString());
    return found && { ...found };
  };
}
