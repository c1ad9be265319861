import { z } from 'zod';
import { words } from '../../schema/words.ts';
import { didYouMean } from '../input.ts';
import type { Filter } from './filters.ts';
import { type Condition, leavesOf, mapLeaves, parse, type Tree } from './grammar.ts';
import { shown, SyntaxFault, type Token } from './tokens.ts';

/** An expression in a URL, checked against the filters of a list: its leaves are these filters, with their types. */

export interface Expression {
  source: string;
  tree: Tree<Leaf>;
}

export interface Leaf {
  filter: Filter;
  value: unknown;
}

interface Fault {
  at: number;
  code: string;
  message: string;
}

/** The most conditions on other documents; each is a query of its own. */
const MAX_ELSEWHERE = 5;
const MAX_LENGTH = 8_000;

/** The schema of a parameter that takes an expression of these filters; `check` adds further faults. */
export const expression = (declared: Filter[], check: (tree: Tree<Leaf>) => Fault[] = () => []) => {
  const known = new Map(declared.map((filter) => [filter.parameter, filter]));
  return z.codec(
    z.string().min(1, 'must have a condition').max(MAX_LENGTH, `must have at most ${MAX_LENGTH} characters`),
    z.custom<Expression>(),
    {
      decode: (source, payload) => {
        const { tree, faults } = bind(source, known, check);
        for (const { at, code, message } of faults)
          payload.issues.push({
            code: 'custom',
            input: source,
            message: `at character ${Array.from(source.slice(0, at)).length + 1}: ${message}`,
            params: { code },
          });
        return tree && faults.length === 0 ? { source, tree } : z.NEVER;
      },
      encode: ({ source }) => source,
    },
  );
};

/** The filters that an expression uses. */
export const filtersIn = ({ tree }: Expression): Filter[] => leavesOf(tree).map(({ leaf }) => leaf.filter);

/** The condition for MongoDB. There are two truth values: `not` matches everything else, null included. */
export function conditionOf(tree: Tree<Leaf>): object {
  switch (tree.kind) {
    case 'leaf':
      return tree.leaf.filter.condition(tree.leaf.value);
    case 'not':
      return { $nor: [conditionOf(tree.part)] };
    case 'xor': {
      const [a, b] = tree.parts.map(conditionOf) as [object, object];
      return { $or: [{ $and: [a, { $nor: [b] }] }, { $and: [b, { $nor: [a] }] }] };
    }
    default:
      return { [`$${tree.kind}`]: tree.parts.map(conditionOf) };
  }
}

function bind(
  source: string,
  known: Map<string, Filter>,
  check: (tree: Tree<Leaf>) => Fault[],
): { tree?: Tree<Leaf>; faults: Fault[] } {
  let written: Tree<Condition>;
  try {
    written = parse(source);
  } catch (error) {
    if (!(error instanceof SyntaxFault)) throw error;
    return { faults: [{ at: error.at, code: 'syntax', message: error.message }] };
  }
  const faults: Fault[] = [];
  const tree = mapLeaves(written, (condition, at): Leaf => {
    const leaf = leafOf(condition, at, known);
    if ('filter' in leaf) return leaf;
    faults.push(leaf);
    return undefined as never;
  });
  if (faults.length > 0) return { faults };
  const elsewhere = leavesOf(tree).filter(({ leaf }) => leaf.filter.elsewhere);
  const first = elsewhere[MAX_ELSEWHERE];
  if (first)
    faults.push({
      at: first.at,
      code: 'too_complex',
      message: `an expression may have at most ${MAX_ELSEWHERE} conditions on other documents`,
    });
  return { tree, faults: [...faults, ...check(tree)] };
}

const SYMBOLS: Record<string, string> = {
  eq: '=',
  ne: '!=',
  gt: '>',
  gte: '>=',
  lt: '<',
  lte: '<=',
  in: 'in',
  nin: 'not in',
  all: 'has all',
  contains: 'contains',
  exists: 'is null',
};

function leafOf(
  { term, operator, has, values, exists }: Condition,
  at: number,
  known: Map<string, Filter>,
): Leaf | Fault {
  const operators = Object.keys(SYMBOLS).filter((one) => known.has(parameterOf(term, one)));
  if (operators.length === 0) {
    const names = [...new Set([...known.keys()].map((parameter) => parameter.replace(/\[\w+\]$/, '')))];
    const guess = didYouMean(term, names);
    return {
      at,
      code: 'unknown_field',
      message: `${shown({ kind: 'word', text: term, at })} is not one of ${names.join(', ')}${guess}`,
    };
  }
  const filter = known.get(parameterOf(term, operator));
  if (!filter || (has && !operators.includes('all'))) {
    const takes = operators.map((one) => SYMBOLS[one]).join(', ');
    return {
      at,
      code: 'unknown_operator',
      message: `${term} takes ${takes}; not ${has ? 'has' : SYMBOLS[operator]}`,
    };
  }
  return valued(term, filter, exists === undefined ? values : [String(exists)], at);
}

const parameterOf = (term: string, operator: string): string =>
  operator === 'eq' ? term : `${term}[${operator}]`;

/**
 * Checks a value as the parameter of the same filter does. Texts must be in quotes; numbers, times and enum values
 * need none.
 */
function valued(term: string, filter: Filter, values: (Token | string)[], at: number): Leaf | Fault {
  const isList = filter.schema instanceof z.ZodArray;
  const texts = values.map((value) => (typeof value === 'string' ? value : value.text));
  const placeOf = (value: Token | string | undefined) => (typeof value === 'object' ? value.at : at);
  const result = filter.schema.safeParse(isList ? texts : texts[0], { error: words });
  if (!result.success) {
    const [issue] = result.error.issues as [z.core.$ZodIssue];
    const index = isList ? Number(issue.path[0] ?? 0) : 0;
    return { at: placeOf(values[index]), code: 'invalid_value', message: `${term} ${issue.message}` };
  }
  const bare = filter.quoted && values.find((value) => typeof value === 'object' && value.kind === 'word');
  if (bare)
    return {
      at: placeOf(bare),
      code: 'unquoted',
      message: `expected a text in quotes: ${JSON.stringify((bare as Token).text)}`,
    };
  return { filter, value: result.data };
}
