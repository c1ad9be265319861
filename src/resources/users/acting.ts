import type { Types } from 'mongoose';
import { caller, runAs } from '../../auth/caller.ts';

/**
 * Account commands write fields that no client may, such as an address or a lock. The audit trail still names the
 * caller.
 */

/** On behalf of the caller, whom the route has already authorised for this. */
export const asCommand = <T>(work: () => T): T => runAs({ ...caller(), kind: 'system' }, work);

/** On behalf of a user who has proved ownership of the mailbox with a link. */
export const asOwner = <T>(user: Types.ObjectId, work: () => T): T =>
  runAs({ kind: 'system', id: user }, work);
