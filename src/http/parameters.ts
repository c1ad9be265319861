import { z } from 'zod';
import { includePaths } from '../schema/include.ts';
import type { AnyResource } from '../schema/resource.ts';
import { outOfReach, selectable } from '../schema/selection.ts';
import { integer, oneOrMore } from './query.ts';

/** The query parameters of all lists and of all answers with documents, and the checks between them. */

const MAX_OFFSET = 10_000;
/** A capped count stops here. */
export const COUNT_CAP = 10_000;

export const PAGING = {
  limit: integer(1, 100).meta({ default: 20, description: 'The maximum number of documents' }).optional(),
  after: z.string().describe('Continue after this cursor, the `next` of a page').optional(),
  before: z.string().describe('Go back from this cursor, the `prev` of a page').optional(),
  offset: integer(0, MAX_OFFSET)
    .meta({ description: 'How many documents to skip; programs should use `after`' })
    .optional(),
  count: z
    .enum(['none', 'capped', 'exact'])
    .meta({
      default: 'none',
      description: `Whether \`page.total\` has the number of documents; \`capped\` stops at ${COUNT_CAP}`,
    })
    .optional(),
};

/** The parameters that choose what is shown of a document. */
export const shapeParameters = (resource: AnyResource): Record<string, z.ZodType> => {
  const paths = includePaths(resource);
  return {
    ...(paths.length > 0 && {
      include: oneOrMore(paths, 'Related documents to include').optional(),
    }),
    fields: oneOrMore(
      selectable(resource),
      'Only these fields, plus the id and the includes. `*` means all, `etag` the entity tag',
    ).optional(),
  };
};

export const refuseContradictions: Refusal = (asked, ctx) => {
  const given = ['after', 'before', 'offset'].filter((name) => asked[name] !== undefined);
  const [first, second] = given;
  if (second) ctx.addIssue({ code: 'custom', path: [second], message: `cannot be combined with ${first}` });
};

/**
 * A field of another document can be chosen only if that document is included; `always` are includes that need not be
 * requested.
 */
export const refuseOutOfReach = (resource: AnyResource, always: string[] = []): Refusal => {
  const paths = includePaths(resource);
  return ({ fields, include = [] }, ctx) => {
    if (!fields) return;
    const shown = [...always, ...(include as string[])];
    for (const path of outOfReach(resource, paths, fields as string[], shown))
      ctx.addIssue({
        code: 'custom',
        path: ['fields'],
        message: `names ${path}, which needs that document in include`,
      });
  };
};

type Refusal = (asked: Record<string, unknown>, ctx: z.core.$RefinementCtx) => void;
