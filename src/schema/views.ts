import type { View } from '../mongo/layout.ts';
import { NAMED } from '../mongo/migrate/views.ts';
import { isRestricted } from './access.ts';
import type { Reference } from './resource.ts';
import type { AnyResource } from './resource.ts';

/**
 * Views for people who browse the database: the documents that admins may read, with names where the ids of others
 * stand, and without the fields that not everybody sees; references that lead nowhere; what the migrations did. They
 * only show: nobody can write them.
 */
export const viewsOf = (resources: AnyResource[]): Record<string, View> => ({
  ...Object.fromEntries(
    resources.filter(isRead).map((resource) => [resource.collection + NAMED, named(resource)]),
  ),
  ...dangling(resources.flatMap(({ references }) => references)),
  migration_history: HISTORY,
});

/** Whether admins may read its documents: any role that is enough is theirs, too. */
const isRead = ({ policy: { read } }: AnyResource): boolean =>
  read.role !== undefined || read.where.length > 0;

/** The first field of a definition is what people call its documents by. */
const nameOf = ({ readable }: AnyResource): string => readable[0] ?? '_id';

const named = (resource: AnyResource): View => ({
  on: resource.collection,
  pipeline: [...shown(resource), ...withNames(resource)],
});

/** The documents and fields that may be looked at. */
function shown({ policy: { read }, readable, restrictions }: AnyResource): object[] {
  const hidden = [...restrictions.read.grants.keys()].filter((path) => path.includes('.'));
  return [
    ...(read.role === undefined ? [{ $match: { $or: read.where } }] : []),
    { $project: Object.fromEntries([...readable, 'createdAt', 'updatedAt'].map((field) => [field, 1])) },
    ...(hidden.length > 0 ? [{ $unset: hidden }] : []),
  ];
}

/** Names in the place of ids, where these and the documents that have the names may be looked at. */
function withNames(resource: AnyResource): object[] {
  const references = resource.references.filter(
    ({ field, target }) => isRead(target) && !isRestricted(resource, field),
  );
  if (references.length === 0) return [];
  return [
    ...references.map(({ field, target }) => ({
      $lookup: {
        from: target.collection,
        localField: field,
        foreignField: '_id',
        pipeline: [{ $project: { [nameOf(target)]: 1 } }],
        as: field,
      },
    })),
    { $set: Object.fromEntries(references.map(namesIn)) },
  ];
}

const namesIn = ({ field, many, target }: Reference): [string, unknown] => {
  const names = `$${field}.${nameOf(target)}`;
  return [field, many ? names : { $first: names }];
};

/** What check-references finds, while one looks; it reads all that refers to anything. */
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

const danglingIn = ({ from, field, target }: Reference): object[] => [
  { $match: { [field]: { $nin: [null, []] } } },
  { $project: { missing: `$${field}` } },
  { $unwind: '$missing' },
  {
    $lookup: {
      from: target.collection,
      localField: 'missing',
      foreignField: '_id',
      pipeline: [{ $project: { _id: 1 } }],
      as: 'found',
    },
  },
  { $match: { found: [] } },
  {
    $project: {
      _id: { document: '$_id', field: { $literal: `${from.collection}.${field}` }, missing: '$missing' },
      collection: { $literal: from.collection },
      document: '$_id',
      field: { $literal: field },
      refersTo: { $literal: target.collection },
      missing: 1,
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
