import type { AccessLists } from './access.ts';
import { covers, faultsOfList, grantTo } from './grants.ts';
import { noField, type Path, type Paths, valueAt } from './paths.ts';
import { type AccessPolicy, policyOf, RIGHTS } from './policy.ts';

/** Checks the policy of a definition, and the access to its fields. */

export function faultsOfPolicy(policy: AccessPolicy, paths: Paths): string[] {
  const { owner, read, create, update, remove, ...others } = policy;
  const lists = { read, create, update, remove };
  const faults = Object.keys(others).map(
    (part) => `policy has no part "${part}"; there are owner, ${RIGHTS.join(', ')}.`,
  );
  const field = owner === undefined ? undefined : paths.get(owner);
  if (owner !== undefined && !field) faults.push(noFieldIn('policy.owner', owner, paths));
  if (field && (field.kind !== 'id' || field.many || field.path.includes('.')))
    faults.push(`policy.owner names "${owner}", which is not the id of one user in the document itself.`);
  if (owner === 'id' && create?.includes('owner'))
    faults.push('policy.create names the owner, but a user cannot create itself.');
  for (const right of RIGHTS)
    faults.push(
      ...faultsOfList(`policy.${right}`, lists[right], {
        owner: owner !== undefined,
        conditions: right === 'read',
      }),
    );
  for (const condition of Array.isArray(read) ? grantTo(read).where : [])
    for (const [path, value] of Object.entries(condition)) {
      const known = paths.get(path);
      if (!known) faults.push(noFieldIn('policy.read', path, paths));
      else if (!mayBe(known, value)) faults.push(`policy.read: ${path} is never ${JSON.stringify(value)}.`);
    }
  return faults;
}

/** Conditions can only use fields whose stored values equal their JSON. */
const COMPARABLE: Path['kind'][] = ['text', 'enum', 'boolean', 'integer', 'number', 'day'];

const mayBe = ({ kind, schema, nullable }: Path, value: unknown): boolean =>
  value === null ? nullable : COMPARABLE.includes(kind) && schema.safeParse(value).success;

interface Rest {
  policy: AccessPolicy;
  paths: Paths;
  computed: object;
  defaults: object;
  search: readonly string[];
}

export function faultsOfAccess(
  access: AccessLists,
  { policy, paths, computed, defaults, search }: Rest,
): string[] {
  const owner = policy.owner !== undefined;
  return Object.entries(access).flatMap(([path, lists]) => {
    const where = `access.${path}`;
    const known = paths.get(path);
    const isDerived = Object.hasOwn(computed, path);
    if ((!known && !isDerived) || path === 'id' || path === 'createdAt' || path === 'updatedAt')
      return [noFieldIn('access', path, paths)];
    if (isInUnion(path, paths))
      return [`access names "${path}", which is inside a union: name the union as a whole.`];
    if (typeof lists !== 'object') return [`${where} has two lists: { read: ['owner'], write: [] }.`];
    const { read, write, ...others } = lists;
    const faults = [
      ...Object.keys(others).map((part) => `${where} has no part "${part}"; there are read and write.`),
      ...faultsOfList(`${where}.read`, read, { owner }),
      ...faultsOfList(`${where}.write`, write, { owner }),
    ];
    for (const searched of search)
      if (read && `${searched}.`.startsWith(`${path}.`))
        faults.push(
          `search names "${searched}", and not every caller may read ${path}: matches would reveal it.`,
        );
    const isNested = path.includes('.') && known?.lists.length === 0;
    if (faults.length === 0 && write && isNested && !known?.nullable && valueAt(defaults, path) === undefined)
      if (!covers(grantTo(write), policyOf(policy).update))
        faults.push(`${where}.write keeps some callers from writing a required field: give it a default.`);
    return faults;
  });
}

const isInUnion = (path: string, paths: Paths): boolean => {
  const parent = path.slice(0, Math.max(path.lastIndexOf('.'), 0));
  return parent !== '' && (paths.get(parent)?.kind === 'union' || isInUnion(parent, paths));
};

const noFieldIn = (where: string, name: string, paths: Paths): string =>
  `${noField(`${where} names`, name, paths)}.`;
