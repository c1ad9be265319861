import { isRestricted } from '../../schema/access.ts';
import { valueAt } from '../../schema/paths.ts';
import type { AnyResource } from '../../schema/resource.ts';
import { OPERATORS } from '../operators.ts';
import { expression } from './expression.ts';
import type { Filter } from './filters.ts';
import { unled } from './leads.ts';

/** The parameter `filter` of routes that show documents of a resource. */
export const filterParameter = (
  resource: AnyResource,
  declared: Filter[],
  { indexed = true }: { indexed?: boolean } = {},
) =>
  expression(declared, (tree) => (indexed ? unled(resource, tree) : []))
    .meta({
      description: 'An expression over these filters: see *Expressions* at the top',
      ...(exampleOf(resource, declared) && { example: exampleOf(resource, declared) }),
    })
    .optional();

/** An expression that matches the resource's example for every caller. */
function exampleOf(resource: AnyResource, declared: Filter[]): string | undefined {
  const conditions = declared.flatMap(({ parameter, quoted, elsewhere }) => {
    const [value] = [valueAt(resource.example, parameter)].flat();
    if (elsewhere || isRestricted(resource, parameter) || !['string', 'number'].includes(typeof value))
      return [];
    return [`${parameter} = ${quoted ? JSON.stringify(value) : String(value)}`];
  });
  return conditions.length > 0 ? conditions.slice(0, 2).join(' or ') : undefined;
}

/** Documentation of filters for people: the parameters and the expression language. */
export const FILTERS = `\
### Filters

A filter of a list is a field, with an operator in brackets unless it is equality: \`year=1961\`, \`year[gte]=1960\`.

${Object.entries(OPERATORS)
  .filter(([operator]) => operator !== 'eq')
  .map(([operator, { words }]) => `\`[${operator}]\`: ${words}`)
  .join('; ')}.

Several values are repeated (\`language[in]=en&language[in]=fr\`) or separated by commas. In a field that is a list, one
element must match; \`[all]\` requires each of the values, \`[ne]\` and \`[nin]\` that no element matches.

### Expressions

\`filter\` takes an expression over the filters of a list, beside its parameters; all of them must hold:
\`year >= 1960 and (language = "fr" or tags has any ("65f000000000000000000a01")) and not title contains "war"\`.

| write | for |
| --- | --- |
| \`year = 1961\`, \`!=\`, \`<\`, \`<=\`, \`>\`, \`>=\` | comparisons; texts are in quotes, \`"…"\` or \`'…'\`, in which \`\\\\\` stands before a quote |
| \`language in ("en", "fr")\`, \`not in\` | one of these, none of these |
| \`title contains "war"\` | part of a text, ignoring case |
| \`authors has "Homer"\`, \`has any (…)\`, \`has all (…)\` | elements of a list |
| \`year is null\`, \`is not null\` | unknown; for a list, empty |
| \`author.name = "Ann"\` | a field of the referenced document, where the list has such a filter |
| \`posts exists\` | documents that the caller may see refer to it; the name is that of the include |
| \`and\`, \`or\`, \`xor\`, \`not\`, \`( )\` | \`not\` binds strongest, then \`and\`, \`xor\`, \`or\` |

Each side of an \`or\` needs a condition that an index answers. \`not year > 1960\` also finds books without a year. At most
30 conditions, nested 5 deep, 5 of them about other documents, each with at most 1,000 matches.`;
