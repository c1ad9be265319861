import type { mongo } from 'mongoose';

/** How texts compare: by a collation in MongoDB, and in the same way in this process. */

/** Whether it compares byte by byte, as MongoDB does without a collation. */
export const isSimple = (collation: unknown): boolean =>
  (collation as mongo.CollationOptions | undefined)?.locale === 'simple';

const SENSITIVITY = { 1: 'base', 2: 'accent', 3: 'variant' } as const;

/** A comparison that agrees with MongoDB's; undefined for collations that only MongoDB supports. */
export function comparerOf(
  collation: mongo.CollationOptions | undefined,
): ((a: string, b: string) => number) | undefined {
  if (!collation || isSimple(collation)) return compareBytes;
  const { locale, strength = 3, ...others } = collation;
  const sensitivity = SENSITIVITY[strength as 1 | 2 | 3];
  if (!sensitivity || Object.keys(others).length > 0) return undefined;
  const { compare } = new Intl.Collator(locale, { sensitivity });
  return (a, b) => (a === b ? 0 : compare(a, b));
}

const compareBytes = (a: string, b: string): number =>
  a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b));

/** MongoDB fills in default options. */
const DEFAULTS: Record<string, unknown> = {
  caseLevel: false,
  caseFirst: 'off',
  strength: 3,
  numericOrdering: false,
  alternate: 'non-ignorable',
  maxVariable: 'punct',
  normalization: false,
  backwards: false,
};

/** A collation as requested, from the one that MongoDB reports. */
export const withoutDefaults = (collation: object): mongo.CollationOptions =>
  Object.fromEntries(
    Object.entries(collation).filter(([name, value]) => name !== 'version' && DEFAULTS[name] !== value),
  ) as unknown as mongo.CollationOptions;
