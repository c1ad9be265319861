import type { z } from 'zod';
import { isDecimal } from './decimal.ts';
import { isObjectId, MAP_KEY, type Policy, references, storedKinds } from './fields.ts';
import { refusedPattern } from './pcre.ts';

/**
 * The kinds of field. Read once from the Zod schema; model, validator, filters, sorts and answers are derived from
 * them. The set is closed, so that no field escapes the checks of Mongoose and MongoDB unnoticed.
 */
export type Node = { schema: z.ZodType; nullable: boolean } & (
  | { kind: ValueKind; reference?: Declared | undefined }
  | { kind: 'decimal'; scale: number }
  | { kind: 'enum'; values: (string | number | boolean)[] }
  | { kind: 'list'; element: Node }
  | ObjectNode
  | { kind: 'map'; value: Node }
  | { kind: 'union'; discriminator: string; options: (Node & ObjectNode)[] }
);
type ObjectNode = { kind: 'object'; fields: Record<string, Node> };
export type Kind = Node['kind'];

/**
 * A single value. A day is stored as a string, an instant as a Date, a decimal as a Decimal128, an id as an ObjectId.
 */
export type ValueKind = 'text' | 'day' | 'integer' | 'number' | 'boolean' | 'instant' | 'id';

/** Whether values of this kind are single values. */
export function isOf(kind: Kind, value: unknown): boolean {
  switch (kind) {
    case 'text':
    case 'day':
      return typeof value === 'string';
    case 'integer':
    case 'number':
      return Number.isFinite(value);
    case 'decimal':
      return isDecimal(value);
    case 'boolean':
      return typeof value === 'boolean';
    case 'instant':
      return value instanceof Date && !Number.isNaN(value.getTime());
    case 'id':
      return isObjectId(value);
    case 'enum':
      return ['string', 'number', 'boolean'].includes(typeof value);
    default:
      return false;
  }
}

/** A reference as its field declares it. */
export interface Declared {
  target: string;
  policy: Policy;
}

/** How deep objects, lists of objects, maps and unions may be nested. */
const MAX_LEVELS = 4;

const SUPPORTED = `Supported: text(), z.string(), formats of strings such as z.email(), z.int(), z.number(), z.boolean(), z.enum(), z.literal(), decimal(), day(), instant(), objectId(), ref(); of these z.array(), setOf(), z.strictObject(), mapOf() and z.discriminatedUnion() of objects, to ${MAX_LEVELS} levels; and .nullable() of each.`;

/**
 * Reads the fields of a definition. Throws an Error that names all unsupported fields and lists the supported kinds.
 */
export function nodesOf(fields: Record<string, z.core.$ZodType>): Record<string, Node> {
  const faults: string[] = [];
  const nodes = readObject(fields, { path: '', level: 0, faults });
  if (faults.length > 0) throw new Error(`${faults.join('\n  ')}\n  ${SUPPORTED}`);
  return nodes;
}

interface Place {
  path: string;
  /** The number of objects, maps and unions around it. */
  level: number;
  faults: string[];
  /** Why a reference cannot be here; undefined if it can. */
  unreferable?: string;
}

/** Names that answers use for members that are not fields. */
const RESERVED = ['id', 'etag'];
const NAME = /^[A-Za-z][A-Za-z0-9_]*$/;

function readObject(fields: Record<string, z.core.$ZodType>, place: Place): Record<string, Node> {
  const nodes: Record<string, Node> = {};
  for (const [name, schema] of Object.entries(fields)) {
    const path = place.path ? `${place.path}.${name}` : name;
    if (!NAME.test(name) || RESERVED.includes(name))
      place.faults.push(
        `The field ${path} needs another name: a letter, followed by letters, digits or _; and not ${RESERVED.join(' or ')}.`,
      );
    const node = read(schema, { ...place, path });
    if (node) nodes[name] = node;
  }
  return nodes;
}

/** The node of a schema; undefined if unsupported, with an entry in the faults. */
function read(schema: z.core.$ZodType, place: Place): Node | undefined {
  const def = schema._zod.def as z.core.$ZodTypes['_zod']['def'];
  const refuse = (what: string): undefined => {
    place.faults.push(`The field ${place.path} ${what}.`);
  };
  const of = <T extends object>(part: T) => ({ schema: schema as z.ZodType, nullable: false, ...part });
  if ('coerce' in def && def.coerce) return refuse(`is z.coerce.${def.type}(), which is not supported`);
  switch (def.type) {
    case 'string':
      for (const { pattern } of patternsOf(schema)) {
        const fault = pattern && refusedPattern(pattern);
        if (fault) return refuse(`has a regular expression with ${fault}`);
      }
      return of({ kind: (def as { format?: string }).format === 'date' ? 'day' : 'text' } as const);
    case 'number':
      if (stepsOf(schema).some((step) => !Number.isInteger(step)))
        return refuse(
          'is a multiple of a fraction, which binary floating point cannot represent: use decimal()',
        );
      return of({ kind: isInteger(schema) ? 'integer' : 'number' } as const);
    case 'boolean':
      return of({ kind: 'boolean' } as const);
    case 'enum':
      return readValues(Object.values(def.entries), of, refuse);
    case 'literal':
      return readValues(def.values, of, refuse);
    case 'nullable': {
      const node = read(def.innerType, place);
      return node && { ...node, nullable: true };
    }
    case 'pipe': {
      const stored = storedKinds.get(def.out as z.ZodType);
      if (!stored) return refuse('is a custom codec or transform, which is not supported');
      const reference = references.get(schema as z.ZodType);
      if (reference && place.unreferable) return refuse(`is a reference ${place.unreferable}`);
      return stored.kind === 'decimal' ? of(stored) : of({ kind: stored.kind, reference });
    }
    case 'array':
      return readList(schema, def, place, refuse);
    case 'object': {
      if (place.level === MAX_LEVELS) return refuse(`is nested deeper than ${MAX_LEVELS} levels`);
      if ((def.catchall as z.core.$ZodType | undefined)?._zod.def.type !== 'never')
        return refuse('is z.object(), which silently drops unknown members: use z.strictObject()');
      return of({
        kind: 'object',
        fields: readObject(def.shape, { ...place, level: place.level + 1 }),
      } as const);
    }
    case 'record':
      return readMap(schema, def, place, refuse);
    case 'union':
      return readUnion(schema, def, place, refuse);
    default:
      return refuse(`has the kind "${def.type}", which is not supported`);
  }
}

type Refuse = (what: string) => undefined;

/** The checks of a schema, its own and added ones. */
export const checksOf = ({
  _zod: { def },
}: z.core.$ZodType): { format?: string; pattern?: RegExp; value?: unknown; check?: string }[] => [
  def as object,
  ...(def.checks ?? []).map(({ _zod }) => _zod.def as object),
];

const isInteger = (schema: z.core.$ZodType): boolean =>
  checksOf(schema).some(({ format }) => format?.includes('int'));

/** The regular expressions in the definition itself: those of Zod's formats behave the same in MongoDB. */
const patternsOf = (schema: z.core.$ZodType) => checksOf(schema).filter(({ format }) => format === 'regex');

const stepsOf = (schema: z.core.$ZodType) =>
  checksOf(schema)
    .filter(({ check }) => check === 'multiple_of')
    .map(({ value }) => value);

function readValues(
  values: unknown[],
  of: <T extends object>(part: T) => T & { schema: z.ZodType; nullable: boolean },
  refuse: Refuse,
): Node | undefined {
  const types = new Set(values.map((value) => typeof value));
  const [type = ''] = types;
  if (types.size !== 1 || !['string', 'number', 'boolean'].includes(type))
    return refuse(
      'has values that are not all texts, all numbers or all booleans (for null use .nullable())',
    );
  return of({ kind: 'enum', values: values as string[] } as const);
}

function readList(
  schema: z.core.$ZodType,
  { element }: z.core.$ZodArrayDef,
  place: Place,
  refuse: Refuse,
): Node | undefined {
  const node = read(element, place);
  if (!node) return undefined;
  if (node.kind === 'list')
    return refuse('is a list of lists, which no index can search: make it a list of objects');
  if (node.nullable && 'reference' in node && node.reference)
    return refuse('is a list of references that may be null: remove .nullable() inside the list');
  return { schema: schema as z.ZodType, nullable: false, kind: 'list', element: node };
}

function readMap(
  schema: z.core.$ZodType,
  { keyType, valueType }: z.core.$ZodRecordDef,
  place: Place,
  refuse: Refuse,
): Node | undefined {
  if (place.level === MAX_LEVELS) return refuse(`is nested deeper than ${MAX_LEVELS} levels`);
  if (!patternsOf(keyType).some(({ pattern }) => pattern === MAP_KEY))
    return refuse('is z.record(), whose keys are unlimited: use mapOf()');
  const unreferable = 'inside a map, which no index can search: make it a list of objects';
  const value = read(valueType, { ...place, path: `${place.path}.*`, level: place.level + 1, unreferable });
  return value && { schema: schema as z.ZodType, nullable: false, kind: 'map', value };
}

function readUnion(
  schema: z.core.$ZodType,
  def: z.core.$ZodUnionDef,
  place: Place,
  refuse: Refuse,
): Node | undefined {
  if (!('discriminator' in def))
    return refuse('is z.union(), which is not supported: use z.discriminatedUnion()');
  const unreferable = 'inside a union: make it a field beside the union';
  const options = def.options.flatMap((option) => {
    const node = read(option, { ...place, unreferable });
    return node ? [node] : [];
  });
  if (!options.every((option) => option.kind === 'object'))
    return refuse('is a union of something other than objects');
  const discriminator = def.discriminator as string;
  return { schema: schema as z.ZodType, nullable: false, kind: 'union', discriminator, options };
}
