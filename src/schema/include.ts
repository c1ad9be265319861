import type { PopulateOptions } from 'mongoose';
import { z } from 'zod';
import { isHidden } from './access.ts';
import { strong } from './etag.ts';
import { valueOf } from './json/elements.ts';
import * as out from './json/output.ts';
import type { Answer } from './json/read.ts';
import { type Addition, asAddition } from './json/view.ts';
import { type DocumentWriter, writerOf } from './json/writer.ts';
import { mapShape, rebuilt } from './parts.ts';
import { includable, reverseName } from './references.ts';
import { type AnyResource, noun, type Reference } from './resource.ts';
import { join } from './join.ts';
import { referring, referringShapes } from './reverse.ts';
import { chosenAt, projectionOf, type Selection, selectionOf, showsTag } from './selection.ts';

/**
 * Joins: `include=author,books.tags` replaces ids by documents (forward), `include=posts` adds the documents that
 * refer to this one (reverse.ts). Each path costs one query per page, however many documents the page has.
 */

/** Every path that can be included: references, references of the referenced documents, and referrers. */
export const includePaths = (resource: AnyResource): string[] => [
  ...resource.references.flatMap(({ field, target }) => [
    field,
    ...target.references.map((next) => `${field}.${next.field}`),
  ]),
  ...includable(resource).map(reverseName),
];

/** The answer's schema in which anything may be included. */
export function expanded(resource: AnyResource): z.ZodObject {
  return z
    .strictObject({
      ...forward(resource, nested).shape,
      ...referringShapes(resource),
      etag: asAddition(
        z.string().optional().describe('Its strong entity tag, for If-Match, if `fields` requests it'),
      ),
    })
    .meta({
      id: `${resource.name}Expanded`,
      description: `${resource.description}, with the requested includes`,
    });
}

/** One level down, only references can be included. */
const nested = (resource: AnyResource): z.ZodObject =>
  resource.references.length === 0
    ? resource.document
    : forward(resource, ({ document }) => document).meta({ id: `${resource.name}Nested` });

/** A document in which ids may be replaced by documents, at any depth. */
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

/** How documents of a resource are read and shown. */
export interface Showing {
  /** The projection for MongoDB; undefined means whole documents. */
  projection: Record<string, 1> | undefined;
  /** For Mongoose's populate(). */
  joins: PopulateOptions[];
  /** For bytes(). */
  answer: Answer;
}

/** What a client asks for: its `fields` and `include`. */
export interface Asked {
  fields?: string[];
  include?: string[];
}

/** Compiles how documents of a resource are shown. `always` are includes that need not be requested. */
export function showing(resource: AnyResource, always: string[] = []): (asked: Asked) => Showing {
  const write = whenNeeded(() => writerOf(expanded(resource)));
  const writeTag = tagWriter(whenNeeded(() => writerOf(resource.document)));
  const show = ({ fields, include = [] }: Asked): Showing => {
    const selection = selectionOf(resource, fields, include);
    const paths = [...always, ...include];
    const reverse = includable(resource).filter((reference) => paths.includes(reverseName(reference)));
    const add = async (documents: Buffer[]): Promise<Map<string, Addition>> => {
      const added = new Map<string, Addition>(showsTag(selection) ? [['etag', writeTag]] : []);
      const ids = documents.map((document) => valueOf(document, 0, '_id'));
      const writers = await Promise.all(reverse.map((reference) => referring(reference, ids, selection)));
      for (const [i, reference] of reverse.entries())
        added.set(reverseName(reference), writers[i] as Addition);
      return added;
    };
    return {
      projection: projectionOf(resource, selection),
      joins: resource.references.flatMap((reference) => joinOf(reference, paths, selection) ?? []),
      answer: {
        write,
        shown: (at) => chosenAt(selection, at),
        ...((showsTag(selection) || reverse.length > 0) && { add }),
      },
    };
  };
  let whole: Showing | undefined;
  return (asked) => (asked.fields || asked.include ? show(asked) : (whole ??= show({})));
}

/** Compiled when the first document is shown, so that it does not slow down the start. */
function whenNeeded(compile: () => DocumentWriter): DocumentWriter {
  let write: DocumentWriter | undefined;
  return (...document) => {
    write ??= compile();
    write(...document);
  };
}

/** Writes the strong entity tag of a stored document: see etagOf(). */
const tagWriter =
  (write: DocumentWriter): Addition =>
  (bytes, at) => {
    const mark = out.written();
    write(bytes, at, {});
    out.json(JSON.stringify(strong(out.take(mark))));
    return true;
  };

function joinOf(
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
