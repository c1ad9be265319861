import type { PopulateOptions } from 'mongoose';
import { modelOf, QUERY_TIME } from './model.ts';
import { visible } from './policy.ts';
import type { AnyResource } from './resource.ts';
import { projectionOf, type Selection } from './selection.ts';

/** One join, as Mongoose's populate takes it: a document in the place of its id, as the caller may see it. */
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
  // What the caller may not see, what other tools have removed, what is no id: show that rather than nothing.
  skipInvalidIds: true,
  transform: (found: unknown, id: unknown) => found ?? id,
});
