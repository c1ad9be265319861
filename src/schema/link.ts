import type { ObjectId } from 'bson';
import { forbidden, invalid, notFound, Problem } from '../errors.ts';
import type { Showing } from './include.ts';
import type { Row } from './json/read.ts';
import { modelOf, QUERY_TIME } from './model.ts';
import { requireCreatable, restrict, visible, writable } from './policy.ts';
import { sidesOf } from './references.ts';
import { type AnyResource, noun } from './resource.ts';
import * as store from './store.ts';
import * as writes from './writes.ts';

/** Links by their pairs: `{ user, book }` identifies at most one reading. Writes run inside transaction(). */

export type Pair = Record<string, ObjectId>;
type Stored = { _id: ObjectId } & Record<string, unknown>;

const find = (resource: AnyResource, condition: Pair): Promise<Stored | null> =>
  modelOf(resource).findOne(condition).maxTimeMS(QUERY_TIME).lean<Stored>();

/** As JSON, in the shape that a client has chosen. */
export async function readAs(
  resource: AnyResource,
  pair: Pair,
  { projection, joins, answer }: Showing,
): Promise<Row> {
  const { rows } = await modelOf(resource)
    .find(restrict(pair, visible(resource)), projection)
    .limit(1)
    .maxTimeMS(QUERY_TIME)
    .populate(joins)
    .bytes(answer);
  return rows[0] ?? missing();
}

/**
 * Finds the link of a pair, if there is one. Refuses callers who may neither change nor create it: whether somebody
 * else's pair is linked must not be revealed.
 */
export async function findWritable(
  resource: AnyResource,
  pair: Pair,
  right: 'update' | 'remove' = 'update',
): Promise<Stored | undefined> {
  const found = await find(resource, restrict(pair, writable(resource, right)) as Pair);
  if (found) return found;
  if (await find(resource, restrict(pair, visible(resource)) as Pair))
    throw forbidden(`This ${noun(resource)} belongs to another user.`);
  requireCreatable(resource, pair);
  return undefined;
}

/** Links a pair, or replaces its link; says which. */
export async function put(
  resource: AnyResource,
  pair: Pair,
  body: Record<string, unknown>,
): Promise<{ link: Stored; isNew: boolean }> {
  const fields = withoutSides(pair, body);
  const found = await findWritable(resource, pair);
  if (found) return { link: await writes.replace(resource, found._id, fields), isNew: false };
  refuseReadOnly(resource, fields);
  try {
    return { link: await writes.create(resource, { ...fields, ...pair }), isNew: true };
  } catch (error) {
    // The path named them.
    if (error instanceof Problem && error.code === 'reference_not_found' && isOfSides(resource, error))
      throw notFound();
    throw error;
  }
}

/** Removes a link, if there is one. */
export async function remove(resource: AnyResource, pair: Pair): Promise<void> {
  const found = await findWritable(resource, pair, 'remove');
  if (found) return store.remove(resource, found._id);
  const [side] = sidesOf(resource);
  await store.requireVisible(side.target, pair[side.field] as ObjectId);
}

/** The body without the sides of the link, which it may repeat. */
function withoutSides(pair: Pair, body: Record<string, unknown>) {
  const others = Object.keys(pair).filter(
    (side) => body[side] !== undefined && !pair[side]?.equals(body[side] as ObjectId),
  );
  if (others.length > 0)
    throw invalid(
      others.map((side) => ({
        in: 'body',
        pointer: `/${side}`,
        code: 'read_only',
        message: 'is set by the path: leave it out, or send the same id',
      })),
    );
  return Object.fromEntries(Object.entries(body).filter(([field]) => !(field in pair)));
}

/** A link that was removed does not come back with its former id and times. */
function refuseReadOnly(resource: AnyResource, fields: object): void {
  const faults = Object.keys(fields)
    .filter((field) => !(field in resource.body.shape))
    .map((field) => ({
      in: 'body' as const,
      pointer: `/${field}`,
      code: 'read_only',
      message: 'cannot be written in a new link: leave it out',
    }));
  if (faults.length > 0) throw invalid(faults);
}

const missing = (): never => {
  throw notFound();
};

const isOfSides = ({ link = [] as never }: AnyResource, { members }: Problem): boolean =>
  (members['errors'] as { pointer: string }[]).every(({ pointer }) => link.includes(pointer.slice(1)));
