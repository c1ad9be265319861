import type { Types } from 'mongoose';
import { notFound, Problem } from '../errors.ts';
import { changeGuards, removeGuards } from '../mongo/guards.ts';
import { guarded, type Reference, type Target } from './references.ts';
import { type AnyResource, noun } from './resource.ts';

/**
 * What MongoDB does not do by itself: a reference leads to a document that exists, and a removal does to those
 * that refer to what goes away what their references' policies say. All of it runs inside transaction().
 */

/** How many other documents one removal may change: a transaction must end within seconds. */
export const MAX_CHANGES = 10_000;

type Identified = { _id: Types.ObjectId };

/** Sees to it that what is referred to exists, and goes on existing until this transaction has ended. */
export async function hold(targets: Target[]): Promise<void> {
  if (targets.length === 0) return;
  const unguarded = new Set((await changeGuards(targets.map(guarded))).map(({ id }) => id.toHexString()));
  const doubtful = targets.filter(({ id }) => unguarded.has(id.toHexString()));
  const absent: Target[] = [];
  for (const resource of new Set(doubtful.map(({ resource }) => resource))) {
    const asked = doubtful.filter((target) => target.resource === resource);
    const ids = asked.map(({ id }) => id);
    const found = await resource.model.find({ _id: { $in: ids } }, { _id: 1 }).lean<Identified[]>();
    absent.push(...asked.filter(({ id }) => !found.some(({ _id }) => _id.equals(id))));
  }
  if (absent.length > 0) throw referenceNotFound(absent);
}

function referenceNotFound(targets: Target[]): Problem {
  // A reference that did not stand in a body stood in the path.
  if (targets.some(({ pointer }) => pointer === undefined)) return notFound();
  return new Problem('reference_not_found', 'The body refers to documents that do not exist.', {
    errors: targets.map(({ resource, id, pointer }) => ({
      in: 'body',
      pointer: pointer as string,
      code: 'reference_not_found',
      message: `there is no ${noun(resource)} with the id ${id.toHexString()}`,
    })),
  });
}

/** Removes a document and does to those that refer to it what their references' policies say. */
export async function remove(resource: AnyResource, id: Types.ObjectId): Promise<void> {
  await removeWithin(resource, id, { changes: MAX_CHANGES });
}

async function removeWithin(
  resource: AnyResource,
  id: Types.ObjectId,
  budget: { changes: number },
): Promise<void> {
  const { deletedCount } = await resource.model.deleteOne({ _id: id });
  if (deletedCount === 0) throw notFound();
  if (resource.referrers.length === 0) return;
  await removeGuards({ collection: resource.collection, id });
  await refuseIfRestricted(resource, id);
  for (const reference of resource.referrers) {
    if (reference.policy === 'detach') await detach(reference, id, budget);
    if (reference.policy === 'cascade') await cascade(reference, id, budget);
  }
}

async function refuseIfRestricted(resource: AnyResource, id: Types.ObjectId): Promise<void> {
  const blockers = [];
  for (const { from, field, policy } of resource.referrers) {
    if (policy !== 'restrict') continue;
    const count = await from.model.countDocuments({ [field]: id }).limit(MAX_CHANGES);
    if (count === 0) continue;
    const some = await from.model
      .find({ [field]: id }, { _id: 1 })
      .limit(5)
      .lean<Identified[]>();
    blockers.push({
      resource: from.collection,
      field,
      count,
      ids: some.map(({ _id }) => _id.toHexString()),
      link: `/${from.collection}?${field}=${id.toHexString()}`,
    });
  }
  if (blockers.length === 0) return;
  const who = blockers.map(({ resource, field, count }) => `${count} ${resource} by ${field}`).join(', ');
  throw new Problem('still_referenced', `It is still referred to: ${who}. Remove or change those first.`, {
    blockers,
  });
}

async function detach(
  { from, field, many }: Reference,
  id: Types.ObjectId,
  budget: { changes: number },
): Promise<void> {
  await spend(budget, await from.model.countDocuments({ [field]: id }).limit(budget.changes + 1));
  await from.model.updateMany(
    { [field]: id },
    many ? { $pull: { [field]: id } } : { $set: { [field]: null } },
  );
}

async function cascade(
  { from, field }: Reference,
  id: Types.ObjectId,
  budget: { changes: number },
): Promise<void> {
  const dependents = await from.model
    .find({ [field]: id }, { _id: 1 })
    .limit(budget.changes + 1)
    .lean<Identified[]>();
  await spend(budget, dependents.length);
  for (const { _id } of dependents) await removeWithin(from, _id, budget);
}

/**
 * Every reference to one document becomes a reference to another; answers how many documents changed.
 * `pointer` says where in the body the other one was named.
 */
export async function redirect(
  resource: AnyResource,
  from: Types.ObjectId,
  to: Types.ObjectId,
  pointer: string,
): Promise<number> {
  const budget = { changes: MAX_CHANGES };
  for (const {
    from: { model },
    field,
    many,
  } of resource.referrers) {
    await spend(budget, await model.countDocuments({ [field]: from }).limit(budget.changes + 1));
    if (many) {
      await model.updateMany(
        { [field]: { $eq: from, $ne: to } },
        { $set: { [`${field}.$[old]`]: to } },
        { arrayFilters: [{ old: from }] },
      );
      await model.updateMany({ [field]: from }, { $pull: { [field]: from } });
    } else {
      await model.updateMany({ [field]: from }, { $set: { [field]: to } });
    }
  }
  await hold([{ resource, id: to, pointer }]);
  return MAX_CHANGES - budget.changes;
}

async function spend(budget: { changes: number }, changes: number): Promise<void> {
  budget.changes -= changes;
  if (budget.changes < 0)
    throw new Problem(
      'too_many_references',
      `More than ${MAX_CHANGES} documents would change; change some of them first.`,
    );
}
