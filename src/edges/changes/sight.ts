import mongoose from 'mongoose';
import { type Caller, runAs } from '../../auth/caller.ts';
import { isRestricting } from '../../schema/access.ts';
import { contentOf } from '../../schema/etag.ts';
import { readerOf, restrict, visible } from '../../schema/policy.ts';
import type { AnyResource } from '../../schema/resource.ts';
import type { Stored } from './commits.ts';
import { compile, type Predicate } from './evaluate.ts';

/** What a caller sees of a resource's documents: the same as in its list. Everything that policies decide is here. */

const { EJSON } = mongoose.mongo.BSON;

/** Which documents. Those who have the same key see the same ones. */
export interface Sight {
  key: string;
  sees: Predicate;
}

/** What of a document. Those who have the same key see the same of it. */
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
 * What a caller may see of a resource, whatever a feed asks for: equal texts stand for equal rights. A policy that a
 * new version of the program has changed makes other rights, too.
 */
export function rightsTo(resource: AnyResource, who: Caller): string {
  const filter = runAs(who, () => visible(resource)) ?? null;
  const { grants } = resource.restrictions.read;
  return EJSON.stringify([resource.collection, filter, viewerOf(resource, who), [...grants]]);
}

/** The same for all who are shown the same fields; a key without the scope is shown what everybody is. */
function viewerOf(resource: AnyResource, who: Caller): string {
  if (!isRestricting(resource)) return '';
  const { kind, role, id } = runAs(who, () => readerOf(resource));
  return `${kind} ${role} ${String(id)}`;
}
