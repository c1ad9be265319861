import { z } from 'zod';
import type { AnyResource } from './resource.ts';

/**
 * The least that a document of a resource must have, as MongoDB stores it: what may be left out is its default, the
 * rest is as in the example. Where documents are made up, a new field so needs no change.
 */
export function typical({ fields, defaults, example }: AnyResource): Record<string, unknown> {
  const { id, createdAt, updatedAt, ...json } = example;
  return { ...z.strictObject(fields).partial().parse(json), ...defaults };
}
