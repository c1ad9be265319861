import type { ObjectId } from 'bson';
import { isRestricted } from './access.ts';
import { leadsIndex } from './indexes.ts';
import { isEntry, valuesAt } from './places.ts';
import type { AnyResource, Reference } from './resource.ts';

/**
 * Connects resources by the references in their fields. Throws an Error that names all faults: an unknown target, a
 * detach that would leave an invalid document, a reference without an index.
 */
export function connect(resources: AnyResource[]): AnyResource[] {
  const byName = new Map(resources.map((resource) => [resource.name, resource]));
  const faults: string[] = [];
  for (const resource of resources) resource.referrers = [];
  for (const from of resources) {
    from.references = [];
    if (resources.some((other) => other !== from && other.collection === from.collection))
      faults.push(`${from.name} has the collection ${from.collection}, which another resource has too.`);
    for (const { path: field, reference: found, lists, nullable, optional } of from.paths.values()) {
      if (!found) continue;
      const where = `${from.name}.${field}`;
      const target = byName.get(found.target);
      if (!target) {
        faults.push(`${where} refers to ${found.target}, which is not a resource.`);
        continue;
      }
      if (found.policy === 'detach' && !isEntry({ field, lists }) && !nullable)
        faults.push(`${where} is required and not a list, so it cannot be detached: make it nullable.`);
      if (!leadsIndex(from, field))
        faults.push(`${where} leads no index, so referrers of a ${target.name} could not be found: add one.`);
      const reference: Reference = { from, field, lists, target, optional, policy: found.policy };
      from.references.push(reference);
      target.referrers.push(reference);
    }
  }
  for (const { name, paths, referrers } of resources)
    for (const reference of referrers)
      if (paths.has(reverseName(reference)))
        faults.push(
          `${reference.from.name}.${reference.field} is included in a ${name} as "${reverseName(reference)}", which is also a field: rename one.`,
        );
  faults.push(...resources.flatMap(faultsOfLink), ...unstartable(resources));
  if (faults.length > 0) throw new Error(`The resources are inconsistent:\n  ${faults.join('\n  ')}`);
  return resources;
}

/** Checks that a resource declared as a link can be one. */
function faultsOfLink({ name, link, references, indexes }: AnyResource): string[] {
  if (!link) return [];
  const [one, other] = link;
  const pair = [one, other].toSorted().join();
  const isUnique = indexes.some(
    ({ key, unique, where }) => unique && !where && Object.keys(key).toSorted().join() === pair,
  );
  return [
    ...link
      .filter(
        (side) =>
          !references.some(({ field, lists, optional }) => field === side && lists.length === 0 && !optional),
      )
      .map(
        (side) => `${name}.${side} is a side of a link, so it must be a required reference to one document.`,
      ),
    ...(one === other ? [`${name} links ${one} to itself: name two fields.`] : []),
    ...(isUnique
      ? []
      : [
          `${name} is a link, so its pairs must be unique: add { key: { ${one}: 1, ${other}: 1 }, unique: true } to its indexes.`,
        ]),
  ];
}

/** The two references of a link: the side under whose path it is written, and the other one. */
export function sidesOf({ name, link, references }: AnyResource): [Reference, Reference] {
  const [one, other] = (link ?? []).map((side) => references.find(({ field }) => field === side));
  if (!one || !other) throw new Error(`${name} is not a link: its definition has no \`link: [ …, … ]\`.`);
  return [one, other];
}

/** For a link seen from one side, the reference to the other. */
export const otherSide = ({ from, field }: Reference): Reference | undefined =>
  from.link?.includes(field) ? sidesOf(from).find((side) => side.field !== field) : undefined;

/** A circle of required references: no first document could be created, because each needs another. */
function unstartable(resources: AnyResource[]): string[] {
  const needs = ({ references }: AnyResource) =>
    references.filter(({ lists, optional }) => lists.length === 0 && !optional);
  const circle = (resource: AnyResource, path: Reference[]): Reference[] | undefined => {
    for (const reference of needs(resource)) {
      if (reference.target === path[0]?.from || reference.target === reference.from)
        return [...path, reference];
      if (path.some(({ from }) => from === reference.target)) continue;
      const found = circle(reference.target, [...path, reference]);
      if (found) return found;
    }
    return undefined;
  };
  for (const resource of resources) {
    const found = circle(resource, []);
    if (!found) continue;
    const names = found.map(({ from, field }) => `${from.name}.${field}`).join(', ');
    return [
      `${names} refer to each other and are all required, so no first document could be created: make one nullable.`,
    ];
  }
  return [];
}

/** A referenced document, and the place in the body that named it. */
export interface Target {
  resource: AnyResource;
  id: ObjectId;
  pointer?: string;
}

/** All documents that these fields refer to. */
export const targetsOf = (resource: AnyResource, fields: Record<string, unknown>): Target[] =>
  resource.references.flatMap((reference) =>
    valuesAt(fields, reference).map(({ value, pointer }) => ({
      resource: reference.target,
      id: value as ObjectId,
      pointer,
    })),
  );

export const guarded = ({ resource, id }: Target) => ({ collection: resource.collection, id });

/** Whether a unique index ensures that at most one document refers to another by this reference. */
export const isOneToOne = ({ from: { indexes }, field }: Reference): boolean =>
  indexes.some(
    ({ key, unique, where = {} }) =>
      unique && Object.keys(key).join() === field && Object.keys(where).every((path) => path === field),
  );

/** The include name of referrers: `posts`, `postsByEditor`; `profile` if one to one. */
export function reverseName(reference: Reference): string {
  const { from, field, target } = reference;
  const name = isOneToOne(reference)
    ? from.name.charAt(0).toLowerCase() + from.name.slice(1)
    : from.collection;
  if (target.referrers.filter((other) => other.from === from).length === 1) return name;
  return `${name}By${field.replace(/(?:^|\.)./g, (start) => start.slice(-1).toUpperCase())}`;
}

/** The resources whose documents a removal may take along, itself included. */
export function cascadeOf(resource: AnyResource): AnyResource[] {
  const reached = new Set([resource]);
  // A set that grows during iteration is iterated to its end.
  for (const { referrers } of reached)
    for (const { from, policy } of referrers) if (policy === 'cascade') reached.add(from);
  return [...reached];
}

/**
 * Referrers that can be included: not those that only their owner may read, nor by references that some callers may
 * not read.
 */
export const includable = ({ referrers }: AnyResource): Reference[] =>
  referrers.filter(({ from, field }) => {
    const { role, where } = from.policy.read;
    return (role !== undefined || where.length > 0) && !isRestricted(from, field);
  });
