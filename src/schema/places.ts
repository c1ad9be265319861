import type { Reference } from './resource.ts';

/** Finds the references of a field in a document, and addresses them in an update. */

type Place = Pick<Reference, 'field' | 'lists'>;

interface Value {
  value: unknown;
  /** A JSON Pointer. */
  pointer: string;
}

/** The values in a document. Values of an unexpected type are skipped. */
export const valuesAt = (document: unknown, { field, lists }: Place): Value[] =>
  field.split('.').reduce<Value[]>(
    (found, name, i, names) => {
      const isList = lists.includes(names.slice(0, i + 1).join('.'));
      return found.flatMap(({ value, pointer }): Value[] => {
        const inner = (value as Record<string, unknown>)[name];
        const at = `${pointer}/${name}`;
        if (isList && !Array.isArray(inner)) return [];
        const values = isList
          ? (inner as unknown[]).map((value, index) => ({ value, pointer: `${at}/${index}` }))
          : [{ value: inner, pointer: at }];
        return values.filter(({ value }) => value !== null && value !== undefined);
      });
    },
    [{ value: document, pointer: '' }],
  );

/**
 * Whether its references are the entries of a list; otherwise they are members of the document or of objects in lists.
 */
export const isEntry = ({ field, lists }: Place): boolean => lists.at(-1) === field;

/**
 * The path for an update of the references that meet a condition: `notes.$[in0].author`, with array filters that
 * select the objects of a list. If they are the entries of a list, the path of that list.
 */
export function changing(place: Place, condition: object, innermost = condition) {
  const arrayFilters: Record<string, unknown>[] = [];
  const around = place.lists.filter((list) => list !== place.field);
  let path = place.field;
  for (const [i, list] of around.entries()) {
    const rest = place.field.slice(list.length);
    path = `${path.slice(0, -rest.length)}.$[in${i}]${rest}`;
    arrayFilters.push({ [`in${i}${rest}`]: i === around.length - 1 ? innermost : condition });
  }
  return { path, arrayFilters };
}
