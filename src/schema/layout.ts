import { OWN } from '../mongo/collections.ts';
import { type Collection, type Layout, layoutOf } from '../mongo/layout.ts';
import type { AnyResource } from './resource.ts';
import { expressionsOf } from './rules.ts';
import { validatorOf } from './validator.ts';
import { viewsOf } from './views.ts';

/** The collection of a resource. */
const collectionOf = (resource: AnyResource): Collection => {
  const { rules, ...rest } = resource;
  const expressions = expressionsOf(rules);
  return { ...rest, schema: validatorOf(resource), ...(expressions && { rules: expressions }) };
};

/** The layout of a database that serves these resources. */
export const databaseOf = (resources: AnyResource[]): Layout =>
  layoutOf([...resources.map(collectionOf), ...OWN], viewsOf(resources));
