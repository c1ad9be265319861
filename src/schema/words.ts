import type { z } from 'zod';

/**
 * Error messages for values whose schema has none of its own, passed to Zod with each parse. The subject of each
 * sentence is the field.
 */
export const words: z.core.$ZodErrorMap = (issue) => {
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${TYPES[issue.expected] ?? `of the type ${issue.expected}`}, not ${kindOf(issue.input)}`;
    case 'invalid_value':
      return issue.values.length === 1
        ? `must be ${JSON.stringify(issue.values[0])}`
        : `must be one of ${issue.values.map(String).join(', ')}`;
    case 'too_small':
      return bound(issue.origin, issue.inclusive === false ? 'more than' : 'at least', Number(issue.minimum));
    case 'too_big':
      return bound(issue.origin, issue.inclusive === false ? 'less than' : 'at most', Number(issue.maximum));
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}`;
    case 'invalid_format':
      return issue.format === 'regex'
        ? `must match ${issue.pattern}`
        : `must be ${FORMATS[issue.format] ?? `a valid ${issue.format}`}`;
    case 'invalid_union':
      return 'matches none of the allowed forms';
    case 'unrecognized_keys':
      return `has unknown members: ${issue.keys.join(', ')}`;
    case 'invalid_key':
      return 'has an invalid key';
    case 'invalid_element':
      return 'has an invalid entry';
    default:
      return 'is not valid';
  }
};

const TYPES: Record<string, string> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
  null: 'null',
  date: 'a time',
};

const FORMATS: Record<string, string> = {
  email: 'an e-mail address',
  url: 'a URL',
  datetime: 'a time like 2026-01-31T12:00:00Z',
  date: 'a day like 2026-01-31',
  uuid: 'a UUID',
};

const kindOf = (value: unknown): string => {
  if (value === null || value === undefined) return 'null';
  if (Array.isArray(value)) return 'a list';
  // JSON.parse reads 1e400 as Infinity, which Zod takes for no number.
  if (value === Infinity || value === -Infinity) return 'one beyond 1.8e308';
  return TYPES[typeof value] ?? 'this';
};

const UNITS: Record<string, [one: string, many: string]> = {
  string: ['character', 'characters'],
  array: ['entry', 'entries'],
  set: ['entry', 'entries'],
  object: ['member', 'members'],
  file: ['byte', 'bytes'],
};

function bound(origin: string, comparison: string, limit: number): string {
  const unit = UNITS[origin];
  if (!unit) return `must be ${comparison} ${origin === 'date' ? new Date(limit).toISOString() : limit}`;
  return `must have ${comparison} ${limit} ${unit[limit === 1 ? 0 : 1]}`;
}
