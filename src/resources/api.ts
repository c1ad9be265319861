import type { Route } from '../http/route.ts';
import { connect } from '../schema/references.ts';
import type { AnyResource, Hook } from '../schema/resource.ts';
import type { Seed } from '../seed.ts';
import * as registered from './index.ts';

/** Everything that the folders of resources bring, put together. */

/** What a folder may export. */
interface Folder {
  /** Its resources: a batch can write them, an API key can be limited to them, the root links to them. */
  resources?: AnyResource[];
  /** Collections that only its own routes and commands use. */
  internals?: AnyResource[];
  /** Its routes; made after all resources are connected, because they depend on the references. */
  routes?: (api: { resources: AnyResource[] }) => Route[];
  /** Documents for an empty database. */
  seeds?: Seed[];
  /** What happens when documents are created or removed, beside that. */
  hooks?: Hook[];
}

const folders: Folder[] = Object.values(registered);
const all = <T>(part: (folder: Folder) => T[] | undefined): T[] =>
  folders.flatMap((folder) => part(folder) ?? []);

/** With the internal ones; a resource comes after those that it refers to, unless they refer to each other. */
export const collections: AnyResource[] = referredFirst(
  connect([...all(({ resources }) => resources), ...all(({ internals }) => internals)]),
);

for (const hook of all(({ hooks }) => hooks)) hook.resource.hooks.push(hook);

export const resources: AnyResource[] = collections.filter((one) =>
  all((folder) => folder.resources).includes(one),
);

export const routes: Route[] = all(({ routes }) => routes?.({ resources }));

/** What is referred to comes first, so that the documents can be stored in this order. */
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
