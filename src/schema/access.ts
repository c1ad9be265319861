import type { z } from 'zod';
import { type Caller, ROLES, type Role } from '../auth/caller.ts';
import { type Fault, forbidden } from '../errors.ts';
import { covers, type Entry, type Grant, grantTo, isClosed, isGranted, whoIs } from './grants.ts';
import { type Governed, isOwner, ownerPath, type Policy, readerOf } from './policy.ts';

/** Access to single fields, where it differs from access to the document. */

/** The access to a path as a definition declares it. Paths that it does not name follow the document. */
export interface FieldAccess {
  read?: readonly Entry[];
  write?: readonly Entry[];
}

export type Paths = ReadonlySet<string>;

/** The paths hidden from a caller: in their own documents, and in those of others. One set if both are the same. */
export interface Kept {
  own: Paths;
  others: Paths;
}

type Standing = 'anonymous' | 'system' | Role;

/** Read or write access to fields: the grants by path, and what follows for each kind of caller. */
interface Restriction {
  grants: ReadonlyMap<string, Grant>;
  kept: Record<Standing, Kept>;
}

/** The access to fields, decided as far as possible before any request. */
export type Restrictions = Record<'read' | 'write', Restriction>;

/** `access` as declared. */
export type AccessLists = Readonly<Record<string, FieldAccess | undefined>>;

export const restrictionsOf = (access: AccessLists): Restrictions => ({
  read: restriction(access, 'read'),
  write: restriction(access, 'write'),
});

function restriction(access: AccessLists, right: 'read' | 'write'): Restriction {
  const grants = new Map(
    Object.entries(access).flatMap(([path, lists]) =>
      lists?.[right] ? [[path, grantTo(lists[right])] as const] : [],
    ),
  );
  const keptFrom = (who: Caller): Kept => {
    const refused = [...grants].filter(([, grant]) => !isGranted(grant, who));
    const others = new Set(refused.map(([path]) => path));
    const own = new Set(refused.filter(([, { owner }]) => !owner).map(([path]) => path));
    return { own: own.size === others.size ? others : own, others };
  };
  const byRole = ROLES.map((role) => [role, keptFrom({ kind: 'user', role })] as const);
  const kept = {
    anonymous: keptFrom({ kind: 'anonymous' }),
    system: keptFrom({ kind: 'system' }),
    ...(Object.fromEntries(byRole) as Record<Role, Kept>),
  };
  return { grants, kept };
}

export interface Restricted extends Governed {
  restrictions: Restrictions;
}

/** The paths hidden from a caller, as far as they can be told without the document. */
export const keptFrom = (resource: Restricted, right: 'read' | 'write', { kind, role }: Caller): Kept =>
  resource.restrictions[right].kept[kind === 'user' ? (role as Role) : kind];

/** The hidden paths of a stored document, whose fields `valueOf` returns. */
export function hiddenOf(resource: Restricted, valueOf: (field: string) => unknown): Paths {
  const who = readerOf(resource);
  const { own, others } = keptFrom(resource, 'read', who);
  const owner = ownerPath(resource.policy);
  if (own === others || !who.id || !owner) return others;
  return isOwner(resource, who, { [owner]: valueOf(owner) }) ? own : others;
}

/** Whether a set contains this path, or one around it. */
export const contains = (paths: Pick<Paths, 'has'>, path: string): boolean =>
  paths.has(path) || isInside(paths, path);

/** Whether a set contains a path inside this one. */
export const isInside = (paths: Pick<Paths, 'has'>, path: string): boolean =>
  path.includes('.') && contains(paths, path.slice(0, path.lastIndexOf('.')));

/** Whether no caller can read it. */
export const isHidden = ({ restrictions: { read } }: Restricted, path: string): boolean => {
  const closed = new Set([...read.grants].flatMap(([path, grant]) => (isClosed(grant) ? [path] : [])));
  return contains(closed, path);
};

/** Whether the field is hidden from some callers in some of the documents that they may read. */
export const isRestricting = ({ restrictions: { read } }: Restricted): boolean => read.grants.size > 0;

/** Whether some callers who may read the document may not read this field. */
export const isRestricted = ({ restrictions: { read } }: Restricted, path: string): boolean =>
  contains(read.grants, path);

/**
 * Refuses filters and sorts by fields that the caller may not read in every document of the list: matches and their
 * order would reveal the values.
 */
export function requireReadable(
  resource: Restricted,
  used: { parameter: string; paths: readonly string[] }[],
): void {
  const { read } = resource.policy;
  const who = readerOf(resource);
  const { own, others } = keptFrom(resource, 'read', who);
  const hidden = isGranted(read, who) || read.where.length > 0 ? others : own;
  if (hidden.size === 0) return;
  const faults = used.flatMap(({ parameter, paths }) =>
    paths
      .filter((path) => contains(hidden, path))
      .map((path): Fault => {
        const message = `looks at ${path}, which you may not read in every document of the list`;
        return { in: 'query', parameter, code: 'not_readable', message };
      }),
  );
  if (faults.length > 0) throw refused(faults);
}

/** The fields that the caller may not write. */
export const notWritable = (
  { policy, restrictions }: Restricted,
  paths: string[],
  place = (pointer: string): string => pointer,
) =>
  refused(
    paths.map((path) => {
      const grant = restrictions.write.grants.get(path) as Grant;
      const message = isClosed(grant)
        ? 'is read-only'
        : `may only be changed by ${whoIs(grant, policy.owner)}`;
      return { in: 'body', pointer: place(`/${path.replaceAll('.', '/')}`), code: 'not_writable', message };
    }),
  );

function refused(errors: Fault[]) {
  const [first] = errors as [Fault];
  const detail =
    errors.length === 1
      ? `${first.pointer ?? first.parameter} ${first.message}.`
      : `${errors.length} fields are not yours to use so.`;
  return forbidden(detail, { errors });
}

/** The fields that answers show to some callers only, by their paths. */
export const restricted = new WeakMap<z.core.$ZodType, { of: () => Restricted; path: string }>();

function mark(schema: z.ZodType, restriction: { of: () => Restricted; path: string }): z.ZodType {
  restricted.set(schema, restriction);
  return schema;
}

type Fields = Record<string, z.ZodType>;

/** The fields of answers. A field that some callers may not read is optional. */
export const answerFields = (
  fields: Fields,
  { read: { grants } }: Restrictions,
  of: () => Restricted,
  owner: string | undefined,
): Fields =>
  edit(fields, grants, (schema, path, grant) =>
    isClosed(grant)
      ? undefined
      : mark(describe(schema.optional(), schema, `Only shown to ${whoIs(grant, owner)}`), { of, path }),
  );

/** The fields of bodies. A field that some callers of the route may not write is optional. */
export const bodyFields = (
  fields: Fields,
  { read, write: { grants } }: Restrictions,
  policy: Policy,
  right: 'create' | 'update',
): Fields =>
  edit(fields, grants, (schema, path, grant) => {
    if (!isClosed(grant)) {
      const words = `Only written by ${whoIs(grant, policy.owner)}`;
      return describe(covers(grant, policy[right]) ? schema : schema.optional(), schema, words);
    }
    const seen = read.grants.get(path);
    if (seen && isClosed(seen)) return undefined;
    return schema.optional().meta({ ...schema.meta(), readOnly: true });
  });

/** A field that a create leaves out because the caller may not write it needs a default. */
export function demandDefaults({
  policy,
  restrictions,
  defaults,
  intake,
}: Restricted & { defaults: object; intake?: { fields: object } | undefined }): void {
  for (const [path, grant] of restrictions.write.grants)
    if (!path.includes('.') && !(path in { ...defaults, ...intake?.fields }) && !isClosed(policy.create))
      if (!covers(grant, policy.create))
        throw new Error(`${path} needs a default: some callers who may create a document may not write it.`);
}

type Edit = (schema: z.ZodType, path: string, grant: Grant) => z.ZodType | undefined;

/** A copy of fields in which the values at these paths are replaced or removed. */
function edit(fields: Fields, grants: ReadonlyMap<string, Grant>, change: Edit, prefix = ''): Fields {
  const entries = Object.entries(fields).flatMap(([name, field]) => {
    const path = prefix + name;
    const isAround = [...grants.keys()].some((other) => other.startsWith(`${path}.`));
    const schema = isAround ? inside(field, (inner) => edit(inner, grants, change, `${path}.`)) : field;
    const grant = grants.get(path);
    const changed = grant ? change(schema, path, grant) : schema;
    return changed ? [[name, changed] as const] : [];
  });
  return Object.fromEntries(entries);
}

/** A copy of a schema with other fields in its objects. */
function inside(schema: z.ZodType, change: (fields: Fields) => Fields): z.ZodType {
  const def = schema.def as z.core.$ZodTypes['_zod']['def'];
  const again = (part: object): z.ZodType => {
    const { id, ...meta } = schema.meta() ?? {};
    return schema.clone({ ...def, ...part } as never).meta(meta);
  };
  switch (def.type) {
    case 'object':
      return again({ shape: change(def.shape as Fields) });
    case 'array':
      return again({ element: inside(def.element as z.ZodType, change) });
    case 'nullable':
      return again({ innerType: inside(def.innerType as z.ZodType, change) });
    default:
      return schema;
  }
}

const describe = (schema: z.ZodType, from: z.ZodType, words: string): z.ZodType => {
  const { description, ...meta } = from.meta() ?? {};
  return schema.meta({ ...meta, description: description ? `${description}. ${words}` : words });
};
