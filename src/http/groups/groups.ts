import { z } from 'zod';
import { invalid } from '../../errors.ts';
import { isRestricting, requireReadable } from '../../schema/access.ts';
import { modelOf } from '../../schema/model.ts';
import { accessTo } from '../../schema/policy.ts';
import type { AnyResource } from '../../schema/resource.ts';
import { conditionOf, expression, type Expression, filtersIn } from '../filter/expression.ts';
import { capital } from '../../schema/capital.ts';
import { type Listing, search } from '../list.ts';
import { all, timeFor } from '../paging.ts';
import { integer, oneOrMore } from '../query.ts';
import { type Route, route } from '../route.ts';
import { answerOf, includeKeys, itemOf } from './answer.ts';
import { groupables, keyOf } from './keys.ts';
import { type Measure, measuresOf } from './measures.ts';
import { byParameter, refuseContradictions, sortParameter } from './parameters.ts';
import { orderOf, pipelineOf, type Row } from './pipeline.ts';

/** GET /books/groups: counts and measures the documents of a list by the values of some fields. */

/** The most groups that an answer is made from. */
const MAX_GROUPS = 1_000;

export function groups<R extends AnyResource>(resource: R, listing: Listing<R>): Route {
  const { collection } = resource;
  const { groups: names = [], measures: measured = [] } = listing;
  const known = groupables(resource, names);
  if (known.size === 0) throw new Error(`${resource.name} has no groups: add "groups" to its listing.`);
  const measures = new Map(
    measuresOf(resource, names, measured).map((measure) => [measure.name, measure] as const),
  );
  const { declared, standard, filtering, conditionsOf } = search(resource, listing);
  const references = [...known].flatMap(([name, { reference }]) => (reference ? [name] : []));
  return route({
    method: 'get',
    path: `/${collection}/groups`,
    operationId: `group${capital(collection)}`,
    tag: collection,
    summary: `Group ${collection}`,
    description: `Counts and measures the ${collection} that have the same values of the fields in \`by\`. Times are UTC; a document counts for each element of a list. At most ${MAX_GROUPS} groups.`,
    policy: accessTo('read', resource),
    query: z
      .strictObject({
        by: byParameter(known, 'The fields to group by').meta({ example: [names[0] as string] }),
        show: oneOrMore([...measures.keys()], 'The measures of each group')
          .meta({ default: ['count'], example: ['count'] })
          .optional(),
        having: expression([...measures.values()].flatMap(({ filters }) => filters))
          .meta({
            description: 'Only groups for which this expression over the measures holds',
            example: 'count >= 1',
          })
          .optional(),
        sort: sortParameter([...measures.keys(), ...known.keys()]).optional(),
        limit: integer(1, 100).meta({ default: 20, description: 'The maximum number of groups' }).optional(),
        offset: integer(0, MAX_GROUPS).meta({ description: 'How many groups to skip' }).optional(),
        ...(references.length > 0 && {
          include: oneOrMore(references, 'Documents to show in place of their ids, among `by`').optional(),
        }),
        ...('q' in standard && { q: standard.q }),
        ...filtering,
      })
      .superRefine(refuseContradictions),
    lists: { resource, filters: declared },
    answer: {
      status: 200,
      description: 'The groups',
      schema: answerOf(resource, [...known], [...measures.values()]),
      example: {
        items: [{ key: { [names[0] as string]: null }, count: 12 }],
        page: { limit: 20, offset: 0, total: 1 },
      },
    },
    problems: isRestricting(resource) ? ['forbidden'] : [],
    expensive: true,
    handler: async ({ query: asked }: { query: any }) => {
      const keys = (asked.by as string[]).map((name) => keyOf(known, name));
      const shown = ((asked.show ?? ['count']) as string[]).map((name) => measures.get(name) as Measure);
      const order = orderOf(asked.sort, keys, measures);
      const having = asked.having as Expression | undefined;
      const tested = having ? filtersIn(having) : [];
      const used = [...measures.values()].filter(
        (measure) =>
          shown.includes(measure) ||
          order.some(({ alias }) => alias === measure.alias) ||
          measure.filters.some((filter) => tested.includes(filter)),
      );
      requireReadable(resource, [
        ...keys.map(({ path }) => ({ parameter: 'by', paths: [path.path] })),
        ...shown.map(({ field }) => ({ parameter: 'show', paths: [field] })),
        ...tested.map(({ paths }) => ({ parameter: 'having', paths })),
        ...order.map(({ field }) => ({ parameter: 'sort', paths: [field] })),
      ]);
      const conditions = await conditionsOf(asked);
      const rows = await modelOf(resource)
        .aggregate<Row>([
          { $match: all(conditions) },
          ...pipelineOf(keys, used),
          ...(having ? [{ $match: conditionOf(having.tree) }] : []),
          { $sort: Object.fromEntries(order.map(({ alias, direction }) => [alias, direction])) },
          { $limit: MAX_GROUPS + 1 },
        ])
        .option({ maxTimeMS: timeFor(conditions) });
      if (rows.length > MAX_GROUPS) throw tooMany();
      const { limit = 20, offset = 0 } = asked;
      const items = rows.slice(offset, offset + limit).map((row) => itemOf(row, keys, shown));
      await includeKeys(keys, asked.include, items);
      return { items, page: { limit, offset, total: rows.length } };
    },
  });
}

const tooMany = () =>
  invalid([
    {
      in: 'query',
      parameter: 'by',
      code: 'too_many_groups',
      message: `makes more than ${MAX_GROUPS} groups: round the values, or narrow them with filters or having`,
    },
  ]);
