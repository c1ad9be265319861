import { isDeepStrictEqual } from 'node:util';

/**
 * What documents have by the former name of a field. While servers of the version before run, that is the newest value:
 * they know no other name, and this version changes both. A later migration takes it away: see docs/migrations.md.
 */

/** Former names by present ones. */
export type Formerly = Readonly<Record<string, string>>;

/** A former name; where the type was another one, too, how stored values (never null) become each other. */
export type Renamed<T = any> =
  | string
  | { from: string; decode: (former: any) => T; encode: (present: NonNullable<T>) => unknown };

/** The same, ready for use. */
interface Former {
  name: string;
  decode: (former: unknown) => unknown;
  encode: (present: unknown) => unknown;
}
export type Formers = Readonly<Record<string, Former>>;

export const formersOf = (renamed: Readonly<Record<string, Renamed>>): Formers =>
  Object.fromEntries(
    Object.entries(renamed).map(([now, former]) => {
      if (typeof former === 'string') return [now, { name: former, decode: same, encode: same }];
      const { from: name, decode, encode } = former;
      return [now, { name, decode: unlessNull(decode), encode: unlessNull(encode) }];
    }),
  );

const same = (value: unknown): unknown => value;
const unlessNull =
  (convert: (value: any) => unknown) =>
  (value: unknown): unknown =>
    value === null || value === undefined ? value : convert(value);

type Stored = Record<string, unknown>;

/** The value of a field in a stored document. What has not changed by its former name is not converted to and fro. */
export const newest =
  (now: string, { name, decode, encode }: Former) =>
  (stored: Stored): unknown =>
    name in stored && !isDeepStrictEqual(encode(stored[now]), stored[name])
      ? decode(stored[name])
      : stored[now];

/** A stored document by the present names alone. */
export function withFormerValues<T extends object>(renamed: Formers, stored: T): T {
  const all = Object.entries(renamed);
  if (all.length === 0) return stored;
  const copy = { ...stored } as Stored;
  for (const [now, former] of all) {
    if (!(former.name in copy)) continue;
    copy[now] = newest(now, former)(copy);
    delete copy[former.name];
  }
  return copy as T;
}

/** What changes along with these fields: what a document has by their former names. */
export const byFormerNames = (renamed: Formers, stored: object, changes: Stored): Stored =>
  Object.fromEntries(
    Object.entries(changes).flatMap(([field, value]) => {
      const former = renamed[field];
      return former && former.name in stored ? [[former.name, former.encode(value)]] : [];
    }),
  );
