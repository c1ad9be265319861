import type { Types } from 'mongoose';
import { noteChange } from '../../schema/changes.ts';
import { modelOf } from '../../schema/model.ts';
import { ApiKey } from './key.ts';

/** Removes all API keys of a user, inside a transaction. */
export async function endKeys(user: Types.ObjectId): Promise<void> {
  const keys = await modelOf(ApiKey).find({ user }, { _id: 1 }).lean();
  if (keys.length === 0) return;
  await modelOf(ApiKey).deleteMany({ _id: { $in: keys.map(({ _id }) => _id) } });
  for (const { _id } of keys) noteChange(ApiKey, _id, 'remove');
}
