import { inspect } from 'node:util';
import type { Filter } from '../mongo/layout.ts';
import { isOf } from './nodes.ts';
import { isContainer, noField, type Path, type Paths } from './paths.ts';

/**
 * Checks the filter of an index for operators that MongoDB refuses there, and conditions that no document can meet.
 */
export function faultsOfWhere(where: Filter, paths: Paths): string[] {
  const entries = Object.entries(where);
  if (entries.length === 0) return ['has an empty filter: leave out "where"'];
  return entries.flatMap(([name, condition]) => {
    if (LOGICAL.includes(name))
      return Array.isArray(condition) && condition.length > 0
        ? condition.flatMap((part) => faultsOfWhere(part, paths))
        : [`has an empty ${name} in its filter`];
    if (name.startsWith('$')) return [refused(name)];
    const path = name === '_id' ? paths.get('id') : paths.get(name);
    if (!path || name === 'id') return [noField('has a filter that names', name, paths)];
    if (!isOperators(condition)) return faultsOfValue(path, '$eq', condition);
    return Object.entries(condition).flatMap(([operator, operand]) => faultsOf(path, operator, operand));
  });
}

const LOGICAL = ['$and', '$or'];
const COMPARING = ['$eq', '$gt', '$gte', '$lt', '$lte'];

const isOperators = (condition: unknown): condition is Record<string, unknown> =>
  typeof condition === 'object' &&
  condition !== null &&
  Object.keys(condition).some((name) => name.startsWith('$'));

function faultsOf(path: Path, operator: string, operand: unknown): string[] {
  if (COMPARING.includes(operator)) return faultsOfValue(path, operator, operand);
  if (operator === '$in')
    return Array.isArray(operand) && operand.length > 0
      ? operand.flatMap((value) => faultsOfValue(path, operator, value))
      : [`has an empty $in for ${path.path}`];
  if (operator === '$type')
    return TYPES.includes(operand as string)
      ? []
      : [`has a $type for ${path.path} that is not one of ${TYPES.join(', ')}`];
  if (operator === '$exists')
    return operand === true
      ? []
      : [
          `has $exists: false, which MongoDB refuses there: write { ${path.path}: null }, which missing values equal`,
        ];
  return [refused(operator, instead(path, operator, operand))];
}

const refused = (operator: string, instead = SUPPORTED): string =>
  `has ${operator} in its filter, which MongoDB refuses there: ${instead}`;

const SUPPORTED = `it takes values, null, ${COMPARING.join(', ')}, $in, $type, $exists: true, ${LOGICAL.join(' and ')}`;

/** The supported equivalent. */
function instead({ path, kind, schema }: Path, operator: string, operand: unknown): string {
  const excluded =
    operator === '$ne' ? [operand] : operator === '$nin' && Array.isArray(operand) ? operand : [];
  if (kind === 'enum' && excluded.length > 0) {
    const values = [...(schema as unknown as { _zod: { values: Set<unknown> } })._zod.values];
    const others = values.filter((value) => !excluded.includes(value)).map((value) => JSON.stringify(value));
    return `write { '${path}': { $in: [${others.join(', ')}] } }`;
  }
  if (excluded.includes(null)) return `write { '${path}': { $type: '${TYPE[kind]}' } }`;
  return SUPPORTED;
}

/** The BSON types of the kinds of field. */
const TYPE: Record<Path['kind'], string> = {
  text: 'string',
  day: 'string',
  integer: 'number',
  number: 'number',
  decimal: 'decimal',
  boolean: 'bool',
  instant: 'date',
  id: 'objectId',
  enum: 'string',
  object: 'object',
  map: 'object',
  union: 'object',
};
const TYPES = [...new Set(Object.values(TYPE)), 'array', 'null', 'int', 'long', 'double'];

function faultsOfValue(path: Path, operator: string, value: unknown): string[] {
  const { path: name, kind, schema } = path;
  const isEquality = operator === '$eq' || operator === '$in';
  if (value === null)
    return isEquality && path.optional
      ? []
      : [`has null for ${name}, which ${isEquality ? 'is never null' : 'matches no document'}`];
  if (Array.isArray(value) && value.length === 0 && path.lists.includes(name)) return [];
  if (isContainer(path) || kind === 'id')
    return [
      `compares ${name}: for ${kind === 'id' ? 'an id' : 'an object'}, only null, $exists and $type are possible`,
    ];
  // Whole, because the literal is stored as a double: a fraction would be another value.
  const fits = kind === 'decimal' ? Number.isInteger(value) : isOf(kind, value);
  if (!fits)
    return [
      `compares ${name} with ${inspect(value)}, which is no ${kind === 'decimal' ? 'whole number' : kind}`,
    ];
  if (kind === 'enum' && isEquality && !schema.safeParse(value).success)
    return [`compares ${name} with ${inspect(value)}, a value that it never has`];
  return [];
}
