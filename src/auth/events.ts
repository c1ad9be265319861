import type { ObjectId } from 'bson';

/** What concerns the security of accounts. Each of them is a line in the log, and in an entry of the audit trail. */
type EventName =
  | 'login'
  | 'login_failed'
  | 'login_delayed'
  | 'token_refused'
  | 'token_sibling'
  | 'token_reused'
  | 'session_ended'
  | 'key_created'
  | 'key_removed'
  | 'registration_delayed'
  | 'duplicate_tried'
  | 'password_wrong'
  | 'password_changed'
  | 'role_changed'
  | 'email_requested'
  | 'email_changed'
  | 'email_verified'
  | 'reset_requested'
  | 'locked'
  | 'unlocked'
  | 'account_removed';

export interface SecurityEvent {
  event: EventName;
  /** Whose account it is about, as far as that is known. */
  account?: ObjectId | undefined;
  /** In a word or two; never what somebody has typed. */
  reason?: string;
}
