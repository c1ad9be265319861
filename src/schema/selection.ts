import { includable, otherSide, reverseName } from './references.ts';
import { ownerPath } from './policy.ts';
import type { AnyResource } from './resource.ts';
import { SHOWN } from './shape.ts';

/** The fields that a client wants to see, by the path of what they belong to; '' is the document itself. */
export type Selection = Map<string, Set<string>>;

/** Every field that can be chosen, also of what can be included. */
export const selectable = (resource: AnyResource): string[] => [
  ALL,
  ...shownOf(resource, ''),
  ETAG,
  ...resource.references.flatMap(({ field, target }) => [
    ...shownOf(target, `${field}.`),
    ...target.references.flatMap((next) => shownOf(next.target, `${field}.${next.field}.`)),
  ]),
  ...includable(resource).flatMap((reference) => shownOf(reference.from, `${reverseName(reference)}.`)),
  ...comingAlong(resource).flatMap(({ path, target }) => shownOf(target, `${path}.`)),
];

/** What is shown without being asked for: with a link that is included, what is on its other side. */
const comingAlong = (resource: AnyResource): { path: string; with: string; target: AnyResource }[] =>
  includable(resource).flatMap((reference) => {
    const [other, name] = [otherSide(reference), reverseName(reference)];
    return other ? [{ path: `${name}.${other.field}`, with: name, target: other.target }] : [];
  });

const shownOf = ({ document }: AnyResource, prefix: string): string[] =>
  Object.keys(document.shape).map((field) => prefix + field);

/** All fields of the document itself. */
const ALL = '*';
/** The entity tag of a document, which is not one of its fields: with it a client can edit from a list. */
const ETAG = 'etag';

/** `author.name` selects `author` of the document and `name` of the author. What is included is shown in any case. */
export function selectionOf(
  resource: AnyResource,
  fields: string[] | undefined,
  include: string[] = [],
): Selection | undefined {
  if (!fields) return undefined;
  const selection: Selection = new Map([['', new Set(['id'])]]);
  const select = (path: string, isChosen: boolean) => {
    const parts = path.split('.');
    parts.forEach((field, i) => {
      const owner = parts.slice(0, i).join('.');
      const chosen = selection.get(owner) ?? (isChosen ? new Set(['id']) : undefined);
      if (chosen) selection.set(owner, chosen.add(field));
    });
  };
  for (const path of fields.includes(ALL) ? [...fields, ...shownOf(resource, '')] : fields)
    select(path, true);
  for (const path of include) select(path, false);
  return selection;
}

export const showsTag = (selection: Selection | undefined): boolean => selection?.get('')?.has(ETAG) ?? false;

/** What MongoDB need read; all of a document, where nothing was chosen. Of a computed field, what it is made from. */
export function projectionOf(
  { policy, restrictions, computed }: AnyResource,
  selection: Selection | undefined,
  path = '',
): Record<string, 1> | undefined {
  const fields = selection?.get(path);
  // The tag is made of all fields.
  if (path === '' && showsTag(selection)) return undefined;
  if (!fields) return undefined;
  const names = [...fields].filter((field) => field !== 'id');
  // What is shown may depend on whose it is.
  const owner = restrictions.read.grants.size > 0 ? ownerPath(policy) : undefined;
  const read = [
    ...names.flatMap((field) => computed[field]?.from ?? [field]),
    '_id',
    ...(owner ? [owner] : []),
  ];
  return Object.fromEntries(read.map((field) => [field, 1]));
}

/** Has answers show only what was chosen. */
export function show<T>(selection: Selection | undefined, path: string, document: T): T {
  const fields = selection?.get(path);
  if (fields && document !== null && typeof document === 'object')
    (document as Record<symbol, unknown>)[SHOWN] = fields;
  return document;
}

/** The chosen fields of documents that are not included, and so cannot be shown. */
export function outOfReach(resource: AnyResource, fields: string[], include: string[]): string[] {
  const along = comingAlong(resource).filter((one) => include.includes(one.with));
  const reached = new Set([
    '',
    ...include.flatMap((path) => [path, path.split('.')[0]]),
    ...along.map(({ path }) => path),
  ]);
  return fields.filter((path) => !reached.has(path.split('.').slice(0, -1).join('.')));
}
