import { type Caller, hasRole, ROLES, type Role } from '../auth/caller.ts';

/** Lists of those who may do something: of a resource's policy, and of the access to its fields. */

/** Everybody, users with this role or a higher one, or the user whose document it is. */
export type Entry = 'anyone' | 'owner' | Role;

/** What a document must be for everybody to read it: `{ status: 'published' }`. */
export type Condition = Readonly<Record<string, string | number | boolean | null>>;

/** A list in which any entry is enough, decided as far as it can be before anybody calls. */
export interface Grant {
  /** The least role that is enough; no role is, if it is not given. */
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

/** Whether nobody may but the operator's own programs. */
export const isClosed = ({ role, owner, where }: Grant): boolean => !role && !owner && where.length === 0;

/** Whether everybody who has one grant has the other, too. */
export const covers = (wide: Grant, narrow: Grant): boolean =>
  (narrow.role === undefined || rankOf(wide) <= rankOf(narrow)) &&
  (!narrow.owner || wide.owner || rankOf(wide) <= rankOf({ role: 'member' })) &&
  (narrow.where.length === 0 || wide.role === 'anyone');

/** Of the least role; higher than any, where none is enough. */
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

/** What is wrong with a list; `also` says what else may be an entry of it. */
export function faultsOfList(
  where: string,
  list: unknown,
  { owner, conditions = false }: { owner: boolean; conditions?: boolean },
): string[] {
  if (list === undefined) return [];
  if (!Array.isArray(list)) return [`${where} is a list, not ${JSON.stringify(list)}.`];
  const known: unknown[] = ['anyone', 'owner', ...ROLES];
  return list.flatMap((entry) => {
    if (entry === 'owner' && !owner) return [`${where} names the owner, and policy.owner names no field.`];
    if (known.includes(entry) || (conditions && isCondition(entry))) return [];
    const also = conditions ? ', or a condition such as { status: "published" }' : '';
    return [`${where} has entries among ${known.join(', ')}${also}; not ${JSON.stringify(entry)}.`];
  });
}

const isCondition = (entry: unknown): boolean =>
  typeof entry === 'object' && entry !== null && !Array.isArray(entry) && Object.keys(entry).length > 0;
