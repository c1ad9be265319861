import { forbidden, insufficientScope, unauthenticated } from '../errors.ts';
import { ANONYMOUS, type Caller, caller, hasRole, hasScope, type Role } from '../auth/caller.ts';

/**
 * Who may see and change the documents of a resource: data, from which follow the conditions of every query, the
 * entrance of every route and what OpenAPI says of it.
 */
export interface AccessPolicy {
  /** Who may see and write all of them; nobody but the operator's own programs, if it is not given. */
  manage?: Role;
  /** The field that holds whose document it is; the owner may see and write it. */
  owner?: string;
  /** Who may create one, if not only who manages, and an owner his own. */
  create?: 'anyone';
  /** Who may read at all; everybody, if it is not given. */
  read?: 'owner' | Role;
  /** What a document must be for others to see it. */
  public?: Record<string, string>;
}

/** What a policy governs. */
interface Governed {
  collection: string;
  policy: AccessPolicy;
}

/** What holds where a definition says nothing. */
export const CLOSED: AccessPolicy = { manage: 'admin', read: 'admin' };

/** Who gets in at a route. What becomes of single documents is decided where they are read and written. */
export interface Access {
  /** The least role; 'anyone' need not log in. */
  role: 'anyone' | Role;
  /** Not only who has that role, but every user whose own document it is, by this field. */
  owner?: string;
  /** What an API key must be good for; 'each': that is seen at each operation. Without one no key gets in. */
  scope?: string;
  /**
   * Who calls says so in the body, and a header is not looked at; or a ticket may say it in place of the header: then
   * the route itself asks requireAccess().
   */
  credentials?: 'body' | 'ticket';
}

export const ANYONE: Access = { role: 'anyone', scope: 'none' };

export const toRead = ({ policy: { read }, collection }: Governed): Access => ({
  role: read === undefined ? 'anyone' : read === 'owner' ? 'member' : read,
  scope: `${collection}:read`,
});

export const toWrite = ({ policy: { manage = 'admin', owner }, collection }: Governed): Access => ({
  role: manage,
  ...(owner && { owner }),
  scope: `${collection}:write`,
});

export const toCreate = (resource: Governed): Access =>
  resource.policy.create === 'anyone'
    ? { role: 'anyone', scope: `${resource.collection}:write` }
    : toWrite(resource);

/** Refuses who may not enter. */
export function requireAccess({ role, owner, scope }: Access, who: Caller): void {
  if (role !== 'anyone' && who.kind === 'anonymous') throw unauthenticated();
  if (role !== 'anyone' && !owner && !hasRole(who, role)) throw forbidden(`This is for ${role}s only.`);
  if (!who.scopes || scope === 'none' || scope === 'each') return;
  if (!scope) throw forbidden('This cannot be done with an API key: log in.');
  const [collection = '', right] = scope.split(':');
  if (!hasScope(who, collection, right as 'read' | 'write')) throw insufficientScope(scope);
}

type Condition = Record<string, unknown>;

const NOTHING: Condition = { $nor: [{}] };

/** Both must hold. */
export const restrict = (filter: Condition, condition: Condition | undefined): Condition =>
  condition ? { $and: [filter, condition] } : filter;

/** What a document must meet for the caller to see it; undefined, nothing. */
export function visible(resource: Governed): Condition | undefined {
  const who = readerOf(resource);
  const { read, public: shown } = resource.policy;
  if (manages(resource, who)) return undefined;
  if (read === 'owner') return own(resource, who) ?? NOTHING;
  if (read !== undefined) return hasRole(who, read) ? undefined : NOTHING;
  const mine = shown && own(resource, who);
  return mine ? { $or: [shown, mine] } : shown;
}

/** What a document must meet for the caller to change it; undefined, nothing. Refuses who can change none. */
export function writable(resource: Governed): Condition | undefined {
  const who = writerOf(resource);
  if (manages(resource, who)) return undefined;
  return own(resource, who) ?? refuseWriter(resource, who);
}

/** Refuses a document that the caller may not create, or not in this form. */
export function requireCreatable(resource: Governed, document: Record<string, unknown>): void {
  const who = writerOf(resource);
  if (resource.policy.create === 'anyone' || manages(resource, who)) return;
  if (!own(resource, who)) refuseWriter(resource, who);
  requireOwn(resource, document);
}

/** Refuses to make a document somebody else's. */
export function requireOwn(resource: Governed, changes: Record<string, unknown>): void {
  const { owner } = resource.policy;
  const who = caller();
  if (!owner || !(owner in changes) || manages(resource, who) || who.id?.equals(changes[owner] as string))
    return;
  throw forbidden(`You can make yourself the ${owner}, but nobody else.`, {
    errors: [{ in: 'body', pointer: `/${owner}`, code: 'not_yourself', message: 'must be yourself' }],
  });
}

/** Whether the caller may see the private fields of this stored document. */
export function maySeePrivate(resource: Governed, stored: Record<string, unknown>): boolean {
  const who = readerOf(resource);
  if (manages(resource, who)) return true;
  const { owner } = resource.policy;
  return owner !== undefined && who.id !== undefined && who.id.equals(stored[pathOf(owner)] as string);
}

/** A key without the scope sees what everybody sees. */
function readerOf({ collection }: Governed): Caller {
  const who = caller();
  return hasScope(who, collection, 'read') ? who : ANONYMOUS;
}

function writerOf({ collection }: Governed): Caller {
  const who = caller();
  if (!hasScope(who, collection, 'write')) throw insufficientScope(`${collection}:write`);
  return who;
}

const manages = ({ policy: { manage } }: Governed, who: Caller): boolean =>
  who.kind === 'system' || (manage !== undefined && hasRole(who, manage));

const own = ({ policy: { owner } }: Governed, { id }: Caller): Condition | undefined =>
  owner && id ? { [pathOf(owner)]: id } : undefined;

const pathOf = (owner: string): string => (owner === 'id' ? '_id' : owner);

function refuseWriter({ collection, policy: { manage } }: Governed, who: Caller): never {
  if (who.kind === 'anonymous') throw unauthenticated();
  throw forbidden(
    manage ? `Only ${manage}s change ${collection}.` : `Nobody can change ${collection} by this way.`,
  );
}

/** The same in words, for OpenAPI. */
export function describeAccess({ role, owner, scope, credentials }: Access): string {
  if (credentials === 'body') return 'It needs no login.';
  const managers = `${role}s${role === 'admin' ? '' : ' and above'}`;
  const who =
    role === 'anyone'
      ? 'Everybody may do it'
      : role === 'member'
        ? 'Every user may do it'
        : owner
          ? `For ${owner === 'id' ? 'oneself' : `its ${owner}`}, and for ${managers}`
          : `For ${managers}`;
  const key =
    scope === undefined
      ? '; not with an API key.'
      : scope === 'none'
        ? '.'
        : scope === 'each'
          ? '; an API key needs the scope of each operation.'
          : `; an API key needs the scope \`${scope}\`.`;
  return who + key;
}
