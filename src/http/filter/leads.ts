import { leadsIndex } from '../../schema/indexes.ts';
import type { AnyResource } from '../../schema/resource.ts';
import { conditionOf, type Leaf } from './expression.ts';
import type { Tree } from './grammar.ts';

/** Whether an index leads to what an expression asks for: with an `or`, to each of its branches. */

/** Operators whose matches lie together in an index. */
const LEADING = ['$eq', '$in', '$gt', '$gte', '$lt', '$lte', '$all'];

function leads(resource: AnyResource, condition: object): boolean {
  return Object.entries(condition).some(([name, operand]) => {
    if (name === '$and') return operand.some((part: object) => leads(resource, part));
    if (name === '$or') return operand.every((part: object) => leads(resource, part));
    const isIndexed = name === '_id' || leadsIndex(resource, name);
    return isIndexed && operatorsIn(operand).some((one) => LEADING.includes(one));
  });
}

/** A value without an operator is one to be equal to. */
const operatorsIn = (operand: object | null): string[] => {
  const operators = Object.keys(operand ?? {}).filter((key) => key.startsWith('$'));
  return operators.length > 0 ? operators : ['$eq'];
};

/** The branches that MongoDB could find only by reading everything, with their places. */
export function unled(
  resource: AnyResource,
  tree: Tree<Leaf>,
): { at: number; code: string; message: string }[] {
  if (tree.kind === 'leaf' || tree.kind === 'not' || leads(resource, conditionOf(tree))) return [];
  if (tree.kind === 'and') return tree.parts.flatMap((part) => unled(resource, part));
  return tree.parts
    .filter((part) => !leads(resource, conditionOf(part)))
    .map(({ at }) => ({
      at,
      code: 'needs_index',
      message: `no index leads to this side of "${tree.kind}": not, !=, not in, contains and is not null need another condition beside them, by "and"`,
    }));
}
