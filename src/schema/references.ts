import type { ObjectId } from 'bson';
import type { AnyResource, Hook, Reference } from './resource.ts';

/**
 * Connects resources by the references in their fields, and attaches their hooks. Throws an Error that names everything
 * that could not work: an unknown target, a detach that leaves nothing valid behind, a reference that no index finds.
 */
export function connect(resources: AnyResource[], hooks: Hook[] = []): AnyResource[] {
  const byName = new Map(resources.map((resource) => [resource.name, resource]));
  const faults: string[] = [];
  for (const resource of resources) {
    resource.referrers = [];
    resource.hooks = hooks.filter((hook) => hook.resource === resource);
  }
  for (const from of resources) {
    from.references = [];
    if (resources.some((other) => other !== from && other.collection === from.collection))
      faults.push(`${from.name} has the collection ${from.collection}, and so has another.`);
    for (const { path: field, reference: found, many, nullable } of from.paths.values()) {
      if (!found) continue;
      const where = `${from.name}.${field}`;
      const target = byName.get(found.target);
      if (!target) {
        faults.push(`${where} refers to ${found.target}, which is not a resource.`);
        continue;
      }
      if (field.includes('.')) {
        faults.push(`${where} is a reference inside an object: make it a field of its own.`);
        continue;
      }
      if (found.policy === 'detach' && !many && !nullable)
        faults.push(
          `${where} is required and not a list, so nothing can be detached from it: make it nullable.`,
        );
      if (!from.indexes.some(({ key, where }) => Object.keys(key)[0] === field && !where))
        faults.push(
          `${where} leads no index, so what refers to a ${target.name} could not be found: add one.`,
        );
      const reference: Reference = { from, field, target, many, nullable, policy: found.policy };
      from.references.push(reference);
      target.referrers.push(reference);
    }
  }
  if (faults.length > 0) throw new Error(`The resources do not fit together:\n  ${faults.join('\n  ')}`);
  return resources;
}

/** A document that another one refers to, and where in a body that was said. */
export interface Target {
  resource: AnyResource;
  id: ObjectId;
  pointer?: string;
}

/** Everything that these fields refer to. */
export const targetsOf = (resource: AnyResource, fields: Record<string, unknown>): Target[] =>
  resource.references.flatMap(({ field, many, target }): Target[] => {
    const value = fields[field];
    if (value === null || value === undefined) return [];
    return many
      ? (value as ObjectId[]).map((id, i) => ({ resource: target, id, pointer: `/${field}/${i}` }))
      : [{ resource: target, id: value as ObjectId, pointer: `/${field}` }];
  });

export const guarded = ({ resource, id }: Target) => ({ collection: resource.collection, id });

/** The name under which those who refer to a resource are listed and included. */
export const reverseName = ({ from, field, target }: Reference): string =>
  target.referrers.filter((other) => other.from === from).length === 1
    ? from.collection
    : `${from.collection}By${field.charAt(0).toUpperCase()}${field.slice(1)}`;

/** Who refers to a resource and can be shown beside it; what is its owner's alone cannot. */
export const includable = ({ referrers }: AnyResource): Reference[] =>
  referrers.filter(({ from }) => from.policy.read !== 'owner');
