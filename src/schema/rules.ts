import { type Fault, invalid } from '../errors.ts';

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

export const faultsOf = (broken: Rule[]): Fault[] =>
  broken.flatMap(({ code, fields, message }) =>
    fields.map((path) => ({ in: 'body' as const, pointer: `/${path.replaceAll('.', '/')}`, code, message })),
  );

/** The rules in words, for OpenAPI. */
export const describeRules = (rules: readonly Rule[]): string =>
  rules.map(({ code, fields, message }) => `\`${code}\`: ${fields.join(', ')} ${message}.`).join(' ');

const PARTS = ['code', 'fields', 'message', 'check'] as const;

/** What is wrong with the rules of a definition, which has these paths. */
export function checkRules(rules: readonly Partial<Rule>[], paths: string[] | undefined): string[] {
  const codes = rules.map(({ code }) => code);
  return rules.flatMap((rule, i) => {
    const where = `rules[${i}]`;
    const missing = PARTS.filter((part) => !rule[part] || (part === 'fields' && rule.fields?.length === 0));
    const unknown = Object.keys(rule).filter((part) => !PARTS.some((known) => known === part));
    const lost = paths ? (rule.fields ?? []).filter((path) => !paths.includes(path)) : [];
    return [
      ...lost.map(
        (path) => `${where}.fields names "${path}", which is no field; there are ${paths?.join(', ')}.`,
      ),
      ...missing.map((part) => `${where} lacks "${part}".`),
      ...unknown.map((part) => `${where} has no part "${part}"; there are ${PARTS.join(', ')}.`),
      ...(rule.code && !/^[a-z][a-z0-9_]*$/.test(rule.code)
        ? [`${where}.code is small letters, digits and _, as due_before_lent is.`]
        : []),
      ...(rule.code && codes.indexOf(rule.code) < i ? [`${where}.code is that of another rule.`] : []),
    ];
  });
}

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
