import { z } from 'zod';
import { isHidden } from '../../schema/access.ts';
import { isDecimal, scaleOf, toText } from '../../schema/decimal.ts';
import { objectId } from '../../schema/fields.ts';
import { isOf } from '../../schema/nodes.ts';
import type { Path } from '../../schema/paths.ts';
import { formerPath } from '../../schema/renamed.ts';
import type { AnyResource, Reference } from '../../schema/resource.ts';

/** The keys of groups: fields that the list declares; numbers and times can be rounded. */

/** A field that a list declares under `groups`. */
export interface Groupable {
  /** Its name in requests and answers: the present or the former one. */
  field: string;
  path: Path;
  reference: Reference | undefined;
  /** The forms in which it can be requested: `year`, `year[decade]`, `year[25]`. */
  forms: { pattern: string; examples: string[] };
  schema: z.ZodType;
}

/** A key as a request wants it. */
export interface Key extends Groupable {
  name: string;
  unit: string | undefined;
}

const NUMBERS = ['integer', 'number', 'decimal'];
const KINDS = ['text', 'day', 'boolean', 'instant', 'id', 'enum', ...NUMBERS];
const LENGTHS: Record<string, number> = { year: 4, month: 7, day: 10 };

export const groupables = (resource: AnyResource, names: readonly string[]): Map<string, Groupable> =>
  new Map(
    names.flatMap((name) => {
      const known = groupable(resource, name);
      const former = formerPath(resource.formerly, name);
      return [known, ...(former ? [byFormerName(known, former)] : [])].map((one) => [one.field, one]);
    }),
  );

/** Only the present name can be included, and only that one is listed in error messages. */
const byFormerName = ({ field, path }: Groupable, former: string): Groupable => ({
  field: former,
  path,
  reference: undefined,
  forms: { ...formsOf(former, path.kind), examples: [] },
  schema: schemaOf(path, undefined).meta({
    deprecated: true,
    description: `The former name of \`${field}\``,
  }),
});

function groupable(resource: AnyResource, name: string): Groupable {
  const path = resource.paths.get(name);
  if (!path || name === 'id' || !KINDS.includes(path.kind) || isHidden(resource, name))
    throw new Error(
      `${resource.name} cannot be grouped by ${name}: it is not a single value, or no caller can read it.`,
    );
  const reference = resource.references.find(({ field }) => field === name);
  return { field: name, path, reference, forms: formsOf(name, path.kind), schema: schemaOf(path, reference) };
}

function formsOf(path: string, kind: Path['kind']): Groupable['forms'] {
  const name = path.replaceAll('.', '\\.');
  if (NUMBERS.includes(kind))
    return {
      pattern: `${name}(\\[(decade|[1-9]\\d{0,5})\\])?`,
      examples: [path, `${path}[decade]`, `${path}[25]`],
    };
  const units = kind === 'instant' ? ['year', 'month', 'day'] : kind === 'day' ? ['year', 'month'] : [];
  const rounded = `\\[(${units.join('|')})\\]`;
  return {
    pattern: kind === 'instant' ? name + rounded : units.length > 0 ? `${name}(${rounded})?` : name,
    examples: [...(kind === 'instant' ? [] : [path]), ...units.map((unit) => `${path}[${unit}]`)],
  };
}

/** The schema of the key in answers. */
function schemaOf({ kind, schema }: Path, reference: Reference | undefined): z.ZodType {
  const id = reference
    ? z.union([objectId(), reference.target.document])
    : kind === 'id'
      ? objectId()
      : undefined;
  const plain: Record<string, () => z.ZodType> = {
    integer: () => z.int(),
    number: () => z.number(),
    boolean: () => z.boolean(),
    enum: () => schema,
  };
  return (id ?? plain[kind]?.() ?? z.string()).nullable();
}

export function keyOf(known: Map<string, Groupable>, name: string): Key {
  const [, field = '', unit] = /^([^[]+)(?:\[(\w+)\])?$/.exec(name) ?? [];
  return { ...(known.get(field) as Groupable), name, unit };
}

/** Stages that unwind the lists on the path, and the expression for the value. */
export function expressionOf({ path, unit }: Key, alias: string): { stages: object[]; value: unknown } {
  const { path: name, lists, many } = path;
  if (!many) return { stages: [], value: rounded(path, `$${name}`, unit) };
  const stages = [
    { $set: { [alias]: elements(`$${name}`, lists.length, rounded(path, '$$this', unit)) } },
    { $unwind: { path: `$${alias}`, preserveNullAndEmptyArrays: true } },
  ];
  return { stages, value: { $ifNull: [`$${alias}`, null] } };
}

/** The distinct values of nested lists: a document counts once in a group, however many of its elements match. */
function elements(list: unknown, depth: number, value: unknown): object {
  const safe = { $cond: [{ $isArray: list }, list, []] };
  if (depth === 1) return { $setUnion: [{ $map: { input: safe, in: value } }, []] };
  const inner = { $cond: [{ $isArray: '$$this' }, '$$this', []] };
  const flat = { $reduce: { input: safe, initialValue: [], in: { $concatArrays: ['$$value', inner] } } };
  return elements(flat, depth - 1, value);
}

/** A value of another type, stored by another tool, counts as null. */
function rounded({ kind }: Path, value: string, unit: string | undefined): unknown {
  if (!unit) return { $ifNull: [value, null] };
  if (kind === 'instant')
    return { $cond: [{ $eq: [{ $type: value }, 'date'] }, { $dateTrunc: { date: value, unit } }, null] };
  if (kind === 'day')
    return {
      $cond: [{ $eq: [{ $type: value }, 'string'] }, { $substrCP: [value, 0, LENGTHS[unit]] }, null],
    };
  const width = unit === 'decade' ? 10 : Number(unit);
  const floor = { $multiply: [{ $floor: { $divide: [value, width] } }, width] };
  return { $cond: [{ $isNumber: value }, floor, null] };
}

/** A value as JSON; ids are converted by the answer's schema. */
export function shownKey({ path, unit }: Key, value: unknown): unknown {
  if (value instanceof Date)
    return isOf('instant', value) ? value.toISOString().slice(0, LENGTHS[unit ?? 'day']) : null;
  return isDecimal(value) ? toText(value, scaleOf(path.schema)) : (value ?? null);
}
