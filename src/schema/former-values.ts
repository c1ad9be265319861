import type { z } from 'zod';
import { computations } from './computed.ts';
import type { Path } from './paths.ts';

/**
 * What documents have by the former name of a field. While servers of the version before run, that is the newest value:
 * they know no other name, and this version changes both. A later migration takes it away: see docs/migrations.md.
 */

/** Former names by present ones. */
export type Formerly = Readonly<Record<string, string>>;

type Stored = Record<string, unknown>;

/** The fields of an answer, which show such values. Objects and references do not: they are renamed while no server runs. */
export const latest = (
  fields: Record<string, z.ZodType>,
  renamed: Formerly,
  paths: ReadonlyMap<string, Pick<Path, 'kind' | 'reference'>>,
): Record<string, z.ZodType> =>
  Object.fromEntries(
    Object.entries(fields).map(([now, schema]) => {
      const former = renamed[now];
      const { kind, reference } = paths.get(now) ?? {};
      if (former === undefined || kind === 'object' || reference) return [now, schema];
      const compute = newest(now, former);
      return [now, schema.meta({ ...schema.meta() }).register(computations, { compute })];
    }),
  );

/** The value of a field in a stored document. */
export const newest =
  (now: string, former: string) =>
  (stored: Stored): unknown =>
    stored[former in stored ? former : now];

/** A stored document by the present names alone. */
export function withFormerValues<T extends object>(renamed: Formerly, stored: T): T {
  const copy = { ...stored } as Stored;
  for (const [now, former] of Object.entries(renamed)) {
    if (!(former in copy)) continue;
    copy[now] = copy[former];
    delete copy[former];
  }
  return copy as T;
}

/** What changes along with these fields: what a document has by their former names. */
export const byFormerNames = (renamed: Formerly, stored: object, changes: Stored): Stored =>
  Object.fromEntries(
    Object.entries(changes).flatMap(([field, value]) => {
      const former = renamed[field];
      return former !== undefined && former in stored ? [[former, value]] : [];
    }),
  );
