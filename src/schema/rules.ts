import { isDeepStrictEqual } from 'node:util';
import { type Fault, invalid, type Problem } from '../errors.ts';
import { expressionsBroken } from '../mongo/failures.ts';
import type { Expression } from '../mongo/layout.ts';
import { checkExpression } from './expressions.ts';
import { noField, type Paths } from './paths.ts';

/** Rules across fields. A rule holds for every document that the API stores, whatever request changed it. */
export interface Rule<D = any> {
  /** Identifies the rule to programs, as the code of its faults: `returned_before_lent`. Part of the API. */
  code: string;
  /** The paths of the fields at fault when it is broken. */
  fields: readonly string[];
  /** The error message, with a field as its subject: 'must not be before lentAt'. */
  message: string;
  /** Whether a document, as MongoDB stores it, keeps the rule. Must depend on the document alone. */
  check: (document: D) => boolean;
  /**
   * The same rule as an aggregation expression for the collection's validator, so that it also holds for documents
   * that other tools write.
   */
  expression?: Expression;
}

/** Anything with rules. */
interface Ruled {
  rules: readonly Rule[];
  /** The values of fields that a document lacks. */
  absent: object;
}

/** The rules that a document breaks. */
export const brokenRules = ({ rules, absent }: Ruled, document: object): Rule[] =>
  rules.filter(({ check }) => !check({ ...absent, ...document }));

/** Refuses a document that breaks rules: 422, with a fault for each field of each of them. */
export function requireRules(ruled: Ruled, document: object): void {
  const broken = brokenRules(ruled, document);
  if (broken.length > 0) throw invalid(faultsOf(broken));
}

/** The same refusal if MongoDB's validator refused; undefined for any other error. */
export function refusedByRules({ rules }: Ruled, error: unknown): Problem | undefined {
  const expressions = expressionsBroken(error);
  const broken = rules.filter(({ expression }) =>
    expressions.some((one) => isDeepStrictEqual(one, expression)),
  );
  return broken.length > 0 ? invalid(faultsOf(broken)) : undefined;
}

/** The expressions that MongoDB checks, by the codes of the rules; undefined if there are none. */
export function expressionsOf(rules: readonly Rule[]): Record<string, Expression> | undefined {
  const entries = rules.flatMap(({ code, expression }) => (expression ? [[code, expression] as const] : []));
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}

export const faultsOf = (broken: Rule[]): Fault[] =>
  broken.flatMap(({ code, fields, message }) =>
    fields.map((path) => ({ in: 'body' as const, pointer: `/${path.replaceAll('.', '/')}`, code, message })),
  );

/** The rules in words, for OpenAPI. */
export const describeRules = (rules: readonly Rule[]): string =>
  rules.map(({ code, fields, message }) => `\`${code}\`: ${fields.join(', ')} ${message}.`).join(' ');

const REQUIRED = ['code', 'fields', 'message', 'check'] as const;
const PARTS = [...REQUIRED, 'expression'];

/** Checks the rules of a definition with these paths. */
export function checkRules(rules: readonly Partial<Rule>[], paths: Paths): string[] {
  const codes = rules.map(({ code }) => code);
  return rules.flatMap((rule, i) => {
    const where = `rules[${i}]`;
    const { code, fields = [], expression } = rule;
    const missing = REQUIRED.filter((part) => !rule[part] || (part === 'fields' && fields.length === 0));
    const unknown = Object.keys(rule).filter((part) => !PARTS.includes(part));
    const lost = fields.filter((path) => !paths.has(path));
    return [
      ...missing.map((part) => `${where} lacks "${part}".`),
      ...unknown.map((part) => `${where} has no part "${part}"; there are ${PARTS.join(', ')}.`),
      ...(code && !CODE.test(code)
        ? [`${where}.code must consist of lower-case letters, digits and _: due_before_lent.`]
        : []),
      ...(code && codes.indexOf(code) < i ? [`${where}.code is already used by another rule.`] : []),
      ...lost.map((path) => `${noField(`${where}.fields names`, path, paths)}.`),
      ...(expression
        ? checkExpression(expression, paths).map((fault) => `${where}.expression ${fault}`)
        : []),
    ];
  });
}

const CODE = /^[a-z][a-z0-9_]*$/;

/**
 * Whether the example keeps the rules. The documentation shows it, and a check that fails on it would refuse
 * everything.
 */
export function checkExample(rules: readonly Rule[], example: object): string[] {
  return rules.flatMap(({ code, check }) => {
    try {
      return check(example) ? [] : [`example breaks the rule ${code}.`];
    } catch (error) {
      return [`The rule ${code} cannot check the example: ${(error as Error).message}`];
    }
  });
}
