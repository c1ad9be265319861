import { z } from 'zod';
import { type Formers, withFormerValues } from './former-values.ts';

/** A field in answers that is not stored: a pure function computes it from stored fields. */
export interface Computed<D = any, S extends z.ZodType = z.ZodType> {
  /** The stored fields that it is computed from. */
  from: readonly string[];
  /** Its schema, as for a field: one side is JSON, the other the type that `value` returns. */
  schema: S;
  /** Gets only the fields in `from`; must not use the clock or other documents. */
  value: (stored: D) => z.output<S>;
}

export type Compute = (stored: Record<string, unknown>) => unknown;

/** Marks a schema of an answer as computed. */
export const computations = z.registry<{ compute: Compute }>();

/** The schema of a computed field in answers. `absent` has the values of fields that a document lacks. */
export function shownAs(
  { from, schema, value }: Computed,
  absent: Record<string, unknown>,
  renamed: Formers,
): z.ZodType {
  const compute: Compute = (document) => {
    try {
      const stored = withFormerValues(renamed, document);
      return value(Object.fromEntries(from.map((field) => [field, stored[field] ?? absent[field]])));
    } catch {
      // The document is older than a rule or was changed by another tool: the answer leaves the field out.
      return undefined;
    }
  };
  return schema.meta({ ...schema.meta(), readOnly: true }).register(computations, { compute });
}

/** The computed fields of an example as JSON; those whose function throws are left out. */
export const exampleOf = (computed: Record<string, z.ZodType>, stored: Record<string, unknown>): object =>
  Object.fromEntries(
    Object.entries(computed).flatMap(([name, schema]) => {
      const { data } = z.safeEncode(schema, computations.get(schema)?.compute(stored) as never);
      return data === undefined ? [] : [[name, data]];
    }),
  );

const PARTS = ['from', 'schema', 'value'] as const;

/** Checks the computed fields of a definition. `restricted` are the fields that some callers may not read. */
export function checkComputed(
  computed: Record<string, Partial<Computed>>,
  { stored, restricted, named }: { stored: string[]; restricted: string[]; named: string[] },
): string[] {
  return Object.entries(computed).flatMap(([name, part]) => {
    const where = `computed.${name}`;
    const { from = [] } = part;
    return [
      ...PARTS.filter((one) => !part[one] || (one === 'from' && from.length === 0)).map(
        (one) => `${where} lacks "${one}".`,
      ),
      ...(name === 'id' || stored.includes(name) ? [`${where} has the name of a stored field.`] : []),
      ...from
        .filter((field) => !stored.includes(field))
        .map(
          (field) =>
            `${where} is computed from "${field}", which is not a stored field; there are ${stored.join(', ')}.`,
        ),
      ...from
        .filter((field) => restricted.includes(field) && !named.includes(name))
        .map(
          (field) =>
            `${where} is computed from ${field}, which some callers may not read: add access.${name} to say who may read it.`,
        ),
    ];
  });
}
