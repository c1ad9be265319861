import { z } from 'zod';
import type { AccessLists } from './access.ts';
import type { Index } from '../mongo/layout.ts';
import { faultsOfIndexes } from './check-indexes.ts';
import { faultsOfAccess, faultsOfPolicy } from './check-policy.ts';
import { type Paths, pathsOf } from './paths.ts';
import type { AccessPolicy } from './policy.ts';
import type { Renamed } from './former-values.ts';
import { checkComputed, type Computed } from './computed.ts';
import { checkDefaults } from './defaults.ts';
import { checkExample, checkRules, type Rule } from './rules.ts';

/** The parts of a resource's definition, and their checks. */
interface Named {
  collection: string;
  description: string;
  fields: Record<string, z.ZodType>;
  access?: AccessLists;
  policy?: AccessPolicy;
  intake?: unknown;
  defaults?: object;
  renamed?: object;
  computed?: Record<string, Partial<Computed>>;
  rules?: readonly Partial<Rule>[];
  indexes?: readonly object[];
  link?: readonly string[];
  search?: readonly string[];
  collation?: unknown;
  changes?: boolean;
  example: { id: string };
}

/** Names missing parts at start, for programs that run without having been compiled. */
export function demand<T extends object>(
  what: string,
  given: T | undefined,
  parts: (keyof T & string)[],
): void {
  const missing = parts.filter((part) => given?.[part] === undefined);
  if (missing.length > 0) throw new Error(`${what} lacks ${missing.map((part) => `"${part}"`).join(', ')}.`);
}

/**
 * Refuses an invalid definition. The compiler would refuse most of it too, but a program can run without being
 * compiled, and a policy or access list with a typo would protect nothing. Throws an Error that names all faults.
 */
export function checkDefinition(name: string, definition: Named): void {
  demand(`The resource ${name}`, definition, ['collection', 'description', 'fields', 'example']);
  const {
    fields,
    access = {},
    policy = {},
    defaults = {},
    renamed = {},
    computed = {},
    rules = [],
    indexes = [],
    link = [],
    search = [],
    example,
    ...rest
  } = definition;
  const { collection, description, intake, collation, changes, ...unknown } = rest;
  const faults: string[] = [];
  for (const part of Object.keys(unknown)) faults.push(`It has no part "${part}".`);
  const paths = readPaths(fields, faults);
  const known = (where: string, names: string[]) => {
    for (const one of names)
      if (!Object.hasOwn(fields, one))
        faults.push(
          `${where} names "${one}", which is not a field; there are ${Object.keys(fields).join(', ')}.`,
        );
  };

  if (paths) {
    faults.push(...faultsOfPolicy(policy, paths));
    faults.push(...faultsOfAccess(access, { policy, paths, computed, defaults, search }));
    faults.push(...checkRules(rules, paths));
    faults.push(...faultsOfIndexes(indexes as Index[], search, paths));
  }
  known('defaults', Object.keys(defaults));
  faults.push(...checkDefaults(defaults));
  const names = {
    stored: [...Object.keys(fields), 'createdAt', 'updatedAt'],
    restricted: Object.entries(access).flatMap(([path, lists]) =>
      lists?.read ? [path.split('.', 1)[0] as string] : [],
    ),
    named: Object.keys(access),
  };
  faults.push(...checkComputed(computed, names));
  known('link', [...link]);
  known('renamed', Object.keys(renamed));
  for (const [field, former] of Object.entries(renamed))
    faults.push(...faultsOfRenamed(`renamed.${field}`, former as Renamed, fields));
  if (!/^[0-9a-f]{24}$/.test(example.id)) faults.push('example.id must be 24 hexadecimal digits.');
  const { id, ...json } = example;
  // An example may lack fields that answers do not show to every caller.
  const stored = z.strictObject(fields).safeParse(json).data;
  if (faults.length === 0 && stored) faults.push(...checkExample(rules as Rule[], stored));
  if (faults.length > 0) throw new Error(`The definition of ${name} is invalid:\n  ${faults.join('\n  ')}`);
}

function faultsOfRenamed(where: string, former: Renamed, fields: Named['fields']): string[] {
  const name = typeof former === 'string' ? former : former?.from;
  if (typeof name !== 'string' || name in fields)
    return [`${where} must be a former name, which no present field has.`];
  const isWhole =
    typeof former === 'string' || [former.decode, former.encode].every((one) => typeof one === 'function');
  return isWhole ? [] : [`${where} must be a name, or have "from", "decode" and "encode".`];
}

/** The paths of the fields; all of them must be supported. */
function readPaths(fields: Named['fields'], faults: string[]): Paths | undefined {
  try {
    return pathsOf(fields);
  } catch (error) {
    faults.push((error as Error).message);
    return undefined;
  }
}
