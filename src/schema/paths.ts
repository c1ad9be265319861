import { z } from 'zod';
import { objectId, stamps } from './fields.ts';
import { type Declared, type Kind, type Node, nodesOf } from './nodes.ts';

/** A field of a resource, or one inside another: `condition`, `condition.before`, `notes.text`. */
export interface Path {
  /** The names from the document to it, joined by dots, as in filters, sorts, indexes and messages. */
  path: string;
  /** Its kind; for a list, the kind of its entries. */
  kind: Exclude<Kind, 'list'>;
  /** The Zod schema of a single value: without null, and for a list of its element. */
  schema: z.ZodType;
  /** The lists between the document and its values, by their paths, including itself. */
  lists: string[];
  /** Whether a document may have several values there: it is a list, or inside one. */
  many: boolean;
  /** Whether it is nullable. */
  nullable: boolean;
  /** Whether a document may have no value there: it or an object around it is nullable. */
  optional: boolean;
  reference?: Declared | undefined;
}

/** The paths of a definition's fields, by their names. */
export type Paths = ReadonlyMap<string, Path>;

/** The paths of fields, for the compiler. */
export type PathOf<F> = {
  [K in keyof F & string]:
    | K
    | (Inside<F[K]> extends infer S ? (S extends never ? never : `${K}.${PathOf<S>}`) : never);
}[keyof F & string];

/** The contents of a field, through lists, unions and null. */
export type Inside<T> =
  T extends z.ZodNullable<infer I>
    ? Inside<I>
    : T extends z.ZodArray<infer E>
      ? Inside<E>
      : T extends z.ZodDiscriminatedUnion<infer O>
        ? Inside<O[number]>
        : T extends z.ZodObject<infer S>
          ? S
          : never;

/**
 * All fields by their paths, containers first, plus `id`, `createdAt` and `updatedAt`. Keys of maps have no paths; a
 * union has paths for the single values that have the same kind in all options with that member. Throws an Error that
 * names all unsupported fields.
 */
export function pathsOf(fields: Record<string, z.ZodType>): Map<string, Path> {
  const none = { lists: [], many: false, nullable: false, optional: false };
  const instant = (path: 'createdAt' | 'updatedAt'): Path => ({
    ...none,
    path,
    kind: 'instant',
    schema: stamps[path],
  });
  const all: Path[] = [
    { ...none, path: 'id', kind: 'id', schema: objectId() },
    ...inside(nodesOf(fields), { prefix: '', lists: [], optional: false }),
    instant('createdAt'),
    instant('updatedAt'),
  ];
  return new Map(all.map((path) => [path.path, path]));
}

/** The place of fields in a document. */
interface Place {
  prefix: string;
  lists: string[];
  optional: boolean;
}

const inside = (fields: Record<string, Node>, place: Place): Path[] =>
  Object.entries(fields).flatMap(([name, node]) => pathsAt(node, `${place.prefix}${name}`, place));

function pathsAt(node: Node, path: string, { lists, optional }: Place): Path[] {
  if (node.kind === 'list') {
    const place = { prefix: '', lists: [...lists, path], optional: optional || node.nullable };
    const [element, ...deeper] = pathsAt(node.element, path, place);
    return [{ ...(element as Path), nullable: node.nullable, optional: place.optional }, ...deeper];
  }
  const place = { prefix: `${path}.`, lists, optional: optional || node.nullable };
  const itself: Path = {
    path,
    kind: node.kind,
    schema: node.schema,
    lists,
    many: lists.length > 0,
    nullable: node.nullable,
    optional: place.optional,
    reference: 'reference' in node ? node.reference : undefined,
  };
  if (node.kind === 'object') return [itself, ...inside(node.fields, place)];
  if (node.kind === 'union') return [itself, ...inside(shared(node), place)];
  return [itself];
}

/** The single values of a union that have the same kind in all options with that member. */
function shared({ discriminator, options }: Node & { kind: 'union' }): Record<string, Node> {
  const shared: Record<string, Node> = {};
  for (const name of new Set(options.flatMap(({ fields }) => Object.keys(fields)))) {
    const nodes = options.flatMap(({ fields }) => fields[name] ?? []);
    const node = merged(nodes);
    const nullable = nodes.length < options.length || nodes.some((one) => one.nullable);
    if (node) shared[name] = { ...node, nullable: name !== discriminator && nullable };
  }
  return shared;
}

function merged(nodes: Node[]): Node | undefined {
  const [first, ...others] = nodes as [Node, ...Node[]];
  if (['list', 'object', 'map', 'union'].includes(first.kind)) return undefined;
  if (others.some(({ kind }) => kind !== first.kind)) return undefined;
  const values = nodes.flatMap((node) => (node.kind === 'enum' ? node.values : []));
  return first.kind === 'enum' ? { ...first, values, schema: z.literal(values) } : first;
}

/** Whether it is an object instead of a single value. */
export const isContainer = ({ kind }: Path): boolean => ['object', 'map', 'union'].includes(kind);

export const noField = (where: string, name: string, paths: Paths): string =>
  `${where} "${name}", which is not a field; there are ${[...paths.keys()].join(', ')}`;

/** The value of a document at a path without lists. */
export const valueAt = (object: unknown, path: string): unknown =>
  path
    .split('.')
    .reduce((value, name) => (value as Record<string, unknown> | null | undefined)?.[name], object);
