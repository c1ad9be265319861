import type { IndexDirection, Model, mongo, Types } from 'mongoose';
import { z } from 'zod';
import { instant, objectId } from './fields.ts';
import { makeModel } from './model.ts';

export type Fields = Record<string, z.ZodType>;

/** Fields as MongoDB stores them. */
export type Values<F extends Fields> = { [K in keyof F]: z.output<F[K]> };
/** Fields as they stand in JSON. */
export type Wire<F extends Fields> = { [K in keyof F]: z.input<F[K]> };
export type Stored<F extends Fields> = { _id: Types.ObjectId; createdAt: Date; updatedAt: Date } & Values<F>;

export interface Index {
  key: Record<string, IndexDirection>;
  unique?: true;
  /** Only documents in which this field has a value of this type are indexed; a unique field may so be null. */
  where?: Record<string, { $type: string }>;
}

interface Definition<F extends Fields, D extends keyof F> {
  /** The MongoDB collection, the URL's path segment and the OpenAPI tag. */
  collection: string;
  description: string;
  fields: F;
  /**
   * What a create or a replace stores for a field that it leaves out. Not `.default()` in the fields:
   * a PATCH would then reset what it does not mention.
   */
  defaults?: { [K in D]: z.output<F[K]> };
  indexes?: Index[];
  /** How its strings compare in unique indexes, filters and sorts. */
  collation?: mongo.CollationOptions;
  /** A document as answers show it. The seed stores it, so that what the documentation says can be tried. */
  example: { id: string } & Wire<F>;
}

/** One definition per resource: everything that depends on what a document looks like comes from here. */
export function resource<const F extends Fields, D extends keyof F & string = never>(
  name: string,
  { collection, description, fields, defaults, indexes = [], collation, example }: Definition<F, D>,
) {
  const stamps = {
    createdAt: instant().describe('When it was created'),
    updatedAt: instant().describe('When it was last changed'),
  };
  const optional = Object.keys(defaults ?? {}) as D[];
  const mask = Object.fromEntries(optional.map((field) => [field, true as const]));
  const writable = z.strictObject(fields);
  return {
    name,
    collection,
    description,
    fields,
    defaults: (defaults ?? {}) as { [K in D]: z.output<F[K]> },
    indexes,
    collation,
    example: { ...example, createdAt: '2026-01-31T12:00:00.000Z', updatedAt: '2026-01-31T12:00:00.000Z' },
    /** What an answer shows. */
    document: z
      .strictObject({ id: objectId().describe('Made by the server'), ...fields, ...stamps })
      .meta({ id: name, description }),
    /** What a create or a replace takes. */
    body: (writable as z.ZodObject)
      .partial(mask as Record<string, never>)
      .meta({ id: `${name}Body` }) as unknown as z.ZodObject<
      { [K in Exclude<keyof F, D>]: F[K] } & { [K in D]: z.ZodOptional<F[K]> },
      z.core.$strict
    >,
    /** What a merge patch takes. */
    patch: writable.partial().meta({ id: `${name}Patch` }),
    model: makeModel(name, collection, fields) as unknown as Model<Stored<F>>,
  };
}

export type Resource<F extends Fields, D extends keyof F & string = never> = ReturnType<
  typeof resource<F, D>
>;

/** What code that serves every resource sees of one; Mongoose's models are invariant, hence the `any`. */
export interface AnyResource {
  name: string;
  collection: string;
  description: string;
  fields: Fields;
  defaults: object;
  indexes: Index[];
  collation: mongo.CollationOptions | undefined;
  example: { id: string; createdAt: string; updatedAt: string };
  document: z.ZodObject;
  body: z.ZodObject;
  patch: z.ZodObject;
  model: Model<any>;
}

/** The resource's name in a sentence. */
export const noun = ({ name }: AnyResource): string => name.toLowerCase();
