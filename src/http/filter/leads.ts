import { leadsIndex } from '../../schema/indexes.ts';
import type { AnyResource } from '../../schema/resource.ts';
import { conditionOf, type Leaf } from './expression.ts';
import type { Tree } from './grammar.ts';

/** Whether an index leads to the matches of an expression; with an `or`, to those of each branch. */

/** Operators whose matches are adjacent in an index. */
const LEADING = ['$eq', '$in', '$gt', '$gte', '$lt', '$lte', '$all'];

function leads(resource: AnyResource, condition: object): boolean {
  return Object.entries(condition).some(([name, operand]) => {
    if (name === '$and') return operand.some((part: object) => leads(resource, part));
    if (name === '$or') return operand.every((part: object) => leads(resource, part));
    const isIndexed = name === '_id' || leadsIndex(resource, name);
    return isIndexed && operatorsIn(operand).some((one) => LEADING.includes(one));
  });
}

/** A bare value means equality. */
const operatorsIn = (operand: object | null): string[] => {
  const operators = Object.keys(operand ?? {}).filter((key) => key.startsWith('$'));
  return operators.length > 0 ? operators : ['$eq'];
};

/** The branches that need a scan of the whole collection, with their positions. */
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
      message: `no index leads to this side of "${tree.kind}": not, !=, not in, contains and is not null need another condition, joined by "and"`,
    }));
}
