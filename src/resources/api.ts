import type { Route } from '../http/route.ts';
import { connect } from '../schema/references.ts';
import type { AnyResource, Hook } from '../schema/resource.ts';
import type { Seed } from '../seed.ts';
import * as registered from './index.ts';

/** Combines the exports of all resource folders. */

/** The exports of a resource folder. */
interface Folder {
  /** Its resources, for batches, the scopes of API keys and the links at the root. */
  resources?: AnyResource[];
  /** Collections that only its own routes and commands use. */
  internals?: AnyResource[];
  /** Its routes; created after all resources are connected, because they depend on references. */
  routes?: (api: { resources: AnyResource[] }) => Route[];
  /** Documents for an empty database. */
  seeds?: Seed[];
  /** Callbacks for documents that are created or removed. */
  hooks?: Hook[];
}

const folders: Folder[] = Object.values(registered);
const all = <T>(part: (folder: Folder) => T[] | undefined): T[] =>
  folders.flatMap((folder) => part(folder) ?? []);

/** Including internal ones; a resource comes after those that it refers to, except in circles. */
export const collections: AnyResource[] = referredFirst(
  connect([...all(({ resources }) => resources), ...all(({ internals }) => internals)]),
);

for (const hook of all(({ hooks }) => hooks)) hook.resource.hooks.push(hook);

export const resources: AnyResource[] = collections.filter((one) =>
  all((folder) => folder.resources).includes(one),
);

export const routes: Route[] = all(({ routes }) => routes?.({ resources }));

/** Referenced resources come first, so that documents can be stored in this order. */
export const seeds: Seed[] = collections.flatMap((resource) =>
  all((folder) => folder.seeds).filter(([seeded]) => seeded === resource),
);

function referredFirst(resources: AnyResource[]): AnyResource[] {
  const visited = new Set<AnyResource>();
  const ordered: AnyResource[] = [];
  const visit = (resource: AnyResource): void => {
    if (visited.has(resource)) return;
    visited.add(resource);
    for (const { target } of resource.references) visit(target);
    ordered.push(resource);
  };
  resources.forEach(visit);
  return ordered;
}
