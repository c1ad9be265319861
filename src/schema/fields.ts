import { createRequire } from 'node:module';
import type * as bson from 'bson';
import { z } from 'zod';
import { parseTime, time } from './formats.ts';

// The same copy of bson as the driver's: `import` would load another one.
const { ObjectId } = createRequire(import.meta.url)('bson') as typeof bson;
type ObjectId = bson.ObjectId;

/** The kinds of field of a resource. One side is JSON on the wire, the other what MongoDB stores. */

/**
 * A string of `min` to `max` characters (Unicode code points, as JSON Schema and MongoDB count them). If it must not
 * be empty, it must not be blank either. NUL and lone surrogates are refused: many tools stop at NUL, and MongoDB
 * would silently replace a lone surrogate.
 */
export const text = (min: number, max: number) =>
  z
    .string()
    .superRefine((value, ctx) => {
      const fault = (message: string, code: string) =>
        ctx.addIssue({ code: 'custom', message, params: { code } });
      const { length } = Array.from(value);
      if (!value.isWellFormed() || value.includes('\0'))
        fault('must not contain NUL or an unpaired surrogate', 'invalid_text');
      if (length < min) fault(`must have at least ${min} character${min === 1 ? '' : 's'}`, 'too_short');
      else if (length > max) fault(`must have at most ${max} characters, not ${length}`, 'too_long');
      else if (min > 0 && !/\S/.test(value)) fault('must not be blank', 'blank');
    })
    .meta({
      minLength: min,
      maxLength: max,
      pattern: min > 0 ? '^[^\\x00]*[^\\s\\x00][^\\x00]*$' : '^[^\\x00]*$',
    });

/**
 * The BSON types of the supported codecs. Any other codec is refused at start, because nothing would check its values.
 */
export const storedKinds = z.registry<StoredKind>();

export type StoredKind =
  | { kind: 'id' | 'instant' }
  /** `whole` digits before the point, `scale` after it. */
  | { kind: 'decimal'; whole: number; scale: number; min?: number | undefined; max?: number | undefined };

/** By the tag that every copy of the package bson sets: `instanceof` fails between two copies. */
export const isObjectId = (value: unknown): value is ObjectId =>
  (value as { _bsontype?: unknown } | null | undefined)?._bsontype === 'ObjectId';

/** 24 hexadecimal digits on the wire, an ObjectId in MongoDB. */
export const objectId = () =>
  z.codec(
    z.string().regex(/^[0-9a-fA-F]{24}$/, 'must be an id: 24 hexadecimal digits'),
    z.custom<ObjectId>(isObjectId).register(storedKinds, { kind: 'id' }),
    {
      decode: (hex) => ObjectId.createFromHexString(hex),
      encode: (id) => id.toHexString(),
    },
  );

/** An RFC 3339 time on the wire, years 0000 to 9999 (answers are in UTC with milliseconds), a Date in MongoDB. */
export const instant = () =>
  z.codec(time(), z.date().register(storedKinds, { kind: 'instant' }), {
    decode: (text) => parseTime(text) as Date,
    encode: (date) => date.toISOString(),
  });

/** A date without a time, YYYY-MM-DD on the wire and in MongoDB: a birthday has no time zone. */
export const day = () => z.iso.date('must be a date like 2026-01-31');

/** The fields of every document besides its id and its own fields. */
export const stamps = {
  createdAt: instant(),
  updatedAt: instant(),
};

/**
 * What happens to a document when the one that it refers to is removed. `restrict`: the removal is refused. `detach`:
 * the reference becomes null or leaves its list. `cascade`: the document is removed too.
 */
export type Policy = 'restrict' | 'detach' | 'cascade';

export const references = z.registry<{ target: string; policy: Policy }>();

/**
 * A reference to a document of another resource (by name if that is defined later). References are declared nowhere
 * else.
 */
export const ref = (target: { name: string } | string, policy: Policy) =>
  objectId().register(references, { target: typeof target === 'string' ? target : target.name, policy });

/**
 * The value of a field that a stored document lacks (null, [] or undefined), because an older version or another tool
 * stored it.
 */
export const absent = (field: z.core.$ZodType): undefined | null | [] => {
  const def = field._zod.def as z.core.$ZodTypes['_zod']['def'];
  const isNullable = def.type === 'union' && def.options.some(({ _zod }) => _zod.def.type === 'null');
  return def.type === 'nullable' || isNullable ? null : def.type === 'array' ? [] : undefined;
};

/** A list of at most `max` entries without repetitions. */
export const setOf = <T extends z.ZodType>(element: T, max: number) =>
  z
    .array(element)
    .max(max)
    .superRefine((items, ctx) => {
      const seen = new Set<string>();
      for (const [index, item] of items.entries()) {
        const key = String(item);
        if (seen.has(key))
          ctx.addIssue({
            code: 'custom',
            message: 'is already in the list',
            path: [index],
            params: { code: 'repeated' },
          });
        seen.add(key);
      }
    })
    .meta({ uniqueItems: true });

/** The keys of a map. MongoDB gives `.` and `$` a meaning of their own in names. */
export const MAP_KEY = /^[^.$\x00]{1,100}$/u;

/** A map from texts to values of one kind, with at most `max` entries. */
export const mapOf = <T extends z.ZodType>(value: T, max: number) =>
  z
    .record(z.string().regex(MAP_KEY, 'must have 1 to 100 characters without . and $'), value)
    .superRefine((map, ctx) => {
      const { length } = Object.keys(map);
      if (length > max)
        ctx.addIssue({
          code: 'custom',
          message: `must have at most ${max} entries, not ${length}`,
          params: { code: 'too_big' },
        });
    })
    .meta({ maxProperties: max });
