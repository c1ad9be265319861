import { z } from 'zod';
import { requireReadable } from '../../schema/access.ts';
import { modelOf } from '../../schema/model.ts';
import type { AnyResource } from '../../schema/resource.ts';
import { all, timeFor } from '../paging.ts';
import { oneOrMore } from '../query.ts';
import { expressionOf, type Groupable, keyOf, shownKey } from './keys.ts';

/** Facets of a list: how many documents on all pages have each value of some fields. */

/** How many values of each field are returned: the most frequent ones. */
const BIGGEST = 10;

/** The fields that can be grouped by without rounding. */
const plain = (known: Map<string, Groupable>): string[] =>
  [...known].filter(([, { path }]) => path.kind !== 'instant').map(([name]) => name);

export const FACETS = 'facets';

export const facetParameters = (known: Map<string, Groupable>): Record<string, z.ZodType> =>
  plain(known).length > 0
    ? {
        [FACETS]: oneOrMore(
          plain(known),
          `For each of these fields its ${BIGGEST} most frequent values on all pages, in \`facets\``,
        ).optional(),
      }
    : {};

export const facetsSchema = z
  .record(
    z.string(),
    z.array(
      z
        .strictObject({
          value: z
            .union([z.string(), z.number(), z.boolean()])
            .nullable()
            .describe('As in `key` of groups; null means no value'),
          count: z.int().describe('The number of documents with this value'),
        })
        .meta({ id: 'Facet', description: 'A value and its number of documents' }),
    ),
  )
  .meta({
    id: 'Facets',
    description: 'The most frequent values of each field in `facets`, largest first',
  });

export async function facetsOf(
  resource: AnyResource,
  known: Map<string, Groupable>,
  names: string[] | undefined,
  conditions: object[],
): Promise<Record<string, { value: any; count: number }[]> | undefined> {
  if (!names) return undefined;
  requireReadable(resource, [{ parameter: FACETS, paths: names }]);
  const keys = names.map((name) => keyOf(known, name));
  const facets = keys.map((key, i) => {
    const { stages, value } = expressionOf(key, '_k');
    const sorted = [{ $sort: { count: -1, _id: 1 } }, { $limit: BIGGEST }];
    return [`f${i}`, [...stages, { $group: { _id: value, count: { $sum: 1 } } }, ...sorted]];
  });
  const [found] = await modelOf(resource)
    .aggregate<Record<string, { _id: unknown; count: number }[]>>([
      { $match: all(conditions) },
      { $facet: Object.fromEntries(facets) },
    ])
    .option({ maxTimeMS: timeFor(conditions) });
  return Object.fromEntries(
    keys.map((key, i) => [
      key.name,
      (found?.[`f${i}`] ?? []).map(({ _id, count }) => ({ value: shownKey(key, _id), count })),
    ]),
  );
}
