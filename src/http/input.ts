import { closest, distance } from 'fastest-levenshtein';
import type { z } from 'zod';
import { ENOUGH_FAULTS, type Fault, Problem } from '../errors.ts';
import { words } from '../schema/words.ts';
import { lists as separations } from './query.ts';

/** What a request says, checked against a route's schemas; every fault of it with its place. */

type Parsed<T> = { data: T; faults?: undefined } | { data?: undefined; faults: Fault[] };

/**
 * Compiles a route's query parameters into the function that reads them from a URL. A parameter may stand once: of two
 * values nobody could say which was meant. A list may be written in every way that clients write lists: `a=1,2`,
 * `a=1%2C2`, `a=1&a=2`, `a[]=1&a[]=2`.
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
      if (given in values) faults.push(inQuery(given, 'repeated_parameter', 'stands more than once'));
      values[given] = decode(raw);
    }
    // `a=` is no list of one empty text, but a list without values.
    for (const [name, list] of listed) values[name] = list.join('') === '' ? [] : list;
    const result = schema.safeParse(values, { error: words });
    if (!result.success)
      faults.push(...enough(result.error.issues, (issue) => queryFaults(issue, values, known)));
    return faults.length > 0 ? { faults } : { data: result.data };
  };
  let empty: Parsed<unknown> | undefined;
  return (querystring) => (querystring === '' ? (empty ??= read('')) : read(querystring));
}

/** Faults are expensive to make and cheap to provoke: no more are made than the answer names. */
function enough<T>(issues: T[], faultsOf: (issue: T) => Fault[]): Fault[] {
  const faults: Fault[] = [];
  for (const issue of issues) {
    if (faults.length >= ENOUGH_FAULTS) break;
    faults.push(...faultsOf(issue));
  }
  return faults;
}

/** A comma always separates values; one that is escaped may be a part of a value, if values can have commas. */
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
    throw new Problem(
      'malformed_query',
      'The query string has a % that is not followed by the digits of UTF-8.',
    );
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
      message: `is not a field that can be written${didYouMean(name, known)}`,
    }));
  });

const membersOf = (schema: z.core.$ZodType): string[] => {
  const def = schema._zod.def as z.core.$ZodTypes['_zod']['def'];
  if (def.type === 'object') return Object.keys(def.shape);
  return def.type === 'pipe' ? [...membersOf(def.in), ...membersOf(def.out)] : [];
};

/** Zod counts the characters of a string that stands where a list belongs: only its type is the fault. */
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
  // A value that is missing is the first fault to mend, whatever it should have been.
  return WRONG_KINDS.includes(issue.code) && at(input, issue.path) === undefined ? 'required' : issue.code;
};

const at = (input: unknown, path: PropertyKey[]): unknown =>
  path.reduce((value, key) => (value as Record<PropertyKey, unknown> | null | undefined)?.[key], input);

export const didYouMean = (name: string, known: string[]): string => {
  // Comparing costs the product of the lengths, and nobody mistypes a name of a hundred letters.
  if (known.length === 0 || name.length > 100) return '';
  const guess = closest(name, known);
  return distance(name, guess) * 2 < name.length ? `; did you mean ${guess}?` : '';
};
