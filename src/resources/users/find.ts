import { modelOf, QUERY_TIME } from '../../schema/model.ts';
import type { DocumentOf } from '../../schema/resource.ts';
import { User } from './user.ts';

/**
 * The account that somebody names by its address. Only upper and lower case may differ: MongoDB's collation also takes
 * for equal what looks different or is invisible, and limits that count by address would count each spelling apart.
 */
export async function findAccount(email: string): Promise<DocumentOf<typeof User> | null> {
  const found = await modelOf(User)
    .findOne({ email: { $eq: email } })
    .maxTimeMS(QUERY_TIME)
    .lean();
  return found?.email.toLowerCase() === email.toLowerCase() ? found : null;
}
