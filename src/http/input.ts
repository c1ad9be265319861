import { closest, distance } from 'fastest-levenshtein';
import type { z } from 'zod';
import { ENOUGH_FAULTS, type Fault, Problem } from '../errors.ts';
import { words } from '../schema/words.ts';
import { lists as separations } from './query.ts';

/** Checks a request against a route's schemas, and reports every fault with its place. */

type Parsed<T> = { data: T; faults?: undefined } | { data?: undefined; faults: Fault[] };

/**
 * Compiles a route's query parameters into a function that reads them from a URL. A repeated parameter is refused,
 * because it would be ambiguous. Lists are accepted in every form that clients send: `a=1,2`, `a=1%2C2`, `a=1&a=2`,
 * `a[]=1&a[]=2`.
 */
export function queryReader(schema: z.ZodObject): (querystring: string) => Parsed<unknown> {
  const known = Object.keys(schema.shape);
  const lists = new Map(
    known.flatMap((name) => {
      const list = listOf(schema.shape[name]);
      return list ? [[name, separations.get(list)?.keepsCommas ?? false] as const] : [];
    }),
  );
  const read = (querystring: string): Parsed<unknown> => {
    const values: Record<string, string | string[]> = Object.create(null);
    const listed = new Map<string, string[]>();
    const faults: Fault[] = [];
    for (const pair of querystring.split('&').filter(Boolean)) {
      const [rawName, raw] = split(pair);
      const given = decode(rawName);
      const name = lists.has(given) ? given : given.replace(/\[\]$/, '');
      const keepsCommas = lists.get(name);
      if (keepsCommas !== undefined) {
        const list = listed.get(name) ?? [];
        listed.set(name, list);
        list.push(...splitList(raw, keepsCommas));
        continue;
      }
      if (given in values) faults.push(inQuery(given, 'repeated_parameter', 'is repeated'));
      values[given] = decode(raw);
    }
    // `a=` is an empty list, not a list of one empty text.
    for (const [name, list] of listed) values[name] = list.join('') === '' ? [] : list;
    const result = schema.safeParse(values, { error: words });
    if (!result.success)
      faults.push(...enough(result.error.issues, (issue) => queryFaults(issue, values, known)));
    return faults.length > 0 ? { faults } : { data: result.data };
  };
  let empty: Parsed<unknown> | undefined;
  return (querystring) => (querystring === '' ? (empty ??= read('')) : read(querystring));
}

/** Faults are expensive to make and easy to provoke: no more are made than the answer lists. */
function enough<T>(issues: T[], faultsOf: (issue: T) => Fault[]): Fault[] {
  const faults: Fault[] = [];
  for (const issue of issues) {
    if (faults.length >= ENOUGH_FAULTS) break;
    faults.push(...faultsOf(issue));
  }
  return faults;
}

/** A plain comma always separates values; an escaped one may be part of a value, if values can contain commas. */
const splitList = (raw: string, keepsCommas: boolean): string[] =>
  keepsCommas ? raw.split(',').map(decode) : decode(raw).split(',');

const queryFaults = (issue: z.core.$ZodIssue, values: unknown, known: string[]): Fault[] =>
  issue.code === 'unrecognized_keys'
    ? issue.keys
        .slice(0, ENOUGH_FAULTS)
        .map((name) =>
          inQuery(
            name,
            'unknown_parameter',
            `is not a parameter of this operation${didYouMean(name, known)}`,
          ),
        )
    : [inQuery(String(issue.path[0]), codeOf(issue, values), issue.message)];

const inQuery = (parameter: string, code: string, message: string): Fault => ({
  in: 'query',
  parameter,
  code,
  message,
});

const listOf = (schema: z.core.$ZodType | undefined): z.ZodType | undefined => {
  const def = schema?._zod.def as z.core.$ZodTypes['_zod']['def'] | undefined;
  if (def?.type === 'optional') return listOf(def.innerType);
  return def?.type === 'array' ? (schema as z.ZodType) : undefined;
};

const split = (pair: string): [string, string] => {
  const at = pair.indexOf('=');
  return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
};

const decode = (text: string): string => {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw new Problem('malformed_query', 'The query string has an invalid percent-encoding.');
  }
};

export function checkBody<B extends z.ZodType>(schema: B, body: unknown): Parsed<z.output<B>> {
  const result = schema.safeParse(body, { error: words });
  if (result.success) return { data: result.data };
  return { faults: bodyFaults(result.error, schema, body) };
}

/** Zod's issues as faults with JSON Pointers. */
export const bodyFaults = (error: z.core.$ZodError, schema: z.ZodType, body: unknown): Fault[] =>
  enough(firstCauses(error.issues), (issue) => {
    if (issue.code !== 'unrecognized_keys') {
      const code = codeOf(issue, body);
      return [
        {
          in: 'body' as const,
          pointer: pointer(issue.path),
          code,
          message: code === 'required' ? 'is required' : issue.message,
        },
      ];
    }
    const known = issue.path.length === 0 ? membersOf(schema) : [];
    return issue.keys.slice(0, ENOUGH_FAULTS).map((name) => ({
      in: 'body' as const,
      pointer: pointer([...issue.path, name]),
      code: 'unknown_field',
      message: `is not a writable field${didYouMean(name, known)}`,
    }));
  });

const membersOf = (schema: z.core.$ZodType): string[] => {
  const def = schema._zod.def as z.core.$ZodTypes['_zod']['def'];
  if (def.type === 'object') return Object.keys(def.shape);
  return def.type === 'pipe' ? [...membersOf(def.in), ...membersOf(def.out)] : [];
};

/** Zod also checks the length of a string in place of a list: only its wrong type is reported. */
const firstCauses = (issues: z.core.$ZodIssue[]): z.core.$ZodIssue[] => {
  const mistyped = new Set(
    issues.filter(({ code }) => code === 'invalid_type').map(({ path }) => pointer(path)),
  );
  return issues.filter(({ code, path }) => code === 'invalid_type' || !mistyped.has(pointer(path)));
};

/** RFC 6901. */
const pointer = (path: PropertyKey[]): string =>
  path.map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');

const WRONG_KINDS = ['invalid_type', 'invalid_value', 'invalid_union'];

const codeOf = (issue: z.core.$ZodIssue, input: unknown): string => {
  if (issue.code === 'custom') return (issue.params?.code as string | undefined) ?? 'invalid';
  // A missing value is the first fault to fix, whatever its type should be.
  return WRONG_KINDS.includes(issue.code) && at(input, issue.path) === undefined ? 'required' : issue.code;
};

const at = (input: unknown, path: PropertyKey[]): unknown =>
  path.reduce((value, key) => (value as Record<PropertyKey, unknown> | null | undefined)?.[key], input);

export const didYouMean = (name: string, known: string[]): string => {
  // The comparison takes time proportional to the product of the lengths; long names are not typing errors.
  if (known.length === 0 || name.length > 100) return '';
  const guess = closest(name, known);
  return distance(name, guess) * 2 < name.length ? `; did you mean ${guess}?` : '';
};
