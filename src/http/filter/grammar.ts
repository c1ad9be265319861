import { SyntaxFault, shown, type Token, tokensOf } from './tokens.ts';

/**
 * The grammar of expressions, in the spirit of AIP-160:
 *
 *     or        = xor { "or" xor }
 *     xor       = and [ "xor" and ]
 *     and       = unary { "and" unary }
 *     unary     = "not" unary | "(" or ")" | condition
 *     condition = term ( ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) value
 *                      | [ "not" ] "in" values | [ "not" ] "contains" value
 *                      | "has" ( value | ( "any" | "all" ) values ) | "is" [ "not" ] "null" | "exists" )
 *     values    = "(" value { "," value } ")"
 *     term      = path | function "(" path ")"
 *     value     = word | text
 */

export type Tree<Leaf> =
  | { kind: 'leaf'; leaf: Leaf; at: number }
  | { kind: 'and' | 'or' | 'xor'; parts: Tree<Leaf>[]; at: number }
  | { kind: 'not'; part: Tree<Leaf>; at: number };

/** A condition as written; its operator is named as in a parameter: `year[gte]`. */
export interface Condition {
  term: string;
  operator: string;
  /** Whether it looks at the elements of a list: `has`. */
  has: boolean;
  /** Missing for conditions without a value; then the operator is `exists`, and `exists` says whether it must. */
  values: Token[];
  exists?: boolean;
}

/** How deep parentheses and `not` may be nested. */
export const MAX_DEPTH = 5;
/** The most conditions of an expression; those inside `xor` count twice, because they are evaluated both ways. */
export const MAX_CONDITIONS = 30;

const COMPARISONS: Record<string, string> = {
  '=': 'eq',
  '!=': 'ne',
  '<': 'lt',
  '<=': 'lte',
  '>': 'gt',
  '>=': 'gte',
};
const OPERATORS = '=, !=, <, <=, >, >=, in, contains, has, is or exists';

/** Throws a SyntaxFault at the first token that does not fit. */
export function parse(source: string): Tree<Condition> {
  const tokens = tokensOf(source);
  let position = 0;
  let depth = 0;

  const peek = () => tokens[position] as Token;
  const next = () => tokens[position++] as Token;
  const is = (...texts: string[]) => {
    const { kind, text } = peek();
    return kind !== 'text' && texts.includes(text.toLowerCase());
  };
  const take = (text: string): boolean => is(text) && Boolean(next());
  const refuse = (expected: string): never => {
    throw new SyntaxFault(peek().at, `expected ${expected}, not ${shown(peek())}`);
  };
  const demand = (text: string, also = ''): void => {
    if (!take(text)) refuse(`${also}"${text}"`);
  };
  const deeper = <T>(read: () => T): T => {
    if (++depth > MAX_DEPTH)
      throw new SyntaxFault(peek().at, `parentheses and "not" may be nested at most ${MAX_DEPTH} deep`);
    const inner = read();
    depth--;
    return inner;
  };

  const series = (kind: 'and' | 'or', readPart: () => Tree<Condition>): Tree<Condition> => {
    const first = readPart();
    if (!is(kind)) return first;
    const parts = [first];
    while (take(kind)) parts.push(readPart());
    return { kind, parts, at: first.at };
  };
  const or = (): Tree<Condition> => series('or', xor);
  const xor = (): Tree<Condition> => {
    const first = and();
    if (!take('xor')) return first;
    const parts = [first, and()];
    if (is('xor')) refuse('parentheses around one "xor"');
    return { kind: 'xor', parts, at: first.at };
  };
  const and = (): Tree<Condition> => series('and', unary);
  const unary = (): Tree<Condition> => {
    const { at } = peek();
    if (take('not')) return { kind: 'not', part: deeper(unary), at };
    if (!take('(')) return condition();
    const inner = deeper(or);
    demand(')', '"and", "or", "xor" or ');
    return inner;
  };

  const condition = (): Tree<Condition> => {
    const { at } = peek();
    const name = term();
    const leaf = (operator: string, rest: Partial<Condition> = {}): Tree<Condition> => ({
      kind: 'leaf',
      leaf: { term: name, operator, has: false, values: [], ...rest },
      at,
    });
    const comparison = peek().kind === 'symbol' ? COMPARISONS[peek().text] : undefined;
    if (comparison) {
      next();
      return leaf(comparison, { values: [value()] });
    }
    if (take('not')) {
      if (take('in')) return leaf('nin', { values: values() });
      demand('contains', '"in" or ');
      return { kind: 'not', part: leaf('contains', { values: [value()] }), at };
    }
    if (take('in')) return leaf('in', { values: values() });
    if (take('contains')) return leaf('contains', { values: [value()] });
    if (take('has')) {
      if (take('any')) return leaf('in', { has: true, values: values() });
      if (take('all')) return leaf('all', { has: true, values: values() });
      return leaf('eq', { has: true, values: [value()] });
    }
    if (take('exists')) return leaf('exists', { exists: true });
    if (!take('is')) return refuse(OPERATORS);
    const isNot = take('not');
    demand('null', isNot ? '' : '"not" or ');
    return leaf('exists', { exists: isNot });
  };

  const term = (): string => {
    const { kind, text } = peek();
    if (kind !== 'word') return refuse('a field, "not" or "("');
    next();
    if (!take('(')) return text;
    const inner = next();
    if (inner.kind !== 'word') {
      position--;
      refuse('a field');
    }
    demand(')');
    return `${text}(${inner.text})`;
  };

  const value = (): Token => {
    const { kind } = peek();
    if (is('null')) return refuse('a value (write "is null" to test for null)');
    if ((kind !== 'word' && kind !== 'text') || is('and', 'or', 'xor', 'not')) return refuse('a value');
    return next();
  };
  const values = (): Token[] => {
    demand('(');
    const all = [value()];
    while (take(',')) all.push(value());
    demand(')', '"," or ');
    return all;
  };

  const tree = or();
  if (peek().kind !== 'end') refuse('"and", "or", "xor" or the end');
  if (countOf(tree) > MAX_CONDITIONS)
    throw new SyntaxFault(
      0,
      `an expression may have at most ${MAX_CONDITIONS} conditions; those inside "xor" count twice`,
    );
  return tree;
}

function countOf(tree: Tree<unknown>): number {
  if (tree.kind === 'leaf') return 1;
  if (tree.kind === 'not') return countOf(tree.part);
  const all = tree.parts.reduce((sum, part) => sum + countOf(part), 0);
  return tree.kind === 'xor' ? 2 * all : all;
}

export const leavesOf = <Leaf>(tree: Tree<Leaf>): { leaf: Leaf; at: number }[] =>
  tree.kind === 'leaf'
    ? [tree]
    : tree.kind === 'not'
      ? leavesOf(tree.part)
      : tree.parts.flatMap((part) => leavesOf(part));

/** The same tree with other leaves. */
export function mapLeaves<A, B>(tree: Tree<A>, change: (leaf: A, at: number) => B): Tree<B> {
  if (tree.kind === 'leaf') return { ...tree, leaf: change(tree.leaf, tree.at) };
  if (tree.kind === 'not') return { ...tree, part: mapLeaves(tree.part, change) };
  return { ...tree, parts: tree.parts.map((part) => mapLeaves(part, change)) };
}
