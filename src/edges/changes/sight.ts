import mongoose from 'mongoose';
import { type Caller, runAs } from '../../auth/caller.ts';
import { isRestricting } from '../../schema/access.ts';
import { contentOf } from '../../schema/etag.ts';
import { readerOf, restrict, visible } from '../../schema/policy.ts';
import type { AnyResource } from '../../schema/resource.ts';
import type { Stored } from './commits.ts';
import { compile, type Predicate } from './evaluate.ts';

/** What a caller may see of a resource's documents: the same as in its list. All policy decisions are here. */

const { EJSON } = mongoose.mongo.BSON;

/** Which documents; equal keys mean equal sets. */
export interface Sight {
  key: string;
  sees: Predicate;
}

/** Which fields; equal keys mean equal fields. */
export interface Look {
  key: string;
  show: (document: Stored) => Record<string, unknown>;
}

export function sightOf(resource: AnyResource, who: Caller, conditions: object[]): Sight {
  const filter = restrict(
    { $and: [{}, ...conditions] },
    runAs(who, () => visible(resource)),
  );
  const sees = compile(filter, resource.collation);
  return { key: `${resource.collection} ${EJSON.stringify(filter)}`, sees };
}

export function lookOf(resource: AnyResource, who: Caller, fields: string[] | undefined): Look {
  const chosen = fields && new Set(['id', ...fields]);
  const show = (document: Stored) => {
    const content = runAs(who, () => contentOf(resource, document));
    return chosen
      ? Object.fromEntries(Object.entries(content).filter(([field]) => chosen.has(field)))
      : content;
  };
  return {
    key: `${resource.collection} ${fields?.toSorted().join() ?? '*'} ${viewerOf(resource, who)}`,
    show,
  };
}

/**
 * The caller's rights to a resource, whatever a feed asks for: equal texts mean equal rights. A policy that was
 * changed by a new version of the program makes different rights.
 */
export function rightsTo(resource: AnyResource, who: Caller): string {
  const filter = runAs(who, () => visible(resource)) ?? null;
  const { grants } = resource.restrictions.read;
  return EJSON.stringify([resource.collection, filter, viewerOf(resource, who), [...grants]]);
}

/** Equal for callers who see the same fields; a key without the scope sees what everybody sees. */
function viewerOf(resource: AnyResource, who: Caller): string {
  if (!isRestricting(resource)) return '';
  const { kind, role, id } = runAs(who, () => readerOf(resource));
  return `${kind} ${role} ${String(id)}`;
}
