import type { Types } from 'mongoose';
import { type Blocker, Problem } from '../errors.ts';
import { isObjectId } from './fields.ts';
import { modelOf } from './model.ts';
import { restrict, visible } from './policy.ts';
import type { AnyResource, Reference } from './resource.ts';
import { brokenRules, type Rule } from './rules.ts';

/** Documents per read. */
const BATCH = 500;

type Id = Types.ObjectId;
type Document = { _id: Id } & Record<string, unknown>;

/**
 * Throws a 409 problem if a removal (which detaches references) or a merge (which redirects them) would make a
 * referring document break a rule of its own. Runs in the transaction that is about to change these documents.
 */
export async function keepRules(
  reference: Reference,
  documents: Id[],
  targets: Id[],
  instead?: Id,
): Promise<void> {
  const { from, field } = reference;
  if (from.rules.length === 0) return;
  const broken = new Map<Rule, Id[]>();
  for (let start = 0; start < documents.length; start += BATCH) {
    const ids = documents.slice(start, start + BATCH);
    const found = await modelOf<AnyResource>(from)
      .find({ _id: { $in: ids } })
      .lean<Document[]>();
    for (const document of found) {
      const changed = changedAt(document, field.split('.'), (value) => redirected(value, targets, instead));
      for (const rule of brokenRules(from, changed as Document))
        broken.set(rule, [...(broken.get(rule) ?? []), document._id]);
    }
  }
  if (broken.size === 0) return;
  const blockers = [];
  for (const ids of broken.values()) blockers.push(await blocker(reference, ids, targets));
  const rules = [...broken.keys()].map(
    ({ code, fields, message }) => `${fields.join(', ')} ${message} (${code})`,
  );
  throw new Problem(
    'rule_broken',
    `The ${from.collection} that refer to it by ${field} would break their own rules: ${rules.join('; ')}. Change them first.`,
    { blockers },
  );
}

/** A copy of a value with a changed value at a path; in a list on the way, in each item. */
function changedAt(
  value: unknown,
  [name, ...deeper]: string[],
  change: (value: unknown) => unknown,
): unknown {
  if (name === undefined) return change(value);
  if (Array.isArray(value)) return value.map((item) => changedAt(item, [name, ...deeper], change));
  if (value === null || typeof value !== 'object') return value;
  return { ...value, [name]: changedAt((value as Document)[name], deeper, change) };
}

/** Changes a reference or a list of them in the way integrity.ts will have the database do it. */
function redirected(value: unknown, targets: Id[], instead: Id | undefined): unknown {
  const isOneOf = (ids: Id[]) => (id: unknown) => isObjectId(id) && ids.some((one) => one.equals(id));
  const isTarget = isOneOf(targets);
  if (!Array.isArray(value)) return isTarget(value) ? (instead ?? null) : value;
  const replacement = instead && !value.some(isOneOf([instead])) ? [instead] : [];
  return value.flatMap((id) => (isTarget(id) ? replacement : [id]));
}

/** Lists the documents that stand in the way, as far as the caller may see them. */
async function blocker({ from, field }: Reference, ids: Id[], targets: Id[]): Promise<Blocker> {
  const seen = await modelOf<AnyResource>(from)
    .find(restrict({ _id: { $in: ids } }, visible(from)), { _id: 1 })
    .limit(5)
    .lean<Document[]>();
  const operator = targets.length > 1 ? '[in]' : '';
  return {
    resource: from.collection,
    field,
    count: ids.length,
    ids: seen.map(({ _id }) => _id.toHexString()),
    link: `/${from.collection}?${field}${operator}=${targets.slice(0, 100).map(String).join()}`,
  };
}
