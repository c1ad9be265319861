import type { AnyResource } from '../../schema/resource.ts';
import { QUERY_TIME } from '../../schema/model.ts';
import { resolved } from './elsewhere.ts';
import { conditionOf, type Expression, filtersIn } from './expression.ts';
import { type Filter, requireFilterable } from './filters.ts';

/** The conditions of a query, from its parameters and its expression: all of them must hold. */

/** The name of the parameter that takes an expression. */
export const EXPRESSION = 'filter';

interface Asked {
  parameter: string;
  condition: object;
}

/** Reads the conditions of a query that has been checked. Refuses filters by fields that the caller may not read. */
export function askedBy(resource: AnyResource, declared: Filter[], query: Record<string, unknown>): Asked[] {
  const used = declared.filter(({ parameter }) => query[parameter] !== undefined);
  const expression = query[EXPRESSION] as Expression | undefined;
  const within = expression ? filtersIn(expression) : [];
  requireFilterable(resource, [...used, ...within.map((filter) => ({ ...filter, parameter: EXPRESSION }))]);
  return [
    ...used.map(({ parameter, condition }) => ({ parameter, condition: condition(query[parameter]) })),
    ...(expression ? [{ parameter: EXPRESSION, condition: conditionOf(expression.tree) }] : []),
  ];
}

/** The conditions for MongoDB, after conditions on other documents have been looked up. */
export async function toConditions(asked: Asked[]): Promise<object[]> {
  const deadline = Date.now() + QUERY_TIME;
  const conditions: object[] = [];
  for (const { parameter, condition } of asked)
    conditions.push(await resolved(condition, parameter, deadline));
  return conditions;
}
