import { includable, otherSide, reverseName } from './references.ts';
import { ownerPath } from './policy.ts';
import type { AnyResource } from './resource.ts';

/** The fields that a client requests, by the path of their document; '' is the document itself. */
export type Selection = Map<string, Set<string>>;

/** Every path that can be requested, including those in includes. */
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

/** Paths that are shown without being requested: for an included link, its other side. */
const comingAlong = (resource: AnyResource): { path: string; with: string; target: AnyResource }[] =>
  includable(resource).flatMap((reference) => {
    const [other, name] = [otherSide(reference), reverseName(reference)];
    return other ? [{ path: `${name}.${other.field}`, with: name, target: other.target }] : [];
  });

/** The members of a union are shown together: without its discriminator they could not be interpreted. */
const shownOf = ({ document, paths, computed }: AnyResource, prefix: string): string[] =>
  [...paths.keys(), ...Object.keys(computed)]
    .filter((path) => {
      const [first = '', ...more] = path.split('.');
      const owner = more.length > 0 ? paths.get(path.slice(0, path.lastIndexOf('.'))) : undefined;
      return first in document.shape && owner?.kind !== 'union';
    })
    .map((path) => prefix + path);

/** All fields of the document itself. */
const ALL = '*';
/** The entity tag of a document, which is not one of its fields: it lets a client edit from a list. */
const ETAG = 'etag';

/** `author.name` selects `author` of the document and `name` of the author. Includes are always shown. */
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
  const all = fields.includes(ALL) ? Object.keys(resource.document.shape) : [];
  for (const path of [...fields, ...all]) select(path, true);
  for (const path of include) select(path, false);
  return selection;
}

export const showsTag = (selection: Selection | undefined): boolean => selection?.get('')?.has(ETAG) ?? false;

const join = (...paths: string[]): string => paths.filter(Boolean).join('.');

/**
 * The projection for MongoDB; undefined for whole documents. For a computed field it has the fields that it is
 * computed from.
 */
export function projectionOf(
  { policy, restrictions, computed, renamed, paths }: AnyResource,
  selection: Selection | undefined,
  at = '',
): Record<string, 1> | undefined {
  // The tag is computed from all fields.
  if (!selection?.has(at) || (at === '' && showsTag(selection))) return undefined;
  const withFormer = (path: string): string[] => [path, renamed[path]?.name ?? []].flat();
  const chosen = (above: string): string[] =>
    [...(selection.get(join(at, above)) ?? [])]
      .filter((field) => field !== 'id')
      .map((field) => join(above, field))
      .flatMap((path) => {
        const isDeeper = paths.get(path)?.kind === 'object' && selection.has(join(at, path));
        return isDeeper ? chosen(path) : (computed[path]?.from ?? [path]).flatMap(withFormer);
      });
  // What is shown may depend on the owner.
  const owner = restrictions.read.grants.size > 0 ? ownerPath(policy) : undefined;
  const read = [...chosen(''), '_id', ...(owner ? [owner] : [])];
  // MongoDB refuses a path together with one inside it.
  const outermost = read.filter((path) => !read.some((other) => path.startsWith(`${other}.`)));
  return Object.fromEntries(outermost.map((path) => [path, 1]));
}

/** The selected paths of the documents at a path, relative to them; undefined means everything. */
export function chosenAt(selection: Selection | undefined, at: string): Selection | undefined {
  if (!selection || at === '') return selection;
  const inside = [...selection].filter(([owner]) => owner === at || owner.startsWith(`${at}.`));
  return new Map(inside.map(([owner, fields]) => [owner.slice(at.length + 1), fields]));
}

/** Whether a field of the document itself, or of an object in it, is shown. */
export const isShown = (selection: Selection | undefined, path: string): boolean =>
  path.split('.').every((field, i, names) => {
    const fields = selection?.get(names.slice(0, i).join('.'));
    return fields?.has(field) ?? (selection === undefined || i > 0);
  });

/** Requested fields of documents that are not included, and so cannot be shown. */
export function outOfReach(
  resource: AnyResource,
  includable: string[],
  fields: string[],
  include: string[],
): string[] {
  const along = comingAlong(resource);
  const isReached = (path: string) =>
    include.some((one) => one === path || one.startsWith(`${path}.`)) ||
    along.some((one) => one.path === path && include.includes(one.with));
  const missing = [...includable, ...along.map(({ path }) => path)].filter((path) => !isReached(path));
  return fields.filter((field) => missing.some((path) => field.startsWith(`${path}.`)));
}
