import type { ObjectId } from 'bson';
import type { z } from 'zod';
import { type Policy, references } from './fields.ts';
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
    for (const [field, schema] of Object.entries(from.fields)) {
      const found = declared(schema);
      if (!found) continue;
      const where = `${from.name}.${field}`;
      const target = byName.get(found.target);
      if (!target) {
        faults.push(`${where} refers to ${found.target}, which is not a resource.`);
        continue;
      }
      if (found.policy === 'detach' && !found.many && !found.nullable)
        faults.push(
          `${where} is required and not a list, so nothing can be detached from it: make it nullable.`,
        );
      if (!from.indexes.some(({ key, where }) => Object.keys(key)[0] === field && !where))
        faults.push(
          `${where} leads no index, so what refers to a ${target.name} could not be found: add one.`,
        );
      const reference: Reference = {
        from,
        field,
        target,
        many: found.many,
        nullable: found.nullable,
        policy: found.policy,
      };
      from.references.push(reference);
      target.referrers.push(reference);
    }
  }
  if (faults.length > 0) throw new Error(`The resources do not fit together:\n  ${faults.join('\n  ')}`);
  return resources;
}

interface Declared {
  target: string;
  policy: Policy;
  many: boolean;
  nullable: boolean;
}

function declared(schema: z.core.$ZodType): Declared | undefined {
  const def = schema._zod.def as z.core.$ZodTypes['_zod']['def'];
  if (def.type === 'array') return mark(declared(def.element), { many: true });
  if (def.type === 'nullable') return mark(declared(def.innerType), { nullable: true });
  if (def.type === 'object' && Object.values(def.shape).some(declared))
    throw new Error('A reference inside an object is not supported: make it a field of its own.');
  const reference = references.get(schema as z.ZodType);
  return reference && { ...reference, many: false, nullable: false };
}

const mark = (found: Declared | undefined, what: Partial<Declared>) => found && { ...found, ...what };

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
