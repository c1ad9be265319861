import { AsyncLocalStorage } from 'node:async_hooks';
import type { Types } from 'mongoose';
import { caller } from '../auth/caller.ts';
import type { AnyResource } from './resource.ts';

/** What a request has changed, for the audit trail. */

export interface Change {
  resource: string;
  document: Types.ObjectId;
  action: 'create' | 'update' | 'remove';
  /** The user on whose behalf. */
  by: Types.ObjectId | undefined;
}

const changes = new AsyncLocalStorage<Change[]>();

/** Does the work, and tells what it has changed. */
export async function recording<T>(work: () => Promise<T>): Promise<{ value: T; changes: Change[] }> {
  const noted: Change[] = [];
  const value = await changes.run(noted, work);
  return { value, changes: noted };
}

/** Scripts do not record; then this does nothing. */
export const noteChange = (
  { collection }: AnyResource,
  document: Types.ObjectId,
  action: Change['action'],
): void => {
  changes.getStore()?.push({ resource: collection, document, action, by: caller().id });
};
