import { isRestricted } from '../../schema/access.ts';
import { valueAt } from '../../schema/paths.ts';
import type { AnyResource } from '../../schema/resource.ts';
import { OPERATORS } from '../operators.ts';
import { expression } from './expression.ts';
import type { Filter } from './filters.ts';
import { unled } from './leads.ts';

/** The parameter `filter` of what shows documents of a resource. */
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

/** One that finds the example of the resource, whoever asks. */
function exampleOf(resource: AnyResource, declared: Filter[]): string | undefined {
  const conditions = declared.flatMap(({ parameter, quoted, elsewhere }) => {
    const [value] = [valueAt(resource.example, parameter)].flat();
    if (elsewhere || isRestricted(resource, parameter) || !['string', 'number'].includes(typeof value))
      return [];
    return [`${parameter} = ${quoted ? JSON.stringify(value) : String(value)}`];
  });
  return conditions.length > 0 ? conditions.slice(0, 2).join(' or ') : undefined;
}

/** How filters are written, for people: the parameters, and the language of expressions. */
export const FILTERS = `\
### Filters

A filter of a list is a field, with an operator in brackets unless it is equality: \`year=1961\`, \`year[gte]=1960\`.

${Object.entries(OPERATORS)
  .filter(([operator]) => operator !== 'eq')
  .map(([operator, { words }]) => `\`[${operator}]\`: ${words}`)
  .join('; ')}.

A list has several values, by repetition (\`language[in]=en&language[in]=fr\`) or commas. Of a field that is a list, one
element must fit; \`[all]\` asks for each of the values, \`[ne]\` and \`[nin]\` for no element that fits.

### Expressions

\`filter\` takes an expression over the filters of a list, beside its parameters; all of them must hold:
\`year >= 1960 and (language = "fr" or tags has any ("65f000000000000000000a01")) and not title contains "war"\`.

| write | for |
| --- | --- |
| \`year = 1961\`, \`!=\`, \`<\`, \`<=\`, \`>\`, \`>=\` | comparisons; texts are in quotes, \`"…"\` or \`'…'\`, in which \`\\\\\` stands before a quote |
| \`language in ("en", "fr")\`, \`not in\` | one of these, none of these |
| \`title contains "war"\` | letters in a text, whatever their case |
| \`authors has "Homer"\`, \`has any (…)\`, \`has all (…)\` | elements of a list |
| \`year is null\`, \`is not null\` | what is unknown; of a list, that it is empty |
| \`author.name = "Ann"\` | a field of what is referred to, where the list has such a filter |
| \`posts exists\` | that documents which the caller may see refer to it, by the name that they are included by |
| \`and\`, \`or\`, \`xor\`, \`not\`, \`( )\` | \`not\` binds strongest, then \`and\`, \`xor\`, \`or\` |

Each side of an \`or\` needs a condition that an index leads to. \`not year > 1960\` also finds what has no year. At most
30 conditions, nested 5 deep, 5 of them about other documents, each met by at most 1,000 of these.`;
