import type { ObjectId } from 'bson';

/** Security events of accounts. Each is a line in the log, and in an entry of the audit trail. */
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
  /** The account that it is about, if known. */
  account?: ObjectId | undefined;
  /** In a word or two; never a client's input. */
  reason?: string;
}
