import { z } from 'zod';
import { includePaths } from '../schema/include.ts';
import type { AnyResource } from '../schema/resource.ts';
import { outOfReach, selectable } from '../schema/selection.ts';
import { integer, oneOrMore } from './query.ts';

/** The query parameters that all lists have, or all answers with documents, and what goes together. */

const MAX_OFFSET = 10_000;
/** From how many documents on a capped count stops counting. */
export const COUNT_CAP = 10_000;

export const PAGING = {
  limit: integer(1, 100).meta({ default: 20, description: 'How many documents at most' }).optional(),
  after: z.string().describe('Only what follows this cursor, the `next` of a page').optional(),
  before: z.string().describe('Only what precedes this cursor, the `prev` of a page').optional(),
  offset: integer(0, MAX_OFFSET)
    .meta({ description: 'How many documents to skip; programs should use `after`' })
    .optional(),
  count: z
    .enum(['none', 'capped', 'exact'])
    .meta({
      default: 'none',
      description: `Whether \`page.total\` tells how many there are; capped stops at ${COUNT_CAP}`,
    })
    .optional(),
};

/** The parameters by which a client chooses what is shown of a document. */
export const shapeParameters = (resource: AnyResource): Record<string, z.ZodType> => {
  const paths = includePaths(resource);
  return {
    ...(paths.length > 0 && {
      include: oneOrMore(paths, 'Documents to show in place of their ids, or beside').optional(),
    }),
    fields: oneOrMore(
      selectable(resource),
      'Only these fields, beside the id and what is included. `*` is all, `etag` the entity tag',
    ).optional(),
  };
};

export const refuseContradictions: Refusal = (asked, ctx) => {
  const given = ['after', 'before', 'offset'].filter((name) => asked[name] !== undefined);
  const [first, second] = given;
  if (second) ctx.addIssue({ code: 'custom', path: [second], message: `cannot be combined with ${first}` });
};

/** A field of another document is there only where that is included; `always` is, without being asked for. */
export const refuseOutOfReach = (resource: AnyResource, always: string[] = []): Refusal => {
  const paths = includePaths(resource);
  return ({ fields, include = [] }, ctx) => {
    if (!fields) return;
    const shown = [...always, ...(include as string[])];
    for (const path of outOfReach(resource, paths, fields as string[], shown))
      ctx.addIssue({
        code: 'custom',
        path: ['fields'],
        message: `names ${path}, which is shown only where that is included`,
      });
  };
};

type Refusal = (asked: Record<string, unknown>, ctx: z.core.$RefinementCtx) => void;
