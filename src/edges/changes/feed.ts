import { Types } from 'mongoose';
import { z } from 'zod';
import { ROLES } from '../../auth/caller.ts';
import { askedBy, EXPRESSION } from '../../http/filter/conditions.ts';
import type { Filter } from '../../http/filter/filters.ts';
import { filterParameter } from '../../http/filter/parameter.ts';
import { integer, oneOrMore } from '../../http/query.ts';
import { isList, type Route } from '../../http/route.ts';
import { instant, text } from '../../schema/fields.ts';
import { type Access, accessTo } from '../../schema/policy.ts';
import type { AnyResource } from '../../schema/resource.ts';
import type { Question } from './audience.ts';
import { compile } from './evaluate.ts';
import { lookOf, sightOf } from './sight.ts';

/** A feed: its parameters, and who may follow it. */
export interface Feed {
  path: string;
  /** undefined: all resources that the caller may read. */
  resource: AnyResource | undefined;
  resources: AnyResource[];
  filters: Filter[];
  access: Access;
  query: z.ZodObject;
  questionOf: (query: any) => Question;
}

const MAX_WAIT = 60;

const PARAMETERS = {
  after: text(1, 100)
    .describe(
      'Only changes after this position: the `id` of an event, or the `position` of an answer. Without it, JSON has no changes, only the current position',
    )
    .optional(),
  from: instant().describe('Instead: changes since this time').optional(),
  wait: integer(0, MAX_WAIT)
    .meta({ default: 0, description: 'In JSON: the seconds to wait for the first event' })
    .optional(),
  ticket: text(1, 200)
    .describe('Authenticates clients that cannot send a header: see `POST /changes/tickets`')
    .optional(),
};

/** A feed per resource with a list and recorded changes, and one of all of them. */
export function feedsOf(resources: AnyResource[], routes: Route[]): Feed[] {
  const listed = routes.flatMap((route) =>
    route.lists?.resource.changes && isList(route) && resources.includes(route.lists.resource)
      ? [route.lists]
      : [],
  );
  if (listed.length === 0) return [];
  for (const { resource } of listed) refuseUndecidable(resource);
  const all = listed.map(({ resource }) => resource);
  return [
    {
      path: '/changes',
      resource: undefined,
      resources: all,
      filters: [],
      access: { role: 'anyone', scope: 'each', credentials: 'ticket' },
      query: once(z.strictObject(PARAMETERS)),
      questionOf: () => ({ views: all.map((resource) => ({ resource, conditions: () => [] })) }),
    },
    ...listed.map(({ resource, filters }) =>
      feedOf(
        resource,
        filters.filter((filter) => isDecidable(resource, filter)),
      ),
    ),
  ];
}

const feedOf = (resource: AnyResource, filters: Filter[]): Feed => ({
  path: `/${resource.collection}/changes`,
  resource,
  resources: [resource],
  filters,
  access: { ...accessTo('read', resource), credentials: 'ticket' },
  query: once(
    z.strictObject({
      ...Object.fromEntries(filters.map(({ parameter, schema }) => [parameter, schema.optional()])),
      [EXPRESSION]: filterParameter(resource, filters, { indexed: false }),
      fields: oneOrMore(Object.keys(resource.document.shape), 'The fields to show, plus the id').optional(),
      ...PARAMETERS,
    }),
  ),
  questionOf: (query) => ({
    views: [
      {
        resource,
        conditions: () => askedBy(resource, filters, query).map(({ condition }) => condition),
        fields: query.fields,
      },
    ],
  }),
});

const once = (query: z.ZodObject): z.ZodObject =>
  query.superRefine(({ after, from }, ctx) => {
    if (after !== undefined && from !== undefined)
      ctx.addIssue({ code: 'custom', path: ['from'], message: 'cannot be combined with after' });
  });

/** Throws at start if a policy has a condition that cannot be evaluated here. */
function refuseUndecidable(resource: AnyResource): void {
  const id = new Types.ObjectId();
  for (const who of [
    { kind: 'anonymous' as const },
    ...ROLES.map((role) => ({ kind: 'user' as const, id, role })),
  ]) {
    sightOf(resource, who, []);
    lookOf(resource, who, undefined);
  }
}

/** Filters that look at other documents, or are no operators, are for lists only. */
function isDecidable({ collation }: AnyResource, { condition, elsewhere }: Filter): boolean {
  if (elsewhere) return false;
  try {
    compile(condition([]), collation);
    return true;
  } catch {
    return false;
  }
}
