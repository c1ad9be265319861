import type { View } from '../mongo/layout.ts';
import { NAMED } from '../mongo/migrate/views.ts';
import { isRestricted } from './access.ts';
import type { AnyResource, Reference } from './resource.ts';

/**
 * Read-only views for people who browse the database: the documents that admins may read, with names in place of ids
 * and without restricted fields; dangling references; and the history of migrations.
 */
export const viewsOf = (resources: AnyResource[]): Record<string, View> => ({
  ...Object.fromEntries(
    resources.filter(isRead).map((resource) => [resource.collection + NAMED, named(resource)]),
  ),
  ...dangling(resources.flatMap(({ references }) => references)),
  migration_history: HISTORY,
});

/** Whether admins may read its documents: they have every role. */
const isRead = ({ policy: { read } }: AnyResource): boolean =>
  read.role !== undefined || read.where.length > 0;

/** People recognise a document by the first field of its definition. */
const nameOf = ({ readable }: AnyResource): string => readable[0] ?? '_id';

const named = (resource: AnyResource): View => ({
  on: resource.collection,
  pipeline: [...shown(resource), ...withNames(resource)],
});

/** The documents and fields that may be shown. */
function shown({ policy: { read }, readable, restrictions }: AnyResource): object[] {
  const hidden = [...restrictions.read.grants.keys()].filter((path) => path.includes('.'));
  return [
    ...(read.role === undefined ? [{ $match: { $or: read.where } }] : []),
    { $project: Object.fromEntries([...readable, 'createdAt', 'updatedAt'].map((field) => [field, 1])) },
    ...(hidden.length > 0 ? [{ $unset: hidden }] : []),
  ];
}

/** Names in place of ids, if both the documents and their names may be shown. */
function withNames(resource: AnyResource): object[] {
  const references = resource.references.filter(
    ({ field, target }) => isRead(target) && !isRestricted(resource, field),
  );
  if (references.length === 0) return [];
  return [
    ...references.flatMap((reference, i) => [
      {
        $lookup: {
          from: reference.target.collection,
          localField: reference.field,
          foreignField: '_id',
          pipeline: [{ $project: { [nameOf(reference.target)]: 1 } }],
          as: `found${i}`,
        },
      },
      { $set: namesAt(reference, `$found${i}`) },
    ]),
    { $unset: references.map((_, i) => `found${i}`) },
  ];
}

/** Replaces an id by a name, in lists and objects of any depth; a dangling id stays. */
function namesAt({ field, lists, target }: Reference, found: string): object {
  const names = field.split('.');
  const inside = (value: string, depth: number): object => {
    const path = names.slice(0, depth).join('.');
    if (!lists.includes(path)) return entry(value, depth);
    const each = { $map: { input: value, as: `in${depth}`, in: entry(`$$in${depth}`, depth) } };
    return { $cond: [{ $isArray: value }, each, value] };
  };
  const entry = (value: string, depth: number): object => {
    const name = names[depth];
    if (name === undefined) return nameFor(value);
    const changed = { $mergeObjects: [value, { [name]: inside(`${value}.${name}`, depth + 1) }] };
    return { $cond: [{ $eq: [{ $type: value }, 'object'] }, changed, value] };
  };
  const nameFor = (id: string) => {
    const one = { $filter: { input: found, as: 'one', cond: { $eq: ['$$one._id', id] } } };
    return { $ifNull: [{ $getField: { field: nameOf(target), input: { $first: one } } }, id] };
  };
  const [first] = names as [string];
  return { [first]: inside(`$${first}`, 1) };
}

/** The findings of check-references, computed when the view is read; reads all referring documents. */
function dangling(references: Reference[]): Record<string, View> {
  const [first, ...others] = references;
  if (!first) return {};
  return {
    dangling_references: {
      on: first.from.collection,
      pipeline: [
        ...danglingIn(first),
        ...others.map((reference) => ({
          $unionWith: { coll: reference.from.collection, pipeline: danglingIn(reference) },
        })),
      ],
    },
  };
}

const danglingIn = ({ from, field, lists, target }: Reference): object[] => [
  { $match: { [field]: { $nin: [null, []] } } },
  { $project: { [field]: 1 } },
  ...lists.map((list) => ({ $unwind: `$${list}` })),
  { $match: { [field]: { $ne: null } } },
  {
    $lookup: {
      from: target.collection,
      localField: field,
      foreignField: '_id',
      pipeline: [{ $project: { _id: 1 } }],
      as: 'found',
    },
  },
  { $match: { found: [] } },
  {
    $group: {
      _id: { document: '$_id', field: { $literal: `${from.collection}.${field}` }, missing: `$${field}` },
    },
  },
  {
    $project: {
      collection: { $literal: from.collection },
      document: '$_id.document',
      field: { $literal: field },
      refersTo: { $literal: target.collection },
      missing: '$_id.missing',
    },
  },
];

const HISTORY: View = {
  on: 'migrations',
  pipeline: [
    { $sort: { startedAt: -1 } },
    {
      $project: {
        state: 1,
        startedAt: 1,
        finishedAt: 1,
        seconds: { $divide: ['$durationMs', 1000] },
        documentsChanged: '$changed',
      },
    },
  ],
};
