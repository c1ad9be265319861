import { createRequire } from 'node:module';
import type * as bson from 'bson';
import { z } from 'zod';
import { storedKinds } from './fields.ts';

// The same copy of bson as the driver's: `import` would load another one.
const { Decimal128 } = createRequire(import.meta.url)('bson') as typeof bson;
type Decimal128 = bson.Decimal128;

/** The digits of a Decimal128. */
const MAX_DIGITS = 34;
/** Digits before the point: the validators' bounds are powers of ten, which a double represents exactly up to here. */
const MAX_WHOLE = 22;

/** Inclusive bounds of a decimal; whole numbers. */
interface Bounds {
  min?: number;
  max?: number;
}

/**
 * An exact decimal with at most `digits` digits, `scale` of them after the point, like SQL's NUMERIC. A string on the
 * wire, because a JSON number loses digits in JavaScript; answers always have `scale` digits after the point. MongoDB
 * stores, compares and adds it as a Decimal128.
 */
export function decimal(digits: number, scale: number, { min, max }: Bounds = {}) {
  const whole = digits - scale;
  if (![digits, scale].every(Number.isInteger) || scale < 0 || whole < 0 || digits < 1)
    throw new Error(`decimal(${digits}, ${scale}): scale must not exceed digits.`);
  if (digits > MAX_DIGITS || whole > MAX_WHOLE)
    throw new Error(
      `decimal(${digits}, ${scale}): at most ${MAX_DIGITS} digits, ${MAX_WHOLE} of them before the point.`,
    );
  if (![min, max].every((bound) => bound === undefined || Number.isSafeInteger(bound)))
    throw new Error(`decimal(${digits}, ${scale}): min and max must be whole numbers.`);

  const before = whole === 0 ? '0' : whole === 1 ? '\\d' : `(0|[1-9]\\d{0,${whole - 1}})`;
  const behind = scale === 0 ? '' : `(\\.\\d{1,${scale}})?`;
  const form = `a decimal in a string, such as "${example(whole, scale)}": at most ${whole} digits before the point and ${scale} after it`;
  const text = z
    .string(`must be ${form}`)
    .regex(new RegExp(`^-?${before}${behind}$`), { error: `must be ${form}`, abort: true })
    .superRefine((value, ctx) => {
      const fault = (message: string, code: string) =>
        ctx.addIssue({ code: 'custom', message, params: { code } });
      if (min !== undefined && scaled(value, scale) < scaled(String(min), scale))
        fault(`must be at least ${min}`, 'too_small');
      if (max !== undefined && scaled(value, scale) > scaled(String(max), scale))
        fault(`must be at most ${max}`, 'too_big');
    });
  const stored = z
    .custom<Decimal128>((value) => isDecimal(value) && text.safeParse(toText(value, scale)).success)
    .register(storedKinds, { kind: 'decimal', whole, scale, min, max });
  return z.codec(text, stored, {
    decode: (value) => Decimal128.fromString(plain(scaled(value, scale), scale)),
    encode: (value) => toText(value, scale) ?? '',
  });
}

/** Any decimal, in a URL: a filter may lie beyond the field's bounds. */
export const anyDecimal = () =>
  z.codec(
    z.string().regex(/^-?\d{1,22}(\.\d{1,12})?$/, 'must be a decimal, such as 12.50'),
    z.custom<Decimal128>(isDecimal),
    { decode: (text) => Decimal128.fromString(text), encode: String },
  );

/** By its tag, as isObjectId() does. */
export const isDecimal = (value: unknown): value is Decimal128 =>
  (value as { _bsontype?: unknown } | null | undefined)?._bsontype === 'Decimal128';

/** A field's number of digits after the point; 0 if it is not a decimal. */
export function scaleOf(field: z.ZodType): number {
  const { out } = field.def as { out?: z.ZodType };
  const stored = out && storedKinds.get(out);
  return stored?.kind === 'decimal' ? stored.scale : 0;
}

/** With at least `scale` digits after the point; null if it is not a number. */
export function toText(value: Decimal128, scale: number): string | null {
  const parts = /^(-?)(\d+)(?:\.(\d+))?(?:E([+-]\d+))?$/.exec(value.toString());
  if (!parts) return null;
  const [, sign = '', before = '', behind = '', exponent = '0'] = parts;
  const places = behind.length - Number(exponent);
  let shown = Math.max(places, scale);
  let units = BigInt(before + behind) * 10n ** BigInt(shown - places);
  for (; shown > scale && units % 10n === 0n; shown--) units /= 10n;
  return plain(sign ? -units : units, shown);
}

/** Compares two decimals exactly; undefined if one is not a number. */
export function compareDecimals(a: Decimal128, b: Decimal128): number | undefined {
  const [left, right] = [toText(a, 0), toText(b, 0)];
  if (left === null || right === null) return undefined;
  const places = Math.max(...[left, right].map((text) => text.split('.')[1]?.length ?? 0));
  const difference = scaled(left, places) - scaled(right, places);
  return difference === 0n ? 0 : difference < 0n ? -1 : 1;
}

/** A decimal as a whole number of its smallest unit. */
function scaled(value: string, scale: number): bigint {
  const [before = '', behind = ''] = value.split('.');
  return BigInt(before + behind.padEnd(scale, '0'));
}

/** The reverse. There is no negative zero. */
function plain(units: bigint, scale: number): string {
  const digits = String(units < 0n ? -units : units).padStart(scale + 1, '0');
  const sign = units < 0n ? '-' : '';
  return scale === 0 ? sign + digits : `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

const example = (whole: number, scale: number): string =>
  `${'12'.slice(0, whole) || '0'}${scale > 0 ? '.' : ''}${'50'.slice(0, scale)}`;
