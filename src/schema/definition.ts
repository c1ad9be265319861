import { z } from 'zod';
import { ROLES } from '../auth/caller.ts';
import { type Path, pathsOf } from './paths.ts';
import type { AccessPolicy } from './policy.ts';
import { checkComputed, type Computed } from './computed.ts';
import { checkDefaults } from './defaults.ts';
import { checkExample, checkRules, type Rule } from './rules.ts';

/**
 * What a client may do with a field, where that is not everything. `readonly`: read it; commands write it.
 * `private`: write it; only the document's owner and those who manage it read it. `confidential`: the same two read it,
 * and only commands write it. `hidden`: neither.
 */
export type Access = (typeof ACCESS)[number];
const ACCESS = ['readonly', 'private', 'confidential', 'hidden'] as const;

/** A resource's definition: what of it is checked here, and which parts there are. */
interface Named {
  collection: string;
  description: string;
  fields: Record<string, z.ZodType>;
  access?: object;
  policy?: AccessPolicy;
  intake?: unknown;
  defaults?: object;
  renamed?: object;
  computed?: Record<string, Partial<Computed>>;
  rules?: readonly Partial<Rule>[];
  indexes?: { key: object }[];
  link?: readonly string[];
  search?: string[];
  collation?: unknown;
  changes?: boolean;
  example: { id: string };
}

/** Names what is missing at start to whoever runs what the compiler would have refused. */
export function demand<T extends object>(
  what: string,
  given: T | undefined,
  parts: (keyof T & string)[],
): void {
  const missing = parts.filter((part) => given?.[part] === undefined);
  if (missing.length > 0) throw new Error(`${what} lacks ${missing.map((part) => `"${part}"`).join(', ')}.`);
}

/**
 * Refuses a definition that the compiler would mostly refuse, too: a program runs without having been compiled, and an
 * access list or a policy with a typo would protect nothing. Throws an Error that names all that is wrong.
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
  const { manage, owner, create, read, public: shown = {}, ...others } = policy;
  const faults: string[] = [];
  for (const part of Object.keys(unknown)) faults.push(`It has no part "${part}".`);
  for (const part of Object.keys(others)) faults.push(`policy has no part "${part}".`);
  const paths = pathsIn(fields, faults);
  const known = (where: string, names: string[], also: string[] = []) => {
    for (const one of names)
      if (!Object.hasOwn(fields, one) && !also.includes(one))
        faults.push(
          `${where} names "${one}", which is no field; there are ${Object.keys(fields).join(', ')}.`,
        );
  };
  const oneOf = (where: string, value: unknown, allowed: readonly string[]) => {
    if (value !== undefined && !allowed.includes(value as string))
      faults.push(`${where} is one of ${allowed.join(', ')}, not ${JSON.stringify(value)}.`);
  };

  known('access', Object.keys(access), Object.keys(computed));
  for (const [field, value] of Object.entries(access)) oneOf(`access.${field}`, value, ACCESS);
  oneOf('policy.manage', manage, ROLES);
  oneOf('policy.read', read, ['owner', ...ROLES]);
  oneOf('policy.create', create, ['anyone']);
  if (owner !== undefined) known('policy.owner', [owner], ['id']);
  known('policy.public', Object.keys(shown));
  for (const [field, value] of Object.entries(shown))
    if (fields[field]?.safeParse(value).success === false)
      faults.push(`policy.public: ${field} is never ${JSON.stringify(value)}.`);
  known('defaults', Object.keys(defaults));
  faults.push(...checkDefaults(defaults));
  const restricted = Object.entries(access).flatMap(([field, kind]) => (kind === 'readonly' ? [] : [field]));
  const names = {
    stored: [...Object.keys(fields), 'createdAt', 'updatedAt'],
    restricted,
    named: Object.keys(access),
  };
  faults.push(...checkComputed(computed, names));
  if (paths) faults.push(...checkRules(rules, paths));
  known('link', [...link]);
  known('renamed', Object.keys(renamed));
  for (const [field, former] of Object.entries(renamed))
    if (typeof former !== 'string' || former in fields)
      faults.push(`renamed.${field} is the former name of the field, which no field has any more.`);
  known('search', search);
  for (const { key } of indexes)
    known(
      'indexes',
      Object.keys(key).map((path) => path.split('.')[0] as string),
      ['_id', 'createdAt', 'updatedAt'],
    );
  if (!/^[0-9a-f]{24}$/.test(example.id))
    faults.push('example.id is 24 hexadecimal digits, as of a document.');
  const { id, ...json } = example;
  // One that lacks a field is not complete, because answers do not show that field to everybody.
  const stored = z.strictObject(fields).safeParse(json).data;
  if (faults.length === 0 && stored) faults.push(...checkExample(rules as Rule[], stored));
  if (faults.length > 0)
    throw new Error(`The definition of ${name} is not usable:\n  ${faults.join('\n  ')}`);
}

/** The paths of all fields; undefined, and a fault, if one of the fields is not supported. */
function pathsIn(fields: Named['fields'], faults: string[]): Map<string, Path> | undefined {
  try {
    return pathsOf(fields);
  } catch (error) {
    faults.push((error as Error).message);
    return undefined;
  }
}
