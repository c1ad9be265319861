import type { z } from 'zod';
import { demand } from '../schema/definition.ts';
import { accessTo } from '../schema/policy.ts';
import type { AnyResource } from '../schema/resource.ts';
import { theDocument } from './crud.ts';
import { byId, type Definition, type Route, route } from './route.ts';

type ById = ReturnType<typeof byId>;
type Given<B extends z.ZodType, A extends z.ZodType> = Definition<ById, z.ZodObject, B, A>;

/** The parts of a command; any other part of a route may be given to override its default. */
type Command<B extends z.ZodType, A extends z.ZodType> = Pick<
  Given<B, A>,
  'summary' | 'description' | 'handler'
> &
  Partial<Given<B, A>> & {
    /** The id of a seed on which the command can be tried; the id of the resource's example unless given. */
    example?: string;
  };

/**
 * POST /posts/{id}/publish: a change of one document beyond setting its fields. Path, operation id (`publishPost`),
 * tag, access (the policy of updates) and answer (the document) follow from the resource.
 */
export function command<
  R extends AnyResource,
  B extends z.ZodType = z.ZodUndefined,
  A extends z.ZodType = R['document'],
>(resource: R, name: string, options: Command<B, A>): Route {
  demand(`command(${resource.name}, '${name}', …)`, options, ['summary', 'description', 'handler']);
  const { example, ...given } = options;
  return route({
    method: 'post',
    path: `/${resource.collection}/{id}/${name}`,
    operationId: name + resource.name,
    tag: resource.collection,
    policy: accessTo('update', resource),
    about: resource,
    params: byId(resource, example),
    answer: { status: 200, ...theDocument(resource, {}) } as unknown as Given<B, A>['answer'],
    ...given,
  });
}
