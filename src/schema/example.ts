import { z } from 'zod';
import { constantsOf } from './defaults.ts';
import type { AnyResource } from './resource.ts';

/**
 * The minimal document of a resource, as MongoDB stores it: defaults where there are any, the example's values
 * elsewhere. Code that makes up documents so needs no change for a new field.
 */
export function typical(resource: AnyResource): Record<string, unknown> {
  const { fields, example } = resource;
  const json = Object.fromEntries(Object.entries(example).filter(([field]) => field in fields));
  return { ...z.strictObject(fields).partial().parse(json), ...constantsOf(resource) };
}
