import { type Caller, hasRole, ROLES, type Role } from '../auth/caller.ts';

/** Grants: lists of who may do something, in a resource's policy and in the access to its fields. */

/** Everybody, users with this role or a higher one, or the owner of the document. */
export type Entry = 'anyone' | 'owner' | Role;

/** A condition on documents that everybody may read: `{ status: 'published' }`. */
export type Condition = Readonly<Record<string, string | number | boolean | null>>;

/** A list of which any entry suffices, decided as far as possible before any request. */
export interface Grant {
  /** The lowest role that suffices; undefined if no role does. */
  role?: 'anyone' | Role;
  owner: boolean;
  where: readonly Condition[];
}

export const grantTo = (list: readonly (Entry | Condition)[]): Grant => {
  const role = (['anyone', ...ROLES] as const).find((role) => list.includes(role));
  return {
    ...(role && { role }),
    owner: list.includes('owner'),
    where: list.filter((entry) => typeof entry === 'object'),
  };
};

/** Whether the caller may do it to every document. */
export const isGranted = ({ role }: Grant, who: Caller): boolean =>
  who.kind === 'system' || role === 'anyone' || (role !== undefined && hasRole(who, role));

/** Whether nobody may, except scripts of the operator. */
export const isClosed = ({ role, owner, where }: Grant): boolean => !role && !owner && where.length === 0;

/** Whether everybody who has one grant also has the other. */
export const covers = (wide: Grant, narrow: Grant): boolean =>
  (narrow.role === undefined || rankOf(wide) <= rankOf(narrow)) &&
  (!narrow.owner || wide.owner || rankOf(wide) <= rankOf({ role: 'member' })) &&
  (narrow.where.length === 0 || wide.role === 'anyone');

/** The rank of the lowest role that suffices; higher than any role if none does. */
const rankOf = ({ role }: Pick<Grant, 'role'>): number =>
  role === undefined ? ROLES.length : role === 'anyone' ? -1 : ROLES.indexOf(role);

/** 'its author or editors and above', for messages and OpenAPI. */
export function whoIs({ role, owner, where }: Grant, ownerField = 'owner'): string {
  const byRole = { anyone: 'everybody', member: 'every user', editor: 'editors and above', admin: 'admins' };
  const all = [
    ...(owner ? [ownerField === 'id' ? 'the user concerned' : `its ${ownerField.split('.').at(-1)}`] : []),
    ...(role ? [byRole[role]] : []),
    ...where.map((condition) => {
      const values = Object.entries(condition).map(([field, value]) => `${field} is ${String(value)}`);
      return `everybody if ${values.join(' and ')}`;
    }),
  ];
  return all.join(' or ') || 'nobody';
}

/** Checks a list; `also` describes other possible entries. */
export function faultsOfList(
  where: string,
  list: unknown,
  { owner, conditions = false }: { owner: boolean; conditions?: boolean },
): string[] {
  if (list === undefined) return [];
  if (!Array.isArray(list)) return [`${where} must be a list, not ${JSON.stringify(list)}.`];
  const known: unknown[] = ['anyone', 'owner', ...ROLES];
  return list.flatMap((entry) => {
    if (entry === 'owner' && !owner) return [`${where} names the owner, but policy.owner is missing.`];
    if (known.includes(entry) || (conditions && isCondition(entry))) return [];
    const also = conditions ? ', or a condition such as { status: "published" }' : '';
    return [`${where} takes ${known.join(', ')}${also}, not ${JSON.stringify(entry)}.`];
  });
}

const isCondition = (entry: unknown): boolean =>
  typeof entry === 'object' && entry !== null && !Array.isArray(entry) && Object.keys(entry).length > 0;
