import { OWN } from '../mongo/collections.ts';
import { type Layout, layoutOf } from '../mongo/layout.ts';
import type { AnyResource } from './resource.ts';
import { validatorOf } from './validator.ts';
import { viewsOf } from './views.ts';

/** How a database that serves these resources is laid out. */
export const databaseOf = (resources: AnyResource[]): Layout =>
  layoutOf(
    [...resources.map((resource) => ({ ...resource, schema: validatorOf(resource) })), ...OWN],
    viewsOf(resources),
  );
