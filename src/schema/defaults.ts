/** The values of fields that a create or replace leaves out. */

type Body = Record<string, unknown>;

/** Anything with defaults. */
interface Defaulting {
  defaults: object;
}

const isMade = (value: unknown): value is (body: Body) => unknown => typeof value === 'function';

/**
 * Adds defaults for fields that the body leaves out. Functions run last, in the order of the definition: each gets the
 * body and the defaults before it. `isMeant` selects the fields.
 */
export function withDefaults(
  { defaults }: Defaulting,
  body: Body,
  isMeant: (field: string) => boolean = () => true,
): Body {
  const missing = Object.entries(defaults).filter(([field]) => body[field] === undefined && isMeant(field));
  const complete = { ...body };
  for (const [field, value] of missing) if (!isMade(value)) complete[field] = value;
  for (const [field, value] of missing) if (isMade(value)) complete[field] = value({ ...complete });
  return complete;
}

/** The defaults that are the same for every document. */
export const constantsOf = ({ defaults }: Defaulting): Body =>
  Object.fromEntries(Object.entries(defaults).filter(([, value]) => !isMade(value)));

const completed = new WeakMap<object, Body>();

/** withDefaults() for a create: the functions run once per body, even if the transaction runs again. */
export function completedOnce(defaulting: Defaulting, body: object): Body {
  const complete = completed.get(body) ?? withDefaults(defaulting, body as Body);
  completed.set(body, complete);
  return complete;
}

/** Checks the defaults of a definition. */
export const checkDefaults = (defaults: object): string[] =>
  Object.entries(defaults)
    .filter(([, value]) => isMade(value) && value.constructor.name === 'AsyncFunction')
    .map(([field]) => `defaults.${field} is an async function: defaults must be synchronous.`);
