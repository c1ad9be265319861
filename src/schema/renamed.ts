import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import type { AccessLists } from './access.ts';
import type { Fault } from '../errors.ts';
import { type Computed, computations } from './computed.ts';
import { isObjectId } from './fields.ts';
import { type Formerly, type Formers, newest, type Renamed } from './former-values.ts';
import type { Path } from './paths.ts';

/**
 * The former names of fields on the wire. As long as a definition lists one in `renamed`, answers show the field under
 * both names and requests may use either, so that a rename does not break clients.
 */

type Values = Record<string, unknown>;

/**
 * The former names that clients may use. If the type changed, the former name cannot be written; a computed field can
 * take its place in answers.
 */
export const formerNames = (renamed: Readonly<Record<string, Renamed>>, computed: object): Formerly =>
  Object.fromEntries(
    Object.entries(renamed).flatMap(([now, former]) =>
      typeof former !== 'string' || former in computed ? [] : [[now, former]],
    ),
  );

/**
 * The fields of an answer whose former names are shown. Objects and references are not: they are renamed while no
 * server runs.
 */
export const latest = (
  fields: Record<string, z.ZodType>,
  renamed: Formers,
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

/** The fields under their former names, as answers show them. */
export const formerFields = (
  fields: Record<string, z.ZodType>,
  formerly: Formerly,
  formers: Formers,
): Record<string, Computed> =>
  Object.fromEntries(
    Object.entries(formerly).map(([now, former]) => {
      const stored = newest(now, formers[now] as Formers[string]);
      const value = (document: Values) => withoutIncluded(stored(document));
      const schema = deprecated(fields[now] as z.ZodType, now).register(computations, { compute: value });
      return [former, { from: [now, former], schema, value }];
    }),
  );

/** Only the present name can be included: under the former one an id stays an id. */
function withoutIncluded(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutIncluded);
  if (!isPlain(value) || isObjectId(value)) return value;
  if ('_id' in value) return value['_id'];
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, withoutIncluded(inner)]));
}

const isPlain = (value: unknown): value is Values =>
  value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype;

/** A field that a caller may not read is hidden under its former name too. */
export const formerReaders = (access: AccessLists, formerly: Formerly): AccessLists =>
  Object.fromEntries(
    Object.entries(access).flatMap(([path, lists]) => {
      const former = formerPath(formerly, path);
      return former && lists?.read ? [[former, { read: lists.read }]] : [];
    }),
  );

/** The same path with the former name of its field; undefined if it has none. */
export function formerPath(formerly: Formerly, path: string): string | undefined {
  const [field = '', ...rest] = path.split('.');
  const former = Object.hasOwn(formerly, field) ? formerly[field] : undefined;
  return former && [former, ...rest].join('.');
}

/** The path with the present name, plus the one with the former name if there is one. */
export const bothNames = (formerly: Formerly, path: string): string[] =>
  [path, formerPath(formerly, path) ?? []].flat();

const deprecated = (schema: z.ZodType, now: string): z.ZodType => {
  const { id, ...meta } = schema.meta() ?? {};
  return schema.meta({ ...meta, deprecated: true, description: `The former name of \`${now}\`` });
};

/**
 * Renames the fields of a body to their present names. `contested: 'kept'` leaves both if their values differ, for
 * settled() to decide.
 */
export function byEitherName(
  body: z.ZodObject,
  formerly: Formerly,
  { contested = 'refused' }: { contested?: 'refused' | 'kept' } = {},
): z.ZodType<Values, Values> {
  const { shape } = body;
  const names = Object.entries(formerly).filter(([now]) => now in shape);
  if (names.length === 0) return body as z.ZodType<Values, Values>;
  const either = names.flatMap(([now, former]): [string, z.ZodType][] => {
    const schema = shape[now] as z.ZodType;
    return [
      [now, isOptional(schema) ? schema : asked(schema, former)],
      [former, deprecated(schema, now).optional()],
    ];
  });
  const isGiven = (given: Values, name: string) => !isPlain(given) || given[name] !== undefined;
  const required = names.filter(([now]) => !isOptional(shape[now] as z.ZodType));
  const object = required.reduce<z.ZodObject>(
    (object, [now, former]) =>
      object.refine((given) => isGiven(given, now) || isGiven(given, former), {
        path: [now],
        message: 'is required',
        params: { code: 'required' },
        // Even if other fields have faults.
        when: () => true,
      }),
    z.strictObject({ ...shape, ...Object.fromEntries(either) }),
  );
  return object.meta(body.meta() ?? {}).transform((given, ctx) => {
    const { document, faults } = settled(Object.fromEntries(names), {}, given);
    if (faults.length === 0) return document;
    if (contested === 'kept') return given;
    for (const { pointer = '', code, message } of faults)
      ctx.addIssue({ code: 'custom', path: [pointer.slice(1)], message, params: { code } });
    return z.NEVER;
  }) as z.ZodType<Values, Values>;
}

const isOptional = (schema: z.ZodType): boolean => schema._zod.optin === 'optional';

const asked = (schema: z.ZodType, former: string): z.ZodType => {
  const { id, description, ...meta } = schema.meta() ?? {};
  const words = `Required, unless \`${former}\` is given`;
  return schema.optional().meta({ ...meta, description: description ? `${description}. ${words}` : words });
};

/** Whether a body has two different values of a field. */
export const isContested = (formerly: Formerly, body: Values): boolean =>
  Object.entries(formerly).some(([now, former]) => body[now] !== undefined && body[former] !== undefined);

/**
 * A document without former names. Of two different values the one that changed counts: a client that knows one name
 * sends the other back as it was read.
 */
export function settled(
  formerly: Formerly,
  before: Values,
  after: Values,
): { document: Values; faults: Fault[] } {
  const document = { ...after };
  const faults: Fault[] = [];
  for (const [now, former] of Object.entries(formerly)) {
    const value = document[former];
    delete document[former];
    if (isDeepStrictEqual(value, before[now]) || isDeepStrictEqual(value, document[now])) continue;
    if (!isDeepStrictEqual(document[now], before[now])) {
      const message = `differs from ${now}, the present name of the same field: send one of them`;
      faults.push({ in: 'body', pointer: `/${former}`, code: 'contradiction', message });
    } else if (value === undefined) delete document[now];
    else document[now] = value;
  }
  return { document, faults };
}
