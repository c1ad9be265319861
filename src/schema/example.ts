import { z } from 'zod';
import { constantsOf } from './defaults.ts';
import type { AnyResource } from './resource.ts';

/**
 * The least that a document of a resource must have, as MongoDB stores it: what may be left out is its default, the
 * rest is as in the example. Where documents are made up, a new field so needs no change.
 */
export function typical(resource: AnyResource): Record<string, unknown> {
  const { fields, example } = resource;
  const json = Object.fromEntries(Object.entries(example).filter(([field]) => field in fields));
  return { ...z.strictObject(fields).partial().parse(json), ...constantsOf(resource) };
}
