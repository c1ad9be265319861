import { isDeepStrictEqual } from 'node:util';
import { WORDS } from '../../src/mongo/differences.ts';
import type { JsonSchema } from '../../src/mongo/layout.ts';

interface Rule {
  schema: JsonSchema;
  required: boolean;
}

/** Whether everything that fits one rule also fits the other; false if in doubt. */
export const isLooser = (loose: Rule, tight: Rule): boolean =>
  (tight.required || !loose.required) && allows(loose.schema, tight.schema);

const UPPER = new Set(['maximum', 'maxLength', 'maxItems']);
const LOWER = new Set(['minimum', 'minLength', 'minItems']);

function allows(loose: JsonSchema, tight: JsonSchema): boolean {
  return [...new Set([...Object.keys(loose), ...Object.keys(tight)])].every((keyword) => {
    const [a, b] = [loose[keyword], tight[keyword]];
    if (WORDS.has(keyword) || a === undefined || isDeepStrictEqual(a, b)) return true;
    if (b === undefined) return false;
    if (UPPER.has(keyword)) return a >= b;
    if (LOWER.has(keyword)) return a <= b;
    if (keyword === 'enum' || keyword === 'bsonType')
      return [b].flat().every((value: unknown) => [a].flat().includes(value));
    return keyword === 'items' && allows(a, b);
  });
}
