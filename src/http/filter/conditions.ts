import type { AnyResource } from '../../schema/resource.ts';
import { QUERY_TIME } from '../../schema/model.ts';
import { resolved } from './elsewhere.ts';
import { conditionOf, type Expression, filtersIn } from './expression.ts';
import { type Filter, requireFilterable } from './filters.ts';

/** What a query asks of documents, by its parameters and by its expression: all of it must hold. */

/** The name of the parameter that takes an expression. */
export const EXPRESSION = 'filter';

interface Asked {
  parameter: string;
  condition: object;
}

/** Of a query that has been checked. Refuses to filter by what the caller does not see. */
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

/** MongoDB's conditions, after what they ask of other documents has been looked up. */
export async function toConditions(asked: Asked[]): Promise<object[]> {
  const deadline = Date.now() + QUERY_TIME;
  const conditions: object[] = [];
  for (const { parameter, condition } of asked)
    conditions.push(await resolved(condition, parameter, deadline));
  return conditions;
}
