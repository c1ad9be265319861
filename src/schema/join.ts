import type { PopulateOptions } from 'mongoose';
import { modelOf, QUERY_TIME } from './model.ts';
import { visible } from './policy.ts';
import type { AnyResource } from './resource.ts';
import { projectionOf, type Selection } from './selection.ts';

/** A join for Mongoose's populate: replaces an id by its document, as far as the caller may see it. */
export const join = (
  field: string,
  target: AnyResource,
  path: string,
  selection: Selection | undefined,
): PopulateOptions => ({
  path: field,
  model: modelOf(target),
  match: visible(target),
  select: projectionOf(target, selection, path),
  options: { lean: true, maxTimeMS: QUERY_TIME },
  // Ids of hidden or missing documents, and values that are no ids, are shown unchanged rather than dropped.
  skipInvalidIds: true,
  transform: (found: unknown, id: unknown) => found ?? id,
});
