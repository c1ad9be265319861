import type { Types } from 'mongoose';
import { z } from 'zod';
import { visible } from './policy.ts';
import { modelOf, QUERY_TIME } from './model.ts';
import { objectId } from './fields.ts';
import { join } from './join.ts';
import { includable, isOneToOne, otherSide, reverseName } from './references.ts';
import type { AnyResource, Reference } from './resource.ts';
import { projectionOf, type Selection, show } from './selection.ts';

/** What refers to a document, shown beside it: the newest few or, by a unique reference, the one that there is, or null. */

/** How many documents are shown for each parent: the newest. */
const NEWEST = 10;

/** The members that may be added to a document's answer. */
export const referring = (resource: AnyResource): Record<string, z.ZodType> =>
  Object.fromEntries(
    includable(resource).map((reference) => [reverseName(reference), shown(reference).optional()]),
  );

const shown = (reference: Reference): z.ZodType => {
  const { from, field } = reference;
  if (isOneToOne(reference))
    return from.document
      .nullable()
      .meta({ description: `The ${from.name.toLowerCase()} that refers to it by \`${field}\`, if one does` });
  const item = withOtherSide(reference, from.document);
  return z.strictObject({ items: z.array(item), hasMore: z.boolean() }).meta({
    id: `Newest${from.name}s${otherSide(reference) ? `Of${field.charAt(0).toUpperCase()}${field.slice(1)}` : ''}`,
    description: `The newest ${NEWEST} of the ${from.collection} that refer to it`,
  });
};

/** Of a link, the document with what is on its other side in the place of the id. */
function withOtherSide(reference: Reference, document: z.ZodObject): z.ZodObject {
  const other = otherSide(reference);
  if (!other || !(other.field in document.shape)) return document;
  return document.extend({
    [other.field]: z.union([objectId(), other.target.document]).meta({
      description: `The ${other.target.name.toLowerCase()}, or its id where the caller may not see it`,
    }),
  });
}

export type Included = { _id: Types.ObjectId } & Record<string, unknown>;

/** One aggregation for all parents; inside, an index gives each of them its newest. */
export async function addReferring(
  reference: Reference,
  parents: Included[],
  selection: Selection | undefined,
): Promise<void> {
  const { from, field, target } = reference;
  const name = reverseName(reference);
  const one = isOneToOne(reference);
  const projection = projectionOf(from, selection, name);
  const seen = visible(from);
  const found = await modelOf(target)
    .aggregate<{ _id: Types.ObjectId; newest: unknown[] }>([
      { $match: { _id: { $in: parents.map(({ _id }) => _id) } } },
      {
        $lookup: {
          from: from.collection,
          localField: '_id',
          foreignField: field,
          pipeline: [
            ...(seen ? [{ $match: seen }] : []),
            { $sort: { _id: -1 } },
            { $limit: one ? 1 : NEWEST + 1 },
            ...(projection ? [{ $project: projection }] : []),
          ],
          as: 'newest',
        },
      },
      { $project: { newest: 1 } },
    ])
    .option({ maxTimeMS: QUERY_TIME });
  const byParent = new Map(found.map(({ _id, newest }) => [String(_id), newest]));
  const other = otherSide(reference);
  if (other) {
    const path = `${name}.${other.field}`;
    await modelOf(from).populate(found.flatMap(({ newest }) => newest.slice(0, NEWEST)) as never[], [
      join(other.field, other.target, path, selection),
    ]);
  }
  for (const parent of parents) {
    const all = byParent.get(String(parent._id)) ?? [];
    const items = all.slice(0, NEWEST).map((item) => show(from, selection, name, item));
    parent[name] = one ? (items[0] ?? null) : { items, hasMore: all.length > NEWEST };
  }
}
