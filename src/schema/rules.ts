import { isDeepStrictEqual } from 'node:util';
import { type Fault, invalid, type Problem } from '../errors.ts';
import { expressionsBroken } from '../mongo/failures.ts';
import type { Expression } from '../mongo/layout.ts';
import { checkExpression } from './expressions.ts';
import { noField, type Paths } from './paths.ts';

/**
 * Rules across fields: what no field can say by itself. A rule holds for every document that the API stores, whatever
 * has changed it.
 */
export interface Rule<D = any> {
  /** Names the rule to programs, as the code of the faults: `returned_before_lent`. Part of the API. */
  code: string;
  /** The fields that are at fault where it is broken, by their paths. */
  fields: readonly string[];
  /** What is wrong, with one of the fields as the subject: 'must not be before lentAt'. */
  message: string;
  /** Whether a document, as MongoDB stores it, keeps the rule. Depends on nothing but the document. */
  check: (document: D) => boolean;
  /**
   * The same as an expression of MongoDB's aggregation framework. It becomes part of the collection's validator, so that
   * the rule also holds for documents that other tools write.
   */
  expression?: Expression;
}

/** What has rules. */
interface Ruled {
  rules: readonly Rule[];
  /** What stands for fields that a document lacks. */
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

/** The same refusal, where it was MongoDB that refused; undefined for any other error. */
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

/** What is wrong with the rules of a definition, which has these paths. */
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
      ...(code && !CODE.test(code) ? [`${where}.code is small letters, digits and _: due_before_lent.`] : []),
      ...(code && codes.indexOf(code) < i ? [`${where}.code is that of another rule.`] : []),
      ...lost.map((path) => `${noField(`${where}.fields names`, path, paths)}.`),
      ...(expression
        ? checkExpression(expression, paths).map((fault) => `${where}.expression ${fault}`)
        : []),
    ];
  });
}

const CODE = /^[a-z][a-z0-9_]*$/;

/** Whether the example keeps the rules: the documentation shows it, and a check that cannot take it takes nothing. */
export function checkExample(rules: readonly Rule[], example: object): string[] {
  return rules.flatMap(({ code, check }) => {
    try {
      return check(example) ? [] : [`example breaks the rule ${code}.`];
    } catch (error) {
      return [`The rule ${code} cannot check the example: ${(error as Error).message}`];
    }
  });
}
