import { capital } from './capital.ts';
import type { Types } from 'mongoose';
import { z } from 'zod';
import { keyIn, keyOf, MAX_BYTES } from '../mongo/documents.ts';
import { visible } from './policy.ts';
import { modelOf, QUERY_TIME } from './model.ts';
import { objectId } from './fields.ts';
import { join } from './join.ts';
import { valueOf } from './json/elements.ts';
import * as out from './json/output.ts';
import { type Addition, asAddition } from './json/view.ts';
import { writerOf } from './json/writer.ts';
import { memoized } from './memoized.ts';
import { includable, isOneToOne, otherSide, reverseName } from './references.ts';
import type { AnyResource, Reference } from './resource.ts';
import { chosenAt, projectionOf, type Selection } from './selection.ts';

/** Documents that refer to a document, included in it: the newest few or, for a unique reference, the one or null. */

/** How many documents are included per parent: the newest. */
const NEWEST = 10;

/** The members that can be added to a document's answer. */
export const referringShapes = (resource: AnyResource): Record<string, z.ZodType> =>
  Object.fromEntries(
    includable(resource).map((reference) => [
      reverseName(reference),
      asAddition(shapeOfNewest(reference).optional()),
    ]),
  );

const shapeOfNewest = (reference: Reference): z.ZodType => {
  const { from, field } = reference;
  if (isOneToOne(reference))
    return from.document
      .nullable()
      .meta({ description: `The ${from.name.toLowerCase()} that refers to it by \`${field}\`, or null` });
  const item = withOtherSide(reference, from.document);
  return z.strictObject({ items: z.array(item), hasMore: z.boolean() }).meta({
    id: `Newest${from.name}s${otherSide(reference) ? `Of${capital(field)}` : ''}`,
    description: `The newest ${NEWEST} of the ${from.collection} that refer to it`,
  });
};

/** For a link, the document with its other side included. */
function withOtherSide(reference: Reference, document: z.ZodObject): z.ZodObject {
  const other = otherSide(reference);
  if (!other || !(other.field in document.shape)) return document;
  return document.extend({
    [other.field]: z.union([objectId(), other.target.document]).meta({
      description: `The ${other.target.name.toLowerCase()}, or its id if the caller may not see it`,
    }),
  });
}

interface Newest {
  _id: unknown;
  newest: { _id: Types.ObjectId; size: number }[];
}

/**
 * Writes the documents that refer to these by a reference: one aggregation finds the newest of each, then the
 * documents are read by their ids. Together they are limited to MAX_BYTES: the older ones of each document are left
 * out first, and `hasMore` says so.
 */
export async function referring(
  reference: Reference,
  parents: unknown[],
  selection: Selection | undefined,
): Promise<Addition> {
  const { from, field, target } = reference;
  const name = reverseName(reference);
  const one = isOneToOne(reference);
  const projection = projectionOf(from, selection, name);
  const seen = visible(from);
  const found = await modelOf(target)
    .aggregate<Newest>([
      { $match: { _id: { $in: parents } } },
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
            { $project: { size: { $bsonSize: '$$ROOT' } } },
          ],
          as: 'newest',
        },
      },
      { $project: { newest: 1 } },
    ])
    // The referring resource's collation, that of the index that finds the newest.
    .option({ maxTimeMS: QUERY_TIME, collation: from.collation ?? { locale: 'simple' } });
  const fitting = fit(found);
  const other = otherSide(reference);
  const joins = other ? [join(other.field, other.target, `${name}.${other.field}`, selection)] : [];
  const { rows } = await modelOf(from)
    .find(seen ?? {}, projection)
    .maxTimeMS(QUERY_TIME)
    .populate(joins)
    .bytes(
      { write: writers(reference), shown: (at) => chosenAt(selection, at === '' ? name : `${name}.${at}`) },
      [...fitting.values()].flat(),
    );
  const texts = new Map(rows.map(({ stored, json }) => [keyIn(stored), json]));
  const shown = new Map(
    found.map(({ _id, newest }) => {
      const items = (fitting.get(String(_id)) ?? []).flatMap((id) => texts.get(keyOf(id)) ?? []);
      return [String(_id), { items, hasMore: newest.length > items.length }];
    }),
  );
  return (bytes, at) => {
    const { items, hasMore } = shown.get(String(valueOf(bytes, at, '_id'))) ?? { items: [], hasMore: false };
    if (one) out.raw(items[0] ?? NULL);
    else {
      out.json('{"items":[');
      for (const [i, item] of items.entries()) {
        if (i > 0) out.json(',');
        out.raw(item);
      }
      out.json(`],"hasMore":${hasMore}}`);
    }
    return true;
  };
}

const writers = memoized((reference: Reference) =>
  writerOf(withOtherSide(reference, reference.from.document)),
);

const NULL = Buffer.from('null');

/** The newest of each document, as many as MAX_BYTES allow: first one each, then a second, and so on. */
function fit(found: Newest[]): Map<string, Types.ObjectId[]> {
  const fitting = new Map<string, Types.ObjectId[]>();
  let bytes = 0;
  for (let rank = 0; rank < NEWEST; rank++)
    for (const { _id, newest } of found) {
      const next = newest[rank];
      const before = fitting.get(String(_id)) ?? [];
      if (!next || before.length < rank || bytes + next.size > MAX_BYTES) continue;
      bytes += next.size;
      fitting.set(String(_id), [...before, next._id]);
    }
  return fitting;
}
