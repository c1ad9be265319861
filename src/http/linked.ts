import { z } from 'zod';
import type { Types } from 'mongoose';
import { demand } from '../schema/definition.ts';
import * as link from '../schema/link.ts';
import { accessTo } from '../schema/policy.ts';
import { reverseName, sidesOf } from '../schema/references.ts';
import { byEitherName } from '../schema/renamed.ts';
import { type AnyResource, noun } from '../schema/resource.ts';
import { a, type Example, reading, refusals, theDocument } from './crud.ts';
import { type Listing, related } from './list.ts';
import { byId, Created, type Route, route } from './route.ts';

/**
 * The routes of a link, in addition to those of every resource: the list of each side, whose items include the other
 * side, and GET, PUT and DELETE by pair: /users/{id}/readings/{bookId}.
 */
export function linked<R extends AnyResource>(
  resource: R,
  options: Example<R> & { listing: Listing<R> },
): Route[] {
  demand(`linked(${resource.name}, …)`, options, ['example', 'listing']);
  const { example, listing } = options;
  const [side, other] = sidesOf(resource);
  const otherId = `${other.field}Id`;
  const name = reverseName(side);
  const pairOf = (params: Record<string, Types.ObjectId>): link.Pair => ({
    [side.field]: params['id'] as Types.ObjectId,
    [other.field]: params[otherId] as Types.ObjectId,
  });
  const pair = `${a(side.target)} and ${a(other.target)}`;
  const common = {
    path: `/${side.target.collection}/{id}/${name}/{${otherId}}`,
    tag: side.target.collection,
    about: resource,
    current: (params: Record<string, Types.ObjectId>) => link.findWritable(resource, pairOf(params)),
    params: z.strictObject({
      id: byId(side.target).shape.id,
      [otherId]: byId(other.target).shape.id,
    } as Record<string, ReturnType<typeof byId>['shape']['id']>),
  };
  const lists = (
    [
      [side, other],
      [other, side],
    ] as const
  ).map(([from, to]) =>
    related(from.target, resource, from.field, listing, { name: reverseName(from), along: [to] }),
  );
  return [
    ...lists,
    route({
      ...common,
      ...reading(resource, ({ params }, showing) => link.readAs(resource, pairOf(params), showing)),
      method: 'get',
      operationId: `read${side.target.name}${resource.name}`,
      summary: `Read the ${noun(resource)} of ${pair}`,
      description: `The ${noun(resource)} that links the two, if there is one.`,
      policy: accessTo('read', resource),
    }),
    route({
      ...common,
      method: 'put',
      operationId: `put${side.target.name}${resource.name}`,
      summary: `Put ${a(resource)} of ${pair}`,
      description: `Links the two (201), or replaces their ${noun(resource)} (200); fields that the body leaves out get their defaults. Sending it again changes nothing.`,
      policy: accessTo('update', resource),
      body: { schema: bodyOf(resource), example },
      answer: { status: 200, ...theDocument(resource, example), creates: true },
      problems: refusals(resource),
      holds: ({ params }) =>
        [side, other].map(({ field, target }) => ({
          resource: target,
          id: pairOf(params)[field] as Types.ObjectId,
        })),
      handler: async ({ params, body }) => {
        const { link: stored, isNew } = await link.put(
          resource,
          pairOf(params),
          body as object as Record<string, unknown>,
        );
        return isNew ? new Created(stored) : stored;
      },
    }),
    route({
      ...common,
      method: 'delete',
      operationId: `remove${side.target.name}${resource.name}`,
      summary: `Remove the ${noun(resource)} of ${pair}`,
      description: 'Removes the link between the two, if there is one.',
      policy: accessTo('remove', resource),
      answer: { status: 204, description: 'Done, whether or not anything changed' },
      handler: ({ params }) => link.remove(resource, pairOf(params)),
    }),
  ];
}

/** The body of a replace. The path says which two documents are linked; the body may repeat it. */
const bodyOf = ({ name, replacement, formerly, link = [] as never }: AnyResource) =>
  byEitherName(
    replacement
      .partial(Object.fromEntries(link.map((side) => [side, true as const])) as Record<string, never>)
      .meta({ id: `${name}LinkBody` }),
    formerly,
  );
