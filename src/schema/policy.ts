import { forbidden, insufficientScope, unauthenticated } from '../errors.ts';
import { ANONYMOUS, type Caller, caller, hasRole, hasScope, type Role } from '../auth/caller.ts';
import { type Condition, type Entry, type Grant, grantTo, isClosed, isGranted, whoIs } from './grants.ts';

/**
 * Policies: who may read and write the documents of a resource. They are data, from which the conditions of every
 * query, the entrance of every route and the OpenAPI texts follow.
 */

/** A declared policy. Rights that it does not name are for admins only. */
export interface AccessPolicy {
  /** The field with the id of the owner; `id` if the document is the user. */
  owner?: string;
  /** A condition lets everybody read the documents that meet it. */
  read?: readonly (Entry | Condition)[];
  create?: readonly Entry[];
  update?: readonly Entry[];
  remove?: readonly Entry[];
}

export const RIGHTS = ['read', 'create', 'update', 'remove'] as const;
export type Right = (typeof RIGHTS)[number];

/** A policy, decided as far as possible before any request. */
export type Policy = { owner: string | undefined } & Record<Right, Grant>;

export const policyOf = ({ owner, ...lists }: AccessPolicy): Policy => {
  const grant = (right: Right) => grantTo(lists[right] ?? ['admin']);
  const [read, create, update, remove] = [grant('read'), grant('create'), grant('update'), grant('remove')];
  return { owner, read, create, update, remove };
};

/** Anything with a policy. */
export interface Governed {
  collection: string;
  policy: Policy;
}

/** Who may call a route. Access to single documents is decided when they are read and written. */
export interface Access {
  /** The lowest role; 'anyone' needs no login. Undefined: no role suffices. */
  role?: 'anyone' | Role;
  /** Besides that role, every user to whom the document belongs, by this field. */
  owner?: string;
  /** The scope that an API key needs; 'each': checked per operation. Undefined: API keys are refused. */
  scope?: string;
  /**
   * Where the credentials are. 'body': the Authorization header is ignored; 'ticket': a ticket may replace the header,
   * and the route itself calls requireAccess(). 'none': callers are not identified, so all are alike.
   */
  credentials?: 'body' | 'ticket' | 'none';
}

export const ANYONE: Access = { role: 'anyone', scope: 'none' };

/** Anyone, with any token or none: the database is not asked. */
export const UNASKED: Access = { role: 'anyone', credentials: 'none' };

/** Who may call a route that does this to documents of a resource. */
export function accessTo(right: Right, { policy, collection }: Governed): Access {
  const { role, owner, where } = policy[right];
  if (isClosed(policy[right]))
    throw new Error(`No route can ${right} ${collection}: policy.${right} names nobody.`);
  const scope = `${collection}:${right === 'read' ? 'read' : 'write'}`;
  if (role === 'anyone' || where.length > 0) return { role: 'anyone', scope };
  return { ...(role && { role }), ...(owner && { owner: policy.owner as string }), scope };
}

/** Refuses callers who may not call the route. */
export function requireAccess({ role, owner, scope }: Access, who: Caller): void {
  if (role !== 'anyone') {
    if (who.kind === 'anonymous') throw unauthenticated();
    if (!owner && !(role && hasRole(who, role))) throw forbidden(`This is for ${role}s only.`);
  }
  if (!who.scopes || scope === 'none' || scope === 'each') return;
  if (!scope) throw forbidden('This cannot be done with an API key: log in.');
  const [collection = '', right] = scope.split(':');
  if (!hasScope(who, collection, right as 'read' | 'write')) throw insufficientScope(scope);
}

type Filter = Record<string, unknown>;

const NOTHING: Filter = { $nor: [{}] };

/** A condition that requires both. */
export const restrict = (filter: Filter, condition: Filter | undefined): Filter =>
  condition ? { $and: [filter, condition] } : filter;

/** The condition on documents that the caller may read; undefined means all. */
export function visible(resource: Governed): Filter | undefined {
  const who = readerOf(resource);
  const { read } = resource.policy;
  if (isGranted(read, who)) return undefined;
  const mine = own(resource, read, who);
  const [first, ...others] = [...read.where, ...(mine ? [mine] : [])];
  return others.length > 0 ? { $or: [first, ...others] } : (first ?? NOTHING);
}

/**
 * The condition on documents that the caller may change in this way; undefined means all. Refuses callers who can
 * change none.
 */
export function writable(resource: Governed, right: 'update' | 'remove'): Filter | undefined {
  const who = writerOf(resource);
  const grant = resource.policy[right];
  if (isGranted(grant, who)) return undefined;
  return own(resource, grant, who) ?? refuseWriter(resource, right, who);
}

/** Refuses a document that the caller may not create. */
export function requireCreatable(resource: Governed, document: Record<string, unknown>): void {
  const who = writerOf(resource);
  const { create } = resource.policy;
  if (isGranted(create, who)) return;
  if (!own(resource, create, who)) refuseWriter(resource, 'create', who);
  if (!isOwner(resource, who, document)) throw notYourself(resource);
}

/** Refuses to give a document to another owner. */
export function requireOwn(resource: Governed, changes: Record<string, unknown>): void {
  const { owner, update } = resource.policy;
  const who = caller();
  if (!owner || !(owner in changes) || isGranted(update, who) || isOwner(resource, who, changes)) return;
  throw notYourself(resource);
}

const notYourself = ({ policy: { owner } }: Governed) =>
  forbidden(`You can only set yourself as the ${owner}.`, {
    errors: [{ in: 'body', pointer: `/${owner}`, code: 'not_yourself', message: 'must be yourself' }],
  });

/** Whether it is the caller's own; the id may have been replaced by the user. */
export function isOwner({ policy }: Governed, { id }: Caller, stored: Filter): boolean {
  const owner = ownerPath(policy);
  if (owner === undefined || id === undefined) return false;
  const theirs = stored[owner] as { _id?: unknown } | undefined;
  return id.equals((theirs?._id ?? theirs) as string);
}

/** The reader: a key without the scope sees what everybody sees. */
export function readerOf({ collection }: Governed): Caller {
  const who = caller();
  return hasScope(who, collection, 'read') ? who : ANONYMOUS;
}

/** The writer; refuses a key without the scope. */
export function writerOf({ collection }: Governed): Caller {
  const who = caller();
  if (!hasScope(who, collection, 'write')) throw insufficientScope(`${collection}:write`);
  return who;
}

const own = ({ policy }: Governed, grant: Grant, { id }: Caller): Filter | undefined => {
  const owner = ownerPath(policy);
  return grant.owner && owner && id ? { [owner]: id } : undefined;
};

/** Where MongoDB stores the owner's id. */
export const ownerPath = ({ owner }: Policy): string | undefined => (owner === 'id' ? '_id' : owner);

function refuseWriter({ collection, policy }: Governed, right: Right, { kind }: Caller): never {
  if (kind === 'anonymous') throw unauthenticated();
  const who = isClosed(policy[right]) ? 'Nobody' : `Only ${whoIs(policy[right], policy.owner)}`;
  throw forbidden(`${who} may ${right} ${collection}.`);
}

/** The policy in words, for OpenAPI. */
export function describeAccess({ role, owner, scope, credentials }: Access): string {
  if (credentials === 'body') return 'Needs no login.';
  const who =
    role === 'anyone'
      ? 'Open to everybody'
      : role === 'member'
        ? 'For every user'
        : `For ${whoIs({ owner: owner !== undefined, ...(role && { role }), where: [] }, owner)}`;
  const key =
    scope === undefined
      ? '; not with an API key.'
      : scope === 'each'
        ? '; an API key needs the scope of each operation.'
        : '.';
  return who + key;
}
