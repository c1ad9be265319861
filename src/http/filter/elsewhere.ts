import { invalid } from '../../errors.ts';
import { modelOf } from '../../schema/model.ts';
import { restrict, visible } from '../../schema/policy.ts';
import type { AnyResource } from '../../schema/resource.ts';

/**
 * Conditions on other documents. These are looked up first, as the caller may see them, and their ids replace the
 * condition: the index of the reference then finds the documents that refer to them, in lists, counts, groups and
 * exports alike.
 */

/** How many documents may match a condition on the other side of a reference. */
export const MAX_MATCHES = 1_000;

/**
 * A placeholder in a condition for a list of ids: those of the documents that match `where`, or those that they refer
 * to.
 */
export class IdsOf {
  readonly resource: AnyResource;
  readonly where: object;
  /** The reference whose values are needed, with the lists on its path; without it, the documents' own ids. */
  readonly by: { field: string; lists: string[] } | undefined;

  constructor(resource: AnyResource, where: object, by?: IdsOf['by']) {
    this.resource = resource;
    this.where = where;
    this.by = by;
  }
}

/** Replaces the placeholders by ids, which must be found before the deadline. */
export async function resolved(condition: object, parameter: string, deadline: number): Promise<object> {
  const questions = questionsIn(condition);
  if (questions.length === 0) return condition;
  const answers = new Map<IdsOf, unknown[]>();
  for (const question of new Set(questions)) {
    const found = await idsOf(question, Math.max(1, deadline - Date.now()));
    if (found.length > MAX_MATCHES) throw tooMany(question, parameter);
    answers.set(question, found);
  }
  return replaced(condition, answers) as object;
}

const isObject = (part: unknown): part is Record<string, unknown> =>
  part !== null && typeof part === 'object' && Object.getPrototypeOf(part) === Object.prototype;

function questionsIn(part: unknown): IdsOf[] {
  if (part instanceof IdsOf) return [part];
  if (Array.isArray(part)) return part.flatMap(questionsIn);
  return isObject(part) ? Object.values(part).flatMap(questionsIn) : [];
}

function replaced(part: unknown, answers: Map<IdsOf, unknown[]>): unknown {
  if (part instanceof IdsOf) return answers.get(part);
  if (Array.isArray(part)) return part.map((one) => replaced(one, answers));
  if (!isObject(part)) return part;
  return Object.fromEntries(Object.entries(part).map(([name, inner]) => [name, replaced(inner, answers)]));
}

/** At most one more than the limit. */
async function idsOf({ resource, where, by }: IdsOf, maxTimeMS: number): Promise<unknown[]> {
  const filter = restrict(where as Record<string, unknown>, visible(resource));
  const limit = MAX_MATCHES + 1;
  if (!by) {
    const found = await modelOf(resource)
      .find(filter, { _id: 1 }, { limit, maxTimeMS })
      .lean<{ _id: unknown }[]>();
    return found.map(({ _id }) => _id);
  }
  const found = await modelOf(resource)
    .aggregate<{ _id: unknown }>([
      { $match: filter },
      { $project: { [by.field]: 1 } },
      ...by.lists.map((list) => ({ $unwind: `$${list}` })),
      { $group: { _id: `$${by.field}` } },
      { $match: { _id: { $ne: null } } },
      { $limit: limit },
    ])
    .option({ maxTimeMS });
  return found.map(({ _id }) => _id);
}

const tooMany = ({ resource: { collection }, by }: IdsOf, parameter: string) => {
  const what = by ? `documents to which ${collection} refer` : collection;
  const message = `matches more than ${MAX_MATCHES} ${what}: narrow it`;
  return invalid([{ in: 'query', parameter, code: 'too_many_matches', message }]);
};
