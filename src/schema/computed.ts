import { z } from 'zod';
import { type Formers, withFormerValues } from './former-values.ts';

/** A field that answers show and no document has: what a pure function makes of stored fields. */
export interface Computed<D = any, S extends z.ZodType = z.ZodType> {
  /** The stored fields that it is made from. */
  from: readonly string[];
  /** What it is, as for a field: one side is JSON, the other what `value` gives. */
  schema: S;
  /** Sees the fields that `from` names, and nothing else: no clock, no other document. */
  value: (stored: D) => z.output<S>;
}

export type Compute = (stored: Record<string, unknown>) => unknown;

/** What an answer's field is made by, if it is not stored. */
export const computations = z.registry<{ compute: Compute }>();

/** The schema of a computed field in answers. `absent` has what stands for fields that a document lacks. */
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
      // A document older than a rule, or changed by another tool: it is answered without the field.
      return undefined;
    }
  };
  return schema.meta({ ...schema.meta(), readOnly: true }).register(computations, { compute });
}

/** The computed fields of an example as JSON; what cannot be made is left out. */
export const exampleOf = (computed: Record<string, z.ZodType>, stored: Record<string, unknown>): object =>
  Object.fromEntries(
    Object.entries(computed).flatMap(([name, schema]) => {
      const { data } = z.safeEncode(schema, computations.get(schema)?.compute(stored) as never);
      return data === undefined ? [] : [[name, data]];
    }),
  );

const PARTS = ['from', 'schema', 'value'] as const;

/** What is wrong with the computed fields of a definition. `restricted` are the fields that not everybody reads. */
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
            `${where} is made from "${field}", which is no stored field; there are ${stored.join(', ')}.`,
        ),
      ...from
        .filter((field) => restricted.includes(field) && !named.includes(name))
        .map(
          (field) =>
            `${where} is made from ${field}, which not everybody may read: say in access.${name} who may read it.`,
        ),
    ];
  });
}
