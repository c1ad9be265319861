/** What is stored for fields that a create or a replace leaves out. */

type Body = Record<string, unknown>;

/** What has defaults. */
interface Defaulting {
  defaults: object;
}

const isMade = (value: unknown): value is (body: Body) => unknown => typeof value === 'function';

/**
 * The body with defaults for what it leaves out. Functions come last, in the order of the definition: each sees the body
 * and the defaults before its own. `isMeant` says which fields get theirs.
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

/** The same as withDefaults() for a create, whose transaction may run again: the functions run once for a body. */
export function completedOnce(defaulting: Defaulting, body: object): Body {
  const complete = completed.get(body) ?? withDefaults(defaulting, body as Body);
  completed.set(body, complete);
  return complete;
}

/** What is wrong with the defaults of a definition. */
export const checkDefaults = (defaults: object): string[] =>
  Object.entries(defaults)
    .filter(([, value]) => isMade(value) && value.constructor.name === 'AsyncFunction')
    .map(([field]) => `defaults.${field} is an async function: a default is made without waiting.`);
