import type { PopulateOptions } from 'mongoose';
import { z } from 'zod';
import { isHidden } from './access.ts';
import { etagOf } from './etag.ts';
import { modelOf } from './model.ts';
import { mapShape, rebuilt } from './parts.ts';
import { includable, reverseName } from './references.ts';
import { type AnyResource, noun, type Reference } from './resource.ts';
import { join } from './join.ts';
import { addReferring, type Included, referring } from './reverse.ts';
import { type Selection, show, showsTag } from './selection.ts';

/**
 * Joins: `include=author,books.tags` puts documents where their ids stand (forward), `include=posts` adds those
 * that refer to a document (reverse.ts). However many documents a page has, each path costs one query.
 */

/** Every path that can be included: references, the references of what they lead to, and who refers here. */
export const includePaths = (resource: AnyResource): string[] => [
  ...resource.references.flatMap(({ field, target }) => [
    field,
    ...target.references.map((next) => `${field}.${next.field}`),
  ]),
  ...includable(resource).map(reverseName),
];

/** The answer's schema where anything may be included. */
export function expanded(resource: AnyResource): z.ZodObject {
  return z
    .strictObject({
      ...forward(resource, nested).shape,
      ...referring(resource),
      etag: z.string().optional().describe('Its strong entity tag, for If-Match, if `fields` names it'),
    })
    .meta({ id: `${resource.name}Expanded`, description: `${resource.description}, with what was included` });
}

/** One level down only the references can be included. */
const nested = (resource: AnyResource): z.ZodObject =>
  resource.references.length === 0
    ? resource.document
    : forward(resource, ({ document }) => document).meta({ id: `${resource.name}Nested` });

/** A document in which other documents may stand where their ids do, at any depth. */
function forward(resource: AnyResource, document: (target: AnyResource) => z.ZodObject): z.ZodObject {
  const shown = resource.references.filter(({ field }) => !isHidden(resource, field));
  const at =
    (path: string) =>
    (schema: z.ZodType, name: string): z.ZodType => {
      const here = path + name;
      const inside = shown.filter(({ field }) => field === here || field.startsWith(`${here}.`));
      if (inside.length === 0) return schema;
      const { target } = inside[0] as Reference;
      const description = `The id, or the ${noun(target)} if it is included`;
      return rebuilt(
        schema,
        (object) => z.strictObject(mapShape(object, at(`${here}.`))),
        (id) => z.union([id, document(target)]).meta({ description }),
      );
    };
  return z.strictObject(mapShape(resource.document, at('')));
}

/** Adds what these paths lead to to documents as MongoDB stores them. */
export async function include(
  resource: AnyResource,
  documents: Included[],
  paths: string[] = [],
  selection?: Selection,
): Promise<void> {
  if (documents.length === 0) return;
  for (const document of documents) {
    // Not what another tool may have stored by this name.
    document['etag'] = showsTag(selection) ? etagOf(resource, document) : undefined;
    show(resource, selection, '', document);
  }
  const joins = resource.references
    .map((reference) => populateOptions(reference, paths, selection))
    .filter((options) => options !== undefined);
  if (joins.length > 0) await modelOf(resource).populate(documents, joins);
  for (const reference of includable(resource))
    if (paths.includes(reverseName(reference))) await addReferring(reference, documents, selection);
}

function populateOptions(
  { field, target }: Reference,
  paths: string[],
  selection: Selection | undefined,
): PopulateOptions | undefined {
  const deeper = target.references.filter((next) => paths.includes(`${field}.${next.field}`));
  if (deeper.length === 0 && !paths.includes(field)) return undefined;
  return {
    ...join(field, target, field, selection),
    populate: deeper.map((next) => join(next.field, next.target, `${field}.${next.field}`, selection)),
  };
}
