import { isHidden } from '../../schema/access.ts';
import type { AnyResource, Reference } from '../../schema/resource.ts';
import type { Path } from '../../schema/paths.ts';

/** The model for diagrams: entities with their fields and references. */
export interface Model {
  entities: Entity[];
  relations: Relation[];
}

export interface Entity {
  name: string;
  description: string;
  fields: Field[];
}

interface Field {
  name: string;
  /** A short type name: `text`, `id[]`, `instant`. */
  type: string;
  nullable: boolean;
  unique: boolean;
  refersTo: string | undefined;
}

/** `from.field` holds ids of `to`. */
export interface Relation {
  from: string;
  field: string;
  to: string;
  /** How many of `from` can refer to one of `to`. */
  source: '0..1' | '*';
  /** How many of `to` one of `from` can refer to. */
  target: '1' | '0..1' | '*';
  /** What happens to `from` when `to` is removed. */
  onRemoval: Reference['policy'];
}

/** Only what answers show: the diagram is public. */
export function modelFor(resources: AnyResource[]): Model {
  const names = new Set(resources.map(({ collection }) => collection));
  const relations = resources
    .flatMap(({ references }) => references)
    .filter(({ from, field, target }) => names.has(target.collection) && !isHidden(from, field));
  return {
    entities: resources.map(entityOf),
    relations: relations.map(({ from, field, lists, optional, target, policy }) => ({
      from: from.collection,
      field,
      to: target.collection,
      source: isUnique(from, field) ? '0..1' : '*',
      target: lists.length > 0 ? '*' : optional ? '0..1' : '1',
      onRemoval: policy,
    })),
  };
}

const entityOf = (resource: AnyResource): Entity => ({
  name: resource.collection,
  description: resource.description,
  fields: [...resource.paths.values()]
    .filter(({ path }) => !isHidden(resource, path))
    .map((path) => ({
      name: path.path,
      type: typeOf(path),
      nullable: path.nullable,
      unique: path.path === 'id' || isUnique(resource, path.path),
      refersTo: resource.references.find(({ field }) => field === path.path)?.target.collection,
    })),
});

const typeOf = ({ path, kind, lists }: Path): string => (lists.includes(path) ? `${kind}[]` : kind);

const isUnique = ({ indexes }: AnyResource, field: string): boolean =>
  indexes.some(({ key, unique }) => unique && Object.keys(key).join() === field);
