import { AsyncLocalStorage } from 'node:async_hooks';
import type { Types } from 'mongoose';
import { caller } from '../auth/caller.ts';
import type { SecurityEvent } from '../auth/events.ts';
import type { Mail } from '../auth/mail.ts';
import type { AnyResource } from './resource.ts';

/** The changes that a request or script has made, for the audit trail. */
export interface Done {
  changes: Change[];
  events: SecurityEvent[];
  /** Mails to send once the changes are stored. */
  mails: Mail[];
}

export interface Change {
  resource: string;
  document: Types.ObjectId;
  action: 'create' | 'update' | 'remove';
  /** The user on whose behalf the changes were made. */
  by: Types.ObjectId | undefined;
}

const notes = new AsyncLocalStorage<Done>();

/** Runs the work and reports its changes. */
export async function recording<T>(work: () => Promise<T>): Promise<{ value: T; done: Done }> {
  const done: Done = { changes: [], events: [], mails: [] };
  const value = await notes.run(done, work);
  return { value, done };
}

/** Outside of recording() this function and the next do nothing. */
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
