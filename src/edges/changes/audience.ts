import { type Caller, runAs } from '../../auth/caller.ts';
import type { AnyResource } from '../../schema/resource.ts';
import type { Commit, Entry } from './commits.ts';
import { rightsMarkOf, write } from './position.ts';
import { type Look, lookOf, rightsTo, type Sight, sightOf } from './sight.ts';

/** What a feed shows. */
export interface Question {
  views: {
    resource: AnyResource;
    /** Refuses a caller who may not read the fields that the feed's filters use. */
    conditions: () => object[];
    fields?: string[] | undefined;
  }[];
}

/** Followers with equal questions and equal rights: each change is evaluated and serialised once for all of them. */
export interface Audience<Member> {
  key: string;
  /** The readable fields and documents, in the form that positions record. */
  rights: string;
  views: Map<string, { sight: Sight; look: Look }>;
  members: Set<Member>;
}

/** Refuses a caller who may not ask this. */
export function audienceOf<Member>(question: Question, who: Caller): Audience<Member> {
  const views = new Map(
    question.views.map(({ resource, conditions, fields }) => [
      resource.collection,
      { sight: sightOf(resource, who, runAs(who, conditions)), look: lookOf(resource, who, fields) },
    ]),
  );
  const keys = [...views.values()].map(({ sight, look }) => [sight.key, look.key]);
  return {
    key: JSON.stringify(keys),
    rights: rightsMarkOf(question.views.map(({ resource }) => rightsTo(resource, who))),
    views,
    members: new Set(),
  };
}

export type Operation = 'created' | 'updated' | 'removed';

/** One change as sent; `text` is an event's data. */
export interface Told {
  id: string;
  operation: Operation;
  text: string;
}

/** Parts of an entry's text that several audiences share. */
export type Cache = Map<Entry, Map<string, unknown>>;

/** What an audience is sent for a commit; `mark` is the database's. */
export function tell(
  { views, rights }: Pick<Audience<never>, 'views' | 'rights'>,
  commit: Commit,
  mark: string,
  cache: Cache,
): Told[] {
  const told: Told[] = [];
  for (const entry of commit.entries) {
    const view = views.get(entry.collection);
    if (!view) continue;
    const known = cache.get(entry) ?? new Map<string, unknown>();
    cache.set(entry, known);
    const operation = once(known, view.sight.key, () => operationOf(entry, view.sight));
    if (!operation) continue;
    const text = once(known, `${operation} ${view.look.key}`, () =>
      inWords(commit, entry, operation, view.look),
    );
    if (text === undefined) continue;
    const id = write({ position: { time: commit.time, key: entry.key }, rights }, mark);
    told.push({ id, operation, text: `{"id":"${id}",${text}` });
  }
  return told;
}

function once<T>(known: Map<string, unknown>, key: string, make: () => T): T {
  if (!known.has(key)) known.set(key, make());
  return known.get(key) as T;
}

/**
 * The operation for this audience: a document that becomes visible is created, one that stops being visible is
 * removed.
 */
function operationOf({ before, after }: Entry, { sees }: Sight): Operation | undefined {
  const [was, is] = [before && sees(before), after && sees(after)];
  if (was) return is ? 'updated' : 'removed';
  return is ? 'created' : undefined;
}

/** The data of an event except its id, which comes first and differs between audiences. */
function inWords(
  { time, at }: Commit,
  { collection, id, before, after }: Entry,
  operation: Operation,
  look: Look,
): string | undefined {
  const shown = operation === 'removed' ? undefined : look.show(after as object as Record<string, unknown>);
  const changed = operation === 'updated' ? changedIn(look.show(before as never), shown as never) : undefined;
  // Only hidden fields have changed.
  if (changed?.length === 0) return undefined;
  return JSON.stringify({
    resource: collection,
    operation,
    documentId: String(id),
    at: at.toISOString(),
    transaction: time,
    document: shown,
    changed,
  }).slice(1);
}

const changedIn = (before: Record<string, unknown>, after: Record<string, unknown>): string[] =>
  [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
    (field) => JSON.stringify(before[field]) !== JSON.stringify(after[field]),
  );
