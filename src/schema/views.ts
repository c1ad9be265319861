import type { View } from '../mongo/layout.ts';
import { NAMED } from '../mongo/migrate/views.ts';
import type { Reference } from './resource.ts';
import type { AnyResource } from './resource.ts';

/**
 * Views for people who browse the database: documents with names where the ids of others stand, and without what is
 * not for everybody; references that lead nowhere; what the migrations did. They only show: nobody can write them.
 */
export const viewsOf = (resources: AnyResource[]): Record<string, View> => ({
  ...Object.fromEntries(
    resources
      .filter(({ policy }) => policy.read === undefined)
      .map((resource) => [resource.collection + NAMED, named(resource)]),
  ),
  ...dangling(resources.flatMap(({ references }) => references)),
  migration_history: HISTORY,
});

/** The first field of a definition is what people call its documents by. */
const nameOf = ({ readable }: AnyResource): string => readable[0] as string;

const named = ({ collection, references, readable }: AnyResource): View => ({
  on: collection,
  pipeline: [
    ...references.map(({ field, target }) => ({
      $lookup: {
        from: target.collection,
        localField: field,
        foreignField: '_id',
        pipeline: [{ $project: { [nameOf(target)]: 1 } }],
        as: field,
      },
    })),
    ...(references.length > 0 ? [{ $set: Object.fromEntries(references.map(namesIn)) }] : []),
    { $project: Object.fromEntries([...readable, 'createdAt', 'updatedAt'].map((field) => [field, 1])) },
  ],
});

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
