import type { Types } from 'mongoose';
import { batches } from '../measures.ts';
import { isInTransaction } from './session.ts';

/** MongoDB's first batch has 101 documents: more would need a getMore, which is not retried. */
const MAX_IDS = 100;

type Id = Types.ObjectId;

interface Round<T> {
  ids: Id[];
  found: Promise<Map<string, T>>;
}

/**
 * Returns a function that reads a document by its id. Calls in the same turn of the event loop share one query, sent
 * at the end of the turn: no caller gets data read before it asked. Each caller gets a shallow copy; nested values and
 * errors are shared. Inside a transaction each call reads separately. The query runs on behalf of the first caller, so
 * it must not depend on who is calling.
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
