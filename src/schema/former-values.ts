import { isDeepStrictEqual } from 'node:util';

/**
 * Values under the former name of a field. While servers of the previous version run, these are the newest: those
 * servers write only the former name, and this version writes both. A later migration removes them: see
 * docs/migrations.md.
 */

/** Former names by present ones. */
export type Formerly = Readonly<Record<string, string>>;

/** A former name; if the type changed too, `decode` and `encode` convert stored values (never null). */
export type Renamed<T = any> =
  | string
  | { from: string; decode: (former: any) => T; encode: (present: NonNullable<T>) => unknown };

/** The same, normalised. */
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

/** The value of a field in a stored document. The former value is only converted if it has changed. */
export const newest =
  (now: string, { name, decode, encode }: Former) =>
  (stored: Stored): unknown =>
    name in stored && !isDeepStrictEqual(encode(stored[now]), stored[name])
      ? decode(stored[name])
      : stored[now];

/** A stored document with the present names only. */
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

/** The values under former names that must change along with these fields. */
export const byFormerNames = (renamed: Formers, stored: object, changes: Stored): Stored =>
  Object.fromEntries(
    Object.entries(changes).flatMap(([field, value]) => {
      const former = renamed[field];
      return former && former.name in stored ? [[former.name, former.encode(value)]] : [];
    }),
  );
