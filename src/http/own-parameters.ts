import { z } from 'zod';
import { indexText, leadsIndex } from '../schema/indexes.ts';
import type { AnyResource } from '../schema/resource.ts';
import { isHidden } from '../schema/access.ts';
import type { Filter } from './filter/filters.ts';

/** Query parameters that a list declares itself, in addition to those derived from its fields: `overdue=true`. */

/** A parameter, and the condition that documents must meet when it is given. */
export interface OwnParameter {
  /** How the value is written in a URL: flag(), integer(), instant(), an enum, or several() of them. */
  schema: z.ZodType;
  description: string;
  /**
   * The paths that the condition looks at. One of them must lead an index, and the caller must be able to read all of
   * them.
   */
  paths: readonly string[];
  condition: (value: any) => object;
}

/** Ties the type of the condition's argument to the schema. */
export const parameter = <S extends z.ZodType<unknown, string | string[]>>(
  declared: OwnParameter & { schema: S; condition: (value: z.output<S>) => object },
): OwnParameter => declared;

/**
 * Turns the parameters into filters. Throws an Error that names all their faults; `taken` are names that are in use.
 */
export function ownFilters(
  resource: AnyResource,
  declared: Record<string, OwnParameter>,
  taken: string[],
): Filter[] {
  const faults: string[] = [];
  const made = Object.entries(declared).map(([name, { schema, description, paths, condition }]): Filter => {
    const fault = (what: string) => faults.push(`The parameter ${name} of ${resource.name} ${what}`);
    if (!/^[a-z][A-Za-z0-9]*$/.test(name)) fault('needs a name in camelCase, such as overdue or dueWithin.');
    if (taken.includes(name)) fault('has the name of another parameter.');
    if (!description) fault('lacks "description".');
    if (!isWritten(schema))
      fault(
        'has a schema that cannot be written in a URL: use flag(), integer(), an enum, text() or several().',
      );
    for (const path of paths)
      if (!resource.paths.has(path) || isHidden(resource, path))
        fault(`names ${path}, which no caller can read.`);
    if (!paths.some((path) => leadsIndex(resource, path)))
      fault(
        `has no index: none of ${paths.join(', ') || 'its paths'} leads one. Add ${indexText({ [paths[0] ?? '…']: 1, _id: 1 })}.`,
      );
    return {
      parameter: name,
      paths,
      schema: schema.meta({ ...schema.meta(), description }),
      condition: (value) => within(name, paths, condition(value)),
    };
  });
  if (faults.length > 0) throw new Error(faults.join('\n'));
  return made;
}

/** Whether its input can be a string or several, as in a URL. */
function isWritten(schema: z.core.$ZodType): boolean {
  const def = schema._zod.def as z.core.$ZodTypes['_zod']['def'];
  switch (def.type) {
    case 'string':
    case 'enum':
      return true;
    case 'literal':
      return def.values.every((value) => typeof value === 'string');
    case 'pipe':
      return isWritten(def.in);
    case 'array':
      return isWritten(def.element);
    default:
      return false;
  }
}

/**
 * Returns the condition if it looks only at the declared paths: for these it is known that the caller may read them.
 * Expressions (`$expr`), whose paths cannot be told, are refused too.
 */
function within(name: string, paths: readonly string[], condition: object): object {
  for (const [key, value] of Object.entries(condition)) {
    if (LOGICAL.includes(key)) for (const part of value as object[]) within(name, paths, part);
    else if (!paths.includes(key))
      throw new Error(
        `The condition of the parameter ${name} looks at ${key}, which is not among its paths.`,
      );
  }
  return condition;
}

const LOGICAL = ['$and', '$or', '$nor'];
