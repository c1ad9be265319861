import type { Types } from 'mongoose';
import { caller, runAs } from '../../auth/caller.ts';

/** Commands about accounts write what no client may: an address, a lock. The audit trail still has who it was. */

/** On behalf of the caller, who has been let in to do just this. */
export const asCommand = <T>(work: () => T): T => runAs({ ...caller(), kind: 'system' }, work);

/** On behalf of a user who has shown by a link that the mailbox is his. */
export const asOwner = <T>(user: Types.ObjectId, work: () => T): T =>
  runAs({ kind: 'system', id: user }, work);
