import { z } from 'zod';
import { isHidden } from '../../schema/access.ts';
import { anyDecimal, isDecimal, scaleOf, toText } from '../../schema/decimal.ts';
import { isOf } from '../../schema/nodes.ts';
import type { Path } from '../../schema/paths.ts';
import { bothNames } from '../../schema/renamed.ts';
import type { AnyResource } from '../../schema/resource.ts';
import { type Filter, filtersOf } from '../filter/filters.ts';

/** The measures of a group: its count, and sums, averages, extremes and distinct counts of values. */

export interface Measure {
  /** `count`, `avg(year)`. */
  name: string;
  function: string;
  /** The field; '' for `count`. */
  field: string;
  /** Its alias in the pipeline. */
  alias: string;
  accumulator: object;
  /** Turns the accumulated value into the measure. */
  finish?: object;
  schema: z.ZodType;
  /** The filter for `having`. */
  filters: Filter[];
  shown: (value: unknown) => unknown;
}

const NUMBERS = ['integer', 'number', 'decimal'];
export const FUNCTIONS: Record<string, { of: string[]; words: string }> = {
  sum: { of: NUMBERS, words: 'The sum of the known values' },
  avg: { of: NUMBERS, words: 'The mean of the known values; null if there are none' },
  min: { of: [...NUMBERS, 'instant', 'day'], words: 'The least; null if none is known' },
  max: { of: [...NUMBERS, 'instant', 'day'], words: 'The greatest; null if none is known' },
  distinct: {
    of: [...NUMBERS, 'instant', 'day', 'text', 'enum', 'boolean', 'id'],
    words: 'The number of different known values',
  },
};

/** All measures that a list offers: those of its `measures`, and the distinct counts of its `groups`. */
export function measuresOf(
  resource: AnyResource,
  groups: readonly string[],
  measures: readonly string[],
): Measure[] {
  const count = {
    name: 'count',
    function: 'count',
    field: '',
    alias: '_m',
    accumulator: { $sum: 1 },
    schema: z.int().describe('The number of documents'),
    filters: filtersOf('count', placeOf('_m', 'integer'), { paths: [] }),
    shown: (value: unknown) => value,
  };
  return [
    count,
    ...[...new Set([...measures, ...groups])].flatMap((field, i) => {
      const path = resource.paths.get(field);
      const isMeasure = measures.includes(field);
      const functions = Object.keys(FUNCTIONS).filter((name) =>
        FUNCTIONS[name]?.of.includes(path?.kind ?? ''),
      );
      if (isMeasure && (!path || path.many || isHidden(resource, field) || functions.length === 0))
        throw new Error(
          `${resource.name} cannot be measured by ${field}: it is not a single value, or no caller can read it.`,
        );
      if (!path || path.many) return [];
      return functions
        .filter((name) => isMeasure || name === 'distinct')
        .flatMap((name) =>
          bothNames(resource.formerly, field).map((known) => measure(name, known, path, `_m${i}${name}`)),
        );
    }),
  ];
}

/** `field` is its name in requests and answers: the present or the former one. */
function measure(name: string, field: string, path: Path, alias: string): Measure {
  const value = `$${path.path}`;
  const kind = resultOf(name, path.kind);
  const scale = scaleOf(path.schema);
  return {
    name: `${name}(${field})`,
    function: name,
    field,
    alias,
    accumulator: { [name === 'distinct' ? '$addToSet' : `$${name}`]: value },
    ...(name === 'distinct' && { finish: { $size: { $setDifference: [`$${alias}`, [null]] } } }),
    schema: schemaOf(kind, path),
    filters: filtersOf(
      `${name}(${field})`,
      { ...placeOf(alias, kind), schema: path.schema },
      { paths: [field] },
    ),
    shown: (found) => {
      if (kind === 'decimal') return isDecimal(found) ? toText(found, scale) : found === 0 ? '0' : null;
      if (found instanceof Date) return isOf('instant', found) ? found.toISOString() : null;
      return found ?? null;
    },
  };
}

const resultOf = (name: string, kind: Path['kind']): Path['kind'] => {
  if (name === 'distinct') return 'integer';
  return name === 'avg' && kind === 'integer' ? 'number' : kind;
};

function schemaOf(kind: Path['kind'], { schema }: Path): z.ZodType {
  if (kind === 'integer') return z.int().nullable();
  if (kind === 'number') return z.number().nullable();
  return (kind === 'decimal' ? z.string() : schema).nullable();
}

const [DECIMAL, UNKNOWN] = [anyDecimal(), z.unknown()];
/** The path of a measure in the answer of a group. */
const placeOf = (path: string, kind: Path['kind']): Path => ({
  path,
  kind,
  schema: kind === 'decimal' ? DECIMAL : UNKNOWN,
  lists: [],
  many: false,
  nullable: true,
  optional: true,
});
