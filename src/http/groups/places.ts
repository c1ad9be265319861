import { Problem } from '../../errors.ts';

/** Groups and facets may read all documents of a list: a few at a time leave room for everything else. */
const PLACES = 4;
let taken = 0;

export async function withinPlaces<T>(work: () => PromiseLike<T>): Promise<T> {
  if (taken >= PLACES)
    throw new Problem('too_busy', 'Too many expensive queries are under way; try again soon.');
  taken++;
  try {
    return await work();
  } finally {
    taken--;
  }
}
