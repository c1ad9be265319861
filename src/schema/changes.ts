import { AsyncLocalStorage } from 'node:async_hooks';
import type { Types } from 'mongoose';
import { caller } from '../auth/caller.ts';
import type { SecurityEvent } from '../auth/events.ts';
import type { Mail } from '../auth/mail.ts';
import type { AnyResource } from './resource.ts';

/** What a request, or a script, has done: for the audit trail. */
export interface Done {
  changes: Change[];
  events: SecurityEvent[];
  /** To be sent when all of it is stored. */
  mails: Mail[];
}

export interface Change {
  resource: string;
  document: Types.ObjectId;
  action: 'create' | 'update' | 'remove';
  /** The user on whose behalf. */
  by: Types.ObjectId | undefined;
}

const notes = new AsyncLocalStorage<Done>();

/** Does the work, and tells what it has done. */
export async function recording<T>(work: () => Promise<T>): Promise<{ value: T; done: Done }> {
  const done: Done = { changes: [], events: [], mails: [] };
  const value = await notes.run(done, work);
  return { value, done };
}

/** Outside of recording() this does nothing, nor does the next. */
export const noteChange = (
  { collection }: AnyResource,
  document: Types.ObjectId,
  action: Change['action'],
): void => {
  notes.getStore()?.changes.push({ resource: collection, document, action, by: caller().id });
};

export const noteEvent = (event: SecurityEvent): void => {
  notes.getStore()?.events.push(event);
};

export const noteMail = (mail: Mail): void => {
  notes.getStore()?.mails.push(mail);
};
