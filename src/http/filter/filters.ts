import type { z } from 'zod';
import { isHidden, requireReadable } from '../../schema/access.ts';
import { anyDecimal } from '../../schema/decimal.ts';
import { text } from '../../schema/fields.ts';
import type { Path } from '../../schema/paths.ts';
import { includable, reverseName } from '../../schema/references.ts';
import { indexText, leadsIndex } from '../../schema/indexes.ts';
import { formerPath } from '../../schema/renamed.ts';
import type { AnyResource, Reference } from '../../schema/resource.ts';
import { type Operator, OPERATORS, operatorsFor } from '../operators.ts';
import { flag, fraction, integer, several, valueAmong } from '../query.ts';
import { IdsOf } from './elsewhere.ts';

/** The filters of a list, made from its declaration: each is one typed parameter, and can be used in an expression. */

export interface Filter {
  /** `year`, `year[gte]`, `author.name[in]`, `posts[exists]`. */
  parameter: string;
  /** The path that it looks at. */
  paths: readonly string[];
  /** The path that it looks at in documents of another resource. */
  elsewhere?: { resource: AnyResource; paths: readonly string[] };
  schema: z.ZodType;
  /** Whether its values are texts, which must be quoted in expressions. */
  quoted?: boolean;
  /** The condition for MongoDB, in which IdsOf stands for ids that are looked up first. */
  condition: (value: unknown) => object;
}

export const filters = (resource: AnyResource, names: readonly string[]): Filter[] => {
  const byField = names.flatMap((name) => {
    const reference = resource.references.find(({ field }) => name.startsWith(`${field}.`));
    return reference && !resource.paths.has(name)
      ? across(reference, name)
      : filtersOf(name, filterable(resource, name), { paths: [name] });
  });
  const byFormerName = byField.flatMap((filter) => spelledAsBefore(resource, filter));
  return [...byField, ...byFormerName, ...includable(resource).map(existence)];
};

/** The same filter by the field's former name. */
function spelledAsBefore({ formerly }: AnyResource, filter: Filter): Filter[] {
  const { parameter, schema } = filter;
  const [field = ''] = parameter.split(/[.[]/, 1);
  const former = formerPath(formerly, field);
  if (!former) return [];
  const param = { ...(schema.meta() as { param?: object } | undefined)?.param, deprecated: true };
  const words = { description: `\`${field}\` by its former name`, param };
  return [
    {
      ...filter,
      parameter: former + parameter.slice(field.length),
      schema: schema.meta({ ...schema.meta(), ...words }),
    },
  ];
}

/** One filter for each operator that suits the path's type. */
export const filtersOf = (
  name: string,
  path: Path,
  looksAt: Pick<Filter, 'paths' | 'elsewhere'>,
  conditionOf = (operator: Operator) => (value: unknown) => OPERATORS[operator].condition(path, value),
): Filter[] =>
  operatorsFor(path).map((operator) => ({
    parameter: operator === 'eq' ? name : `${name}[${operator}]`,
    ...looksAt,
    schema: describe(operandOf(operator, path), inWords(name, path, operator)),
    quoted: path.kind === 'text',
    condition: conditionOf(operator),
  }));

/** The path of a field that can be filtered by: it is stored, some callers may read it, and it leads an index. */
function filterable(resource: AnyResource, field: string): Path {
  const { name, paths } = resource;
  if (field in resource.computed || isHidden(resource, field))
    throw new Error(`${name} cannot be filtered by ${field}: it is not stored, or no caller can read it.`);
  const path = paths.get(field);
  if (!path) throw new Error(`${name} cannot be filtered by ${field}: there is no such field.`);
  if (operatorsFor(path).length === 0)
    throw new Error(`${name} cannot be filtered by ${field}: it is an object. Filter by a field inside it.`);
  if (field !== 'id' && !leadsIndex(resource, field))
    throw new Error(
      `${name} cannot be filtered by ${field}: it leads no index. Add ${indexText({ [field]: 1, _id: 1 })} to its indexes.`,
    );
  return path;
}

/** `author.name`: filters by a field of the documents that it refers to. */
function across({ from, field, lists, target }: Reference, name: string): Filter[] {
  const inner = name.slice(field.length + 1);
  if (isHidden(from, field))
    throw new Error(`${from.name} cannot be filtered by ${name}: no caller can read ${field}.`);
  if (inner === 'id') throw new Error(`${from.name} cannot be filtered by ${name}: that is ${field} itself.`);
  const path = filterable(target, inner);
  const seen = { ...path, many: path.many || lists.length > 0 };
  const matching = (operator: Operator, value: unknown, is: '$in' | '$nin' = '$in'): object => ({
    [field]: { [is]: new IdsOf(target, OPERATORS[operator].condition(path, value)) },
  });
  /** A negated condition also matches documents that refer to nothing. */
  const conditionOf =
    (operator: Operator) =>
    (value: unknown): object => {
      if (operator === 'ne') return matching('eq', value, '$nin');
      if (operator === 'nin') return matching('in', value, '$nin');
      if (operator === 'exists') return matching('exists', true, value ? '$in' : '$nin');
      if (operator === 'all') return { $and: (value as unknown[]).map((one) => matching('eq', one)) };
      return matching(operator, value);
    };
  const looksAt = { paths: [field], elsewhere: { resource: target, paths: [inner] } };
  return filtersOf(name, seen, looksAt, conditionOf).filter(
    ({ parameter }) => !parameter.endsWith('[exists]') || path.many || path.optional,
  );
}

/** `posts[exists]`: filters by whether documents that the caller may see refer to it. */
function existence(reference: Reference): Filter {
  const { from, field, lists } = reference;
  const name = reverseName(reference);
  const described = `Whether ${from.collection} that you may see refer to it by \`${field}\``;
  return {
    parameter: `${name}[exists]`,
    paths: [],
    elsewhere: { resource: from, paths: [field] },
    schema: describe(FLAG, described),
    condition: (value) => ({ _id: { [value ? '$in' : '$nin']: new IdsOf(from, {}, { field, lists }) } }),
  };
}

/** Refuses filters by fields that the caller may not read. */
export function requireFilterable(resource: AnyResource, used: Filter[]): void {
  requireReadable(resource, used);
  for (const { parameter, elsewhere } of used)
    if (elsewhere) requireReadable(elsewhere.resource, [{ parameter, paths: elsewhere.paths }]);
}

const describe = (schema: z.ZodType, description: string | undefined) =>
  schema.description === description ? schema : schema.meta({ ...schema.meta(), description });

/** Descriptions for lists, where the operator's own words would mislead: a negation means that no entry matches. */
function inWords(name: string, { many }: Path, operator: Operator): string | undefined {
  if (!many) return undefined;
  if (operator === 'ne') return `No entry of \`${name}\` is this`;
  if (operator === 'nin') return `No entry of \`${name}\` is one of these`;
  return operator === 'all' ? `\`${name}\` has all of these` : undefined;
}

/** Of these each operator of each field would make its own, and schemas take a large part of the start. */
const ANY_INTEGER = integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
const ANY_FRACTION = fraction();
const ANY_DECIMAL = anyDecimal();
const FLAG = flag();
const PART = text(2, 100);
const ANY_TEXT = text(0, 1000);
const SOME_TEXT = text(1, 1000);

function operandOf(operator: Operator, path: Path): z.ZodType {
  if (operator === 'exists') return FLAG;
  if (operator === 'contains') return PART;
  const value = valueOf(path);
  return ['in', 'nin', 'all'].includes(operator) ? several(value, path.schema) : value;
}

/** How a field's values are written in a URL. The field's own limits do not apply: a filter may lie beyond them. */
function valueOf({ kind, schema }: Path): z.ZodType {
  switch (kind) {
    case 'text':
      return schema.safeParse('').success ? ANY_TEXT : SOME_TEXT;
    case 'integer':
      return ANY_INTEGER;
    case 'number':
      return ANY_FRACTION;
    case 'decimal':
      return ANY_DECIMAL;
    case 'boolean':
      return FLAG;
    case 'enum':
      return valueAmong([...((schema as z.ZodLiteral)._zod.values as Set<string>)]);
    default:
      return schema;
  }
}
