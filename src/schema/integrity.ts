import type { mongo, Types } from 'mongoose';
import { caller, hasScope } from '../auth/caller.ts';
import { restrict, visible } from './policy.ts';
import { insufficientScope, notFound, Problem, type ProblemCode } from '../errors.ts';
import { collect } from '../mongo/collected.ts';
import { changeGuards, GUARDS, guardsOf, keyOf, mainGuards, removeGuards } from '../mongo/guards.ts';
import { lookUp } from '../mongo/look-up.ts';
import type { Wanted } from '../mongo/read-many.ts';
import { noteChange } from './changes.ts';
import { keepRules } from './keep-rules.ts';
import { changing, isEntry, valuesAt } from './places.ts';
import { type AnyResource, noun, type Reference } from './resource.ts';
import { cascadeOf, guarded, type Target } from './references.ts';
import { modelOf } from './model.ts';

/**
 * Referential integrity, which MongoDB lacks: a reference leads to an existing document, and a removal treats
 * referring documents by the policies of their references. Everything here runs inside transaction().
 */

/** How many other documents one removal may change: a transaction must end within seconds. */
export const MAX_CHANGES = 10_000;

type Identified = { _id: Types.ObjectId };

/** Ensures that the referenced documents exist, and keep existing until this transaction has ended. */
export async function hold(targets: Target[]): Promise<void> {
  if (targets.length === 0) return;
  const [holdFound] = await lookUpTargets(targets);
  holdFound(targets);
}

/**
 * Reads in one round trip whether targets exist, and further documents. Returns the documents found, and a function
 * that holds some of the targets or refuses the request if they are missing.
 */
export async function lookUpTargets(
  targets: Target[],
  ...others: Wanted[]
): Promise<[(held: Target[]) => void, ...mongo.Document[][]]> {
  const kinds = [...new Set(targets.map(({ resource }) => resource))];
  const guards = guardsOf(targets.map(guarded));
  const parts: Wanted[] = kinds.map((kind) => ({
    collection: kind.collection,
    ids: targets.flatMap(({ resource, id }) => (resource === kind ? id : [])),
    // A target that the caller may not see counts as missing.
    condition: visible(kind),
    collation: kind.collation,
    idOnly: true,
  }));
  if (targets.length > 0) parts.push(wantedGuards([...guards.ids, ...guards.mains]));
  const found = await lookUp([...parts, ...others]);
  const existing = existingIn(parts, found);
  const holdFound = (held: Target[]): void => {
    // A guard proves nothing: other tools remove a document and leave its guards behind.
    const absent = held.filter((target) => !existing.has(keyOf(guarded(target))));
    if (absent.length > 0) throw referenceNotFound(absent);
    changeGuards(guardsOf(held.map(guarded)), (id) => existing.has(id));
  };
  return [holdFound, ...found.slice(parts.length)];
}

const wantedGuards = (ids: string[]): Wanted => ({
  collection: GUARDS,
  ids: [...new Set(ids)],
  idOnly: true,
});

/** The keys of the documents, and the ids of the guards, that were found. */
const existingIn = (parts: Wanted[], found: mongo.Document[][]): ReadonlySet<string> =>
  new Set(
    parts.flatMap(({ collection }, i) =>
      (found[i] ?? []).map(({ _id }) =>
        collection === GUARDS ? (_id as string) : keyOf({ collection, id: _id }),
      ),
    ),
  );

function referenceNotFound(targets: Target[]): Problem {
  // A reference that is not from the body is from the path.
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

/** Removes a document, and treats the documents that refer to it by their references' policies. */
export async function remove(resource: AnyResource, id: Types.ObjectId): Promise<void> {
  const removal = beginning();
  if ((await removeAll(resource, [id], removal)) === 0) throw notFound();
  await settle(removal);
}

/** Removes documents that would restrict a removal, and applies the policies of those that refer to them. */
export async function removeDependents(resource: AnyResource, id: Types.ObjectId): Promise<void> {
  const removal = beginning();
  for (const reference of resource.referrers)
    if (reference.policy === 'restrict' && reference.lists.length === 0)
      await cascade(reference, [id], removal);
  await settle(removal);
}

/** The state of one removal. */
interface Removal {
  /** How many other documents it may still change. */
  changes: number;
  /** What it has removed and others may still refer to. */
  removed: Map<AnyResource, Types.ObjectId[]>;
  /** References that lost these targets and have not been updated yet. */
  detached: [Reference, Types.ObjectId[]][];
}

const beginning = (): Removal => ({ changes: MAX_CHANGES, removed: new Map(), detached: [] });

/** Runs at the end, so that documents which the same removal takes along neither restrict it nor break rules. */
async function settle(removal: Removal): Promise<void> {
  for (const [reference, ids] of removal.detached) await detach(reference, ids, removal);
  for (const [removed, ids] of removal.removed) await refuseIfRestricted(removed, ids);
}

/** Each level of a cascade is removed as a whole, so documents reached again, or in a circle, are gone by then. */
async function removeAll(resource: AnyResource, ids: Types.ObjectId[], removal: Removal): Promise<number> {
  for (const { beforeRemove } of resource.hooks) await beforeRemove?.(ids);
  const { collection } = resource;
  const documents = ids.map((id) => guarded({ resource, id }));
  const isReferred = resource.referrers.length > 0;
  const parts: Wanted[] = [{ collection, ids, idOnly: true }];
  if (isReferred) parts.push(wantedGuards(mainGuards(documents)));
  const [found = [], mains = []] = ids.length > 0 ? await lookUp(parts) : [];
  if (found.length === 0) return 0;
  collect({ collection, statement: { delete: true, filter: { _id: { $in: ids } }, multi: true } });
  for (const id of ids) noteChange(resource, id, 'remove');
  if (!isReferred) return found.length;
  const existing = new Set(mains.map(({ _id }) => _id as string));
  removeGuards(documents, (main) => existing.has(main));
  removal.removed.set(resource, [...(removal.removed.get(resource) ?? []), ...ids]);
  for (const reference of resource.referrers) {
    if (reference.policy === 'detach') removal.detached.push([reference, ids]);
    if (reference.policy === 'cascade') await cascade(reference, ids, removal);
  }
  return found.length;
}

async function refuseIfRestricted(resource: AnyResource, ids: Types.ObjectId[]): Promise<void> {
  const blockers = [];
  for (const reference of resource.referrers) {
    const { from, field, policy } = reference;
    if (policy !== 'restrict') continue;
    const one = await modelOf(from)
      .findOne({ [field]: { $in: ids } }, { [field]: 1 })
      .lean();
    if (!one) continue;
    const known = valuesAt(one, reference).map(({ value }) => String(value));
    const id = ids.find((id) => known.includes(id.toHexString())) as Types.ObjectId;
    // The number of referring documents that the caller may not see is not revealed.
    const seen = restrict({ [field]: id }, visible(from));
    const count = await modelOf(from).countDocuments(seen).limit(MAX_CHANGES);
    const some = await modelOf(from).find(seen, { _id: 1 }).limit(5).lean<Identified[]>();
    blockers.push({
      resource: from.collection,
      field,
      count,
      ids: some.map(({ _id }) => _id.toHexString()),
      link: `/${from.collection}?${field}=${id.toHexString()}`,
    });
  }
  if (blockers.length === 0) return;
  const who = blockers
    .map(
      ({ resource, field, count }) =>
        `${count || 'some'} ${resource} by ${field}${count ? '' : ', which you may not see'}`,
    )
    .join(', ');
  throw new Problem('still_referenced', `It is still referred to: ${who}. Remove or change those first.`, {
    blockers,
  });
}

async function detach(
  reference: Reference,
  ids: Types.ObjectId[],
  budget: { changes: number },
): Promise<void> {
  const { from, field } = reference;
  const theirs = { [field]: { $in: ids } };
  const changed = await claim(from, theirs, budget);
  await keepRules(reference, changed, ids);
  for (const id of changed) noteChange(from, id, 'update');
  const { path, ...options } = changing(reference, { $in: ids });
  const change = isEntry(reference) ? { $pull: { [path]: { $in: ids } } } : { $set: { [path]: null } };
  await modelOf(from).updateMany(theirs, change, options);
}

async function cascade({ from, field }: Reference, ids: Types.ObjectId[], removal: Removal): Promise<void> {
  // The guards of removed documents are removed too.
  const cost = from.referrers.length > 0 ? 20 : 1;
  await removeAll(from, await claim(from, { [field]: { $in: ids } }, removal, cost), removal);
}

/**
 * Redirects every reference from one document to another; returns how many documents changed. `pointer` is the place
 * of the other document's id in the body.
 */
export async function redirect(
  resource: AnyResource,
  from: Types.ObjectId,
  to: Types.ObjectId,
  pointer: string,
): Promise<number> {
  const budget = { changes: MAX_CHANGES };
  for (const reference of resource.referrers) {
    const { from: referrer, field, policy } = reference;
    // Documents that go with their target, such as sessions and keys, are not handed over to another one.
    if (policy === 'cascade') continue;
    // An API key needs write access to the referring resources too.
    if (!hasScope(caller(), referrer.collection, 'write'))
      throw insufficientScope(`${referrer.collection}:write`);
    const model = modelOf(referrer);
    // The other document would refer to itself: it keeps its reference, and the removal detaches or refuses it.
    const others = referrer === resource ? { _id: { $ne: to } } : {};
    const changed = await claim(referrer, { ...others, [field]: from }, budget);
    await keepRules(reference, changed, [from], to);
    for (const id of changed) noteChange(referrer, id, 'update');
    if (isEntry(reference)) await redirectEntries(reference, from, to, others);
    else {
      const { path, ...options } = changing(reference, { $eq: from });
      await model.updateMany({ ...others, [field]: from }, { $set: { [path]: to } }, options);
    }
  }
  await hold([{ resource, id: to, pointer }]);
  return MAX_CHANGES - budget.changes;
}

/** The problems of a removal that come from referring documents, and from those of documents that go with it. */
export function removalProblems(resource: AnyResource): ProblemCode[] {
  const removed = cascadeOf(resource);
  const referrers = removed.flatMap((one) => one.referrers);
  const problems = removed.flatMap(({ hooks }) => hooks.flatMap((hook) => hook.problems ?? []));
  if (referrers.some(({ policy }) => policy === 'restrict')) problems.push('still_referenced');
  if (referrers.some(({ policy, from }) => policy === 'detach' && from.rules.length > 0))
    problems.push('rule_broken');
  if (referrers.length > 0) problems.push('too_many_references');
  return [...new Set(problems)];
}

/** The problems of a redirection. */
export function redirectionProblems({ referrers }: AnyResource): ProblemCode[] {
  const redirected = referrers.filter(({ policy }) => policy !== 'cascade');
  const problems: ProblemCode[] = ['reference_not_found', 'too_many_references'];
  if (redirected.some(({ from }) => from.rules.length > 0)) problems.push('rule_broken');
  if (redirected.some(({ from, field }) => from.indexes.some(({ unique, key }) => unique && field in key)))
    problems.push('duplicate_key');
  return problems;
}

/** If the other id is already in the list, the first one is removed: a list has no duplicates. */
async function redirectEntries(
  reference: Reference,
  from: Types.ObjectId,
  to: Types.ObjectId,
  others: object,
): Promise<void> {
  const { field, lists } = reference;
  const model = modelOf(reference.from);
  const alone = { $eq: from, $ne: to };
  const { path, arrayFilters } = changing(reference, { $eq: from }, alone);
  await model.updateMany(
    // Each of several lists in a document is treated separately.
    { ...others, [field]: lists.length === 1 ? alone : from },
    { $set: { [`${path}.$[old]`]: to } },
    { arrayFilters: [...arrayFilters, { old: from }] },
  );
  const { path: left, ...options } = changing(reference, { $eq: from });
  await model.updateMany({ ...others, [field]: from }, { $pull: { [left]: from } }, options);
}

/** The ids of the documents that are about to change, counted against the budget; refuses if it is exceeded. */
async function claim(
  resource: AnyResource,
  filter: object,
  budget: { changes: number },
  cost = 1,
): Promise<Types.ObjectId[]> {
  const found = await modelOf(resource)
    .find(filter, { _id: 1 })
    .limit(budget.changes + 1)
    .lean<Identified[]>();
  budget.changes -= found.length * cost;
  if (budget.changes < 0)
    throw new Problem(
      'too_many_references',
      `More than ${MAX_CHANGES} documents would change; change some of them first.`,
    );
  return found.map(({ _id }) => _id);
}
