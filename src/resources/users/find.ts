import { modelOf, QUERY_TIME } from '../../schema/model.ts';
import type { DocumentOf } from '../../schema/resource.ts';
import { User } from './user.ts';

/**
 * Finds the account with an e-mail address. Only case may differ: MongoDB's collation also ignores invisible and
 * equivalent characters, and limits per address would count each spelling separately.
 */
export async function findAccount(email: string): Promise<DocumentOf<typeof User> | null> {
  const found = await modelOf(User)
    .findOne({ email: { $eq: email } })
    .maxTimeMS(QUERY_TIME)
    .lean();
  return found?.email.toLowerCase() === email.toLowerCase() ? found : null;
}
