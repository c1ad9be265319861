import { isHidden } from '../schema/access.ts';
import { complete, indexText } from '../schema/indexes.ts';
import { isContainer } from '../schema/paths.ts';
import { formerPath } from '../schema/renamed.ts';
import type { AnyResource } from '../schema/resource.ts';
import { storedName } from './operators.ts';
import { SCORE, type SortField } from './paging.ts';

/** The sort orders of a list. */

/** The order of a full-text search. */
export const BEST_FIRST: SortField[] = [
  { field: SCORE, direction: -1 },
  { field: '_id', direction: -1 },
];

/** Whether the field is unique, so that a sort order that ends with it is total. */
const isUnique = ({ indexes }: AnyResource, field: string): boolean =>
  complete(indexes).some(({ key, unique }) => unique && Object.keys(key).join() === field);

/** The orders that a list offers and their reverses, by their names in the URL. */
export function sortOrders(resource: AnyResource, declared: readonly string[]): Map<string, SortField[]> {
  const orders = new Map<string, SortField[]>();
  for (const order of ['id', ...declared]) {
    const sort = order.split(',').map((part) => sortField(resource, part));
    for (const sign of [1, -1] as const) {
      const turned = sort.map(({ field, direction }) => ({ field, direction: (direction * sign) as 1 | -1 }));
      const name = turned.map(
        ({ field, direction }) => `${direction === -1 ? '-' : ''}${field === '_id' ? 'id' : field}`,
      );
      const total = isTotal(resource, turned)
        ? turned
        : [...turned, { field: '_id', direction: turned.at(-1)?.direction ?? 1 }];
      if (!isServed(resource, total))
        throw new Error(
          `${resource.name} cannot be sorted by ${order}: no index has that order. Add ${indexText(Object.fromEntries(total.map(({ field, direction }) => [field, direction])))} to its indexes.`,
        );
      orders.set(name.join(), total);
    }
  }
  const former = [...orders].map(([name, order]) => [byFormerNames(resource, name), order] as const);
  return new Map([...orders, ...former]);
}

const byFormerNames = ({ formerly }: AnyResource, order: string): string =>
  order
    .split(',')
    .map((part) => {
      const field = part.replace(/^-/, '');
      return part.replace(field, formerPath(formerly, field) ?? field);
    })
    .join();

/** Whether an index contains all documents in this order or its reverse, so that a page costs only what it shows. */
const isServed = ({ indexes }: AnyResource, sort: SortField[]): boolean =>
  [{ key: { _id: 1 } }, ...complete(indexes)].some(({ key }) => {
    const parts = Object.entries(key);
    return [1, -1].some((sign) =>
      sort.every(({ field, direction }, i) => parts[i]?.[0] === field && parts[i][1] === direction * sign),
    );
  });

const isTotal = (resource: AnyResource, sort: SortField[]): boolean =>
  sort.some(({ field }) => field === '_id' || isUnique(resource, field));

function sortField(resource: AnyResource, part: string): SortField {
  const { name, paths } = resource;
  const field = part.replace(/^-/, '');
  if (field in resource.computed || isHidden(resource, field))
    throw new Error(`${name} cannot be sorted by ${field}: it is not stored, or no caller can read it.`);
  const path = paths.get(field);
  if (!path) throw new Error(`${name} cannot be sorted by ${field}: there is no such field.`);
  if (path.many || isContainer(path))
    throw new Error(`${name} cannot be sorted by ${field}: it is not a single value.`);
  return { field: storedName(path), direction: part.startsWith('-') ? -1 : 1 };
}
