import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { allRoutes } from '../../src/app.ts';
import { type Role, ROLES } from '../../src/auth/caller.ts';
import type { Route } from '../../src/http/route.ts';
import { constantsOf } from '../../src/schema/defaults.ts';
import { type Grant, isClosed } from '../../src/schema/grants.ts';
import { type Access, accessTo, RIGHTS } from '../../src/schema/policy.ts';
import type { AnyResource } from '../../src/schema/resource.ts';
import type { Seed } from '../../src/seed.ts';

/**
 * What the example of an operation should be answered to a caller, derived from what definitions and routes say of rights
 * as data. The code that enforces the same is not used.
 */

type Values = Record<string, any>;

/** An operation, and the document of the seeds that its example is about. */
export interface Operation {
  operationId: string;
  method: string;
  path: string;
  policy: Access;
  parameters: any[];
  ids: string[];
  type: string | undefined;
  body: any;
  resource: AnyResource | undefined;
  stored: Values | undefined;
  /** Whether the ids of the path are the two sides of a link. */
  isLink: boolean;
}

export interface Caller {
  token: string;
  id?: string;
  role?: Role;
  /** Of an API key. */
  scopes?: string[];
}

/** The operations of an OpenAPI document whose parameters are in place. */
export function operationsOf(
  document: any,
  { resources, routes, seeds }: { resources: AnyResource[]; routes: Route[]; seeds: Seed[] },
): Operation[] {
  const policies = new Map(
    allRoutes({ resources, routes }).map(({ operationId, policy }) => [operationId, policy]),
  );
  const all = seeds.flatMap(([resource, documents]) =>
    documents.map((one) => ({ resource, stored: { ...defaultsOf(resource), ...one } as Values })),
  );
  const inSchema = (content: any) => document.components.schemas[content?.schema.$ref.split('/').at(-1)];
  return Object.entries<object>(document.paths).flatMap(([path, item]) =>
    Object.entries<any>(item).map(([method, operation]) => {
      const { operationId, parameters = [], requestBody } = operation;
      const [type, content] = Object.entries<any>(requestBody?.content ?? {})[0] ?? [];
      const ids = parameters.filter((one: any) => one.in === 'path').map(({ example }: any) => example);
      const { about, current } = routes.find((route) => route.operationId === operationId) ?? {};
      const created = resources.find(({ collection }) => method === 'post' && path === `/${collection}`);
      const found = all.find(({ resource, stored }) =>
        current
          ? resource === about && about?.link?.every((side, i) => stored[side] === ids[i])
          : ids.length > 0 && stored['id'] === ids[0],
      );
      return {
        operationId,
        method: method.toUpperCase(),
        path,
        policy: policies.get(operationId) as Access,
        parameters,
        ids,
        type,
        body: content?.example ?? inSchema(content)?.examples[0],
        resource: created ?? found?.resource,
        stored: found?.stored,
        isLink: current !== undefined,
      };
    }),
  );
}

/** Whose the document is that an operation is about, or comes to make. */
export const ownerIn = ({ resource, stored, body }: Operation): string | undefined =>
  resource?.policy.owner && (stored ?? body)?.[resource.policy.owner];

/** 'ok', or a status. */
export function expected(operation: Operation, who: Caller, all: Operation[]): string {
  const { policy, resource } = operation;
  const { credentials, role, owner, scope } = policy;
  if (credentials === 'body' || credentials === 'none') return 'ok';
  if (role !== 'anyone' && !who.id) return '401';
  if (!hasRole(who, role) && !owner) return '403';
  if (scope === 'each') {
    if (!operation.body) return 'ok';
    // One that is refused is named in the answer of the whole.
    const answers = (operation.body.operations as Values[]).map((one) => partOf(one, who, all));
    return answers.every((answer) => answer === 'ok') ? 'ok' : '422';
  }
  if (who.scopes && scope !== 'none' && !who.scopes.includes(scope as string)) return '403';
  return resource ? byDocument(operation, resource, who) : 'ok';
}

/** Of a batch: the same as by the route of its own. */
function partOf({ method, resource, body }: Values, who: Caller, all: Operation[]): string {
  const alone = all.find(
    (one) => one.resource?.collection === resource && one.operationId === `${method}${one.resource?.name}`,
  ) as Operation;
  return expected({ ...alone, body: body ?? alone.body }, who, all);
}

function byDocument(operation: Operation, resource: AnyResource, who: Caller): string {
  const { policy, stored, isLink } = operation;
  const owner = ownerIn(operation);
  const owns = who.id !== undefined && owner === who.id;
  const may = ({ role, owner, where }: Grant) =>
    hasRole(who, role) || (owner && owns) || where.some((values) => stored && meets(stored, values));
  const right = RIGHTS.find(
    (one) => !isClosed(resource.policy[one]) && isDeepStrictEqual(accessTo(one, resource), policy),
  );
  const hidden = stored !== undefined && !may(resource.policy.read);
  // A route with a policy of its own decides by that alone what to do with a document that the caller sees.
  if (right === undefined) return hidden ? '404' : 'ok';
  const grant = resource.policy[right];
  // Of another's pair it cannot be told whether it is linked.
  if (!may(grant)) return hidden && (right === 'read' || !isLink) ? '404' : '403';
  const isWrite = right === 'create' || right === 'update';
  return isWrite && oversteps(operation, resource, who, owns) ? '403' : 'ok';
}

/** Whether the body changes what this caller may not write, or makes the document somebody else's. */
function oversteps(
  { body, stored, path, isLink }: Operation,
  resource: AnyResource,
  who: Caller,
  owns: boolean,
) {
  const isWhole = isLink || /^\/[^/]+(\/\{id\})?$/.test(path);
  if (!body || !isWhole) return false;
  const { policy, restrictions, intake } = resource;
  const before = stored ?? defaultsOf(resource);
  const locked = [...restrictions.write.grants].filter(
    ([path, { role, owner }]) => !hasRole(who, role) && !(owner && owns) && !(path in (intake?.fields ?? {})),
  );
  const changed = locked.some(([path]) => {
    const [given, found] = [at(body, path), at(before, path)];
    return given !== undefined && !isDeepStrictEqual(given ?? null, found ?? null);
  });
  const others =
    policy.owner !== undefined && body[policy.owner] !== undefined && body[policy.owner] !== who.id;
  return changed || (stored !== undefined && others && !hasRole(who, policy.update.role));
}

const RANKS = ['anyone', ...ROLES] as const;

const hasRole = ({ role = 'anyone' as never }: Caller, least: 'anyone' | Role | undefined): boolean =>
  least !== undefined && RANKS.indexOf(role) >= RANKS.indexOf(least);

const meets = (stored: Values, values: object): boolean =>
  Object.entries(values).every(([field, value]) => stored[field] === value);

/** What stands at a path; in a list, the list of it. */
const at = (value: any, path: string): unknown =>
  path
    .split('.')
    .reduce((inner, name) => (Array.isArray(inner) ? inner.map((one) => one?.[name]) : inner?.[name]), value);

/** As JSON has them. */
const defaultsOf = (resource: AnyResource): Values =>
  Object.fromEntries(
    Object.entries(constantsOf(resource)).map(([name, value]) => [
      name,
      z.encode(resource.fields[name] as z.ZodType, value),
    ]),
  );
