import { isHidden } from '../../schema/access.ts';
import type { AnyResource, Reference } from '../../schema/resource.ts';
import type { Path } from '../../schema/paths.ts';

/** The model as people draw it: entities with their fields, and how they refer to each other. */
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
  /** In one word: `text`, `id[]`, `instant`. */
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
  /** How many of `from` refer to one of `to`. */
  source: '0..1' | '*';
  /** To how many of `to` one of `from` refers. */
  target: '1' | '0..1' | '*';
  /** What becomes of `from` when that is removed. */
  onRemoval: Reference['policy'];
}

/** What answers show of these resources, and no more: the picture is for everybody. */
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
