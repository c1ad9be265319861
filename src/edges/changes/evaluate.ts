import { isDeepStrictEqual } from 'node:util';
import mongoose, { type mongo } from 'mongoose';
import { compareDecimals, isDecimal } from '../../schema/decimal.ts';
import { comparerOf as textComparerOf } from '../../mongo/collation.ts';
import type { Stored } from './commits.ts';

/**
 * Evaluates MongoDB filters in this process: exactly the operators that policies and filters of lists use, with
 * MongoDB's semantics. Any other operator is an error at start, because a condition that was decided differently than
 * in a list could reveal hidden documents.
 */

export type Predicate = (document: Stored) => boolean;
type Condition = Record<string, unknown>;
type Test = (value: unknown) => boolean;
type Compare = (a: unknown, b: unknown) => number | undefined;

/** Compiles a filter for documents whose texts compare by this collation. */
export function compile(filter: object, collation?: mongo.CollationOptions): Predicate {
  return filterOf(filter as Condition, comparerOf(collation));
}

function filterOf(filter: Condition, compare: Compare): Predicate {
  const parts = Object.entries(filter).map(([name, operand]): Predicate => {
    const several = () => (operand as Condition[]).map((one) => filterOf(one, compare));
    switch (name) {
      case '$and':
        return every(several());
      case '$or':
        return some(several());
      case '$nor':
        return not(some(several()));
      case '$expr': {
        const evaluate = expressionOf(operand, compare);
        return (document) => isTrue(evaluate({ document, item: undefined }));
      }
      default:
        if (name.startsWith('$')) throw unknown(name);
        return fieldOf(name.split('.'), operand, compare);
    }
  });
  return every(parts);
}

const every =
  (all: Predicate[]): Predicate =>
  (document) =>
    all.every((holds) => holds(document));
const some =
  (all: Predicate[]): Predicate =>
  (document) =>
    all.some((holds) => holds(document));
const not =
  (holds: Predicate): Predicate =>
  (document) =>
    !holds(document);

const unknown = (operator: string): Error =>
  new Error(
    `The feed of changes does not support conditions with ${operator}: add it to src/edges/changes/evaluate.ts.`,
  );

function fieldOf(path: string[], operand: unknown, compare: Compare): Predicate {
  if (isOperators(operand) && '$regex' in operand) {
    const letters = lettersOf(operand);
    return (document) => reaches(document, path, (value) => typeof value === 'string' && letters.test(value));
  }
  const operators = isOperators(operand) ? Object.entries(operand) : [['$eq', operand] as const];
  return every(operators.map(([operator, value]) => operatorOf(path, operator, value, compare)));
}

/** Literal characters in any case only, as the filter `contains` escapes them for MongoDB. */
function lettersOf({ $regex, $options, ...others }: Condition): RegExp {
  const escaped = String($regex);
  const isLiteral = /^(\\[^a-z0-9]|[^\\^$.*+?()[\]{}|])*$/is.test(escaped);
  if (!isLiteral || $options !== 'i' || Object.keys(others).length > 0) throw unknown('$regex');
  return new RegExp(escaped.replace(/\\(.)/gs, '$1').replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'), 'iu');
}

const isOperators = (operand: unknown): operand is Condition =>
  isPlain(operand) && Object.keys(operand).some((name) => name.startsWith('$'));

const isPlain = (value: unknown): value is Condition =>
  value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype;

function operatorOf(path: string[], operator: string, operand: unknown, compare: Compare): Predicate {
  const equals =
    (wanted: unknown): Test =>
    (value) =>
      wanted === null ? value === null || value === undefined : compare(value, wanted) === 0;
  const any =
    (test: Test): Predicate =>
    (document) =>
      reaches(document, path, test);
  const ordered = (holds: (order: number) => boolean) =>
    any((value) => {
      const order = compare(value, operand);
      return order !== undefined && holds(order);
    });
  const oneOf = () => {
    const tests = (operand as unknown[]).map(equals);
    return any((value) => tests.some((test) => test(value)));
  };
  switch (operator) {
    case '$eq':
      return any(equals(operand));
    case '$ne':
      return not(any(equals(operand)));
    case '$in':
      return oneOf();
    case '$nin':
      return not(oneOf());
    case '$gt':
      return ordered((order) => order > 0);
    case '$gte':
      return ordered((order) => order >= 0);
    case '$lt':
      return ordered((order) => order < 0);
    case '$lte':
      return ordered((order) => order <= 0);
    case '$all': {
      const wanted = (operand as unknown[]).map((one) => any(equals(one)));
      return (document) => wanted.length > 0 && wanted.every((holds) => holds(document));
    }
    case '$elemMatch': {
      const holds = filterOf(operand as Condition, compare);
      return any(
        (value) => Array.isArray(value) && value.some((item) => isPlain(item) && holds(item as Stored)),
      );
    }
    case '$not':
      return not(fieldOf(path, operand, compare));
    default:
      throw unknown(operator);
  }
}

/** Whether the values at a path pass: a single value, or for a list each element and the list itself. */
function reaches(value: unknown, [first, ...rest]: string[], test: Test): boolean {
  if (first === undefined) return test(value) || (Array.isArray(value) && value.some(test));
  if (Array.isArray(value))
    // A path goes through the objects of a list; elements that are not objects are skipped.
    return value.some((item) => isPlain(item) && reaches(item, [first, ...rest], test));
  return reaches(isPlain(value) ? value[first] : undefined, rest, test);
}

/** Values of different types are neither equal nor ordered; then the result is undefined. */
function comparerOf(collation: mongo.CollationOptions | undefined): Compare {
  const strings = textComparerOf(collation);
  if (!strings) throw unknown(`the collation ${JSON.stringify(collation)}`);
  return (a, b) => {
    if (typeof a === 'string' && typeof b === 'string') return strings(a, b);
    if (isDecimal(a) && isDecimal(b)) return compareDecimals(a, b);
    const [left, right] = [ordinal(a), ordinal(b)];
    if (left === undefined || left.type !== right?.type) return isDeepStrictEqual(a, b) ? 0 : undefined;
    if (left.value === right.value || Object.is(left.value, right.value)) return 0;
    if (left.value < right.value) return -1;
    // NaN has no order.
    return left.value > right.value ? 1 : undefined;
  };
}

/** MongoDB's ordered types, as comparable JavaScript values. */
function ordinal(value: unknown): { type: string; value: number | string } | undefined {
  if (typeof value === 'number') return { type: 'number', value };
  if (typeof value === 'bigint' || value instanceof mongoose.mongo.Long)
    return { type: 'number', value: Number(value) };
  if (isDecimal(value)) return { type: 'number', value: Number(value.toString()) };
  if (typeof value === 'boolean') return { type: 'boolean', value: Number(value) };
  if (value instanceof Date) return { type: 'date', value: value.getTime() };
  if (value instanceof mongoose.mongo.ObjectId) return { type: 'id', value: value.toHexString() };
  return undefined;
}

interface Scope {
  document: unknown;
  /** Variables of $map. */
  item: unknown;
}
type Expression = (scope: Scope) => unknown;

const isTrue = (value: unknown): boolean => Boolean(value) || value === '';

function expressionOf(expression: unknown, compare: Compare): Expression {
  if (typeof expression === 'string' && /^\$\$this(\.|$)/.test(expression)) {
    const path = expression.split('.').slice(1);
    return ({ item }) => valueAt(item, path);
  }
  if (typeof expression === 'string' && expression.startsWith('$')) {
    if (expression.startsWith('$$')) throw unknown(expression);
    const path = expression.slice(1).split('.');
    return ({ document }) => valueAt(document, path);
  }
  if (!isPlain(expression)) return () => expression;
  const [[operator, operand] = []] = Object.entries(expression);
  if (operator === '$literal') return () => operand;
  const one = () => expressionOf(Array.isArray(operand) ? operand[0] : operand, compare);
  const all = () => (operand as unknown[]).map((part) => expressionOf(part, compare));
  switch (operator) {
    case '$and': {
      const parts = all();
      return (scope) => parts.every((part) => isTrue(part(scope)));
    }
    case '$cond': {
      const [condition, yes, no] = all() as [Expression, Expression, Expression];
      return (scope) => (isTrue(condition(scope)) ? yes(scope) : no(scope));
    }
    case '$eq': {
      const [a, b] = all() as [Expression, Expression];
      return (scope) => compare(a(scope), b(scope)) === 0;
    }
    case '$gte': {
      const [a, b] = all() as [Expression, Expression];
      return (scope) => (compare(a(scope), b(scope)) ?? -1) >= 0;
    }
    case '$isArray': {
      const value = one();
      return (scope) => Array.isArray(value(scope));
    }
    case '$anyElementTrue': {
      const value = one();
      return (scope) => (value(scope) as unknown[]).some(isTrue);
    }
    case '$type': {
      const value = one();
      return (scope) => (typeof value(scope) === 'string' ? 'string' : 'another');
    }
    case '$toLower': {
      const value = one();
      return (scope) => String(value(scope)).replace(/[A-Z]/g, (letter) => letter.toLowerCase());
    }
    case '$indexOfCP': {
      const [text, part] = all() as [Expression, Expression];
      // Only presence matters, not the position in code units or code points.
      return (scope) => String(text(scope)).indexOf(String(part(scope)));
    }
    case '$map': {
      const { input, in: each } = operand as { input: unknown; in: unknown };
      const [list, made] = [expressionOf(input, compare), expressionOf(each, compare)];
      return ({ document, item }) =>
        (list({ document, item }) as unknown[]).map((item) => made({ document, item }));
    }
    default:
      throw unknown(String(operator));
  }
}

/** The value of an expression's path: through a list, the list of its values. */
const valueAt = (value: unknown, [first, ...rest]: string[]): unknown => {
  if (first === undefined) return value;
  if (Array.isArray(value))
    return value.map((item) => valueAt(item, [first, ...rest])).filter((found) => found !== undefined);
  return isPlain(value) ? valueAt(value[first], rest) : undefined;
};
