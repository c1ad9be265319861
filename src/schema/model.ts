import type { ObjectId } from 'bson';
import mongoose, { type Model, Schema, type SchemaDefinition } from 'mongoose';
import type { z } from 'zod';
import { loader } from '../mongo/loader.ts';
import { references } from './fields.ts';
import type { AnyResource, DocumentOf } from './resource.ts';

/**
 * The Mongoose side of a resource's fields. The set of kinds is closed: any other is an error at start,
 * because a field that Mongoose would not cast must not slip in unseen.
 */
export function toMongoose(fields: Record<string, z.core.$ZodType>): SchemaDefinition {
  return Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, schemaType(field, name)]));
}

function schemaType(schema: z.core.$ZodType, path: string): any {
  const def = schema._zod.def as z.core.$ZodTypes['_zod']['def'];
  switch (def.type) {
    case 'string':
    case 'enum':
      return { type: String };
    case 'number':
      return { type: Number };
    case 'boolean':
      return { type: Boolean };
    case 'date':
      return { type: Date };
    case 'custom':
      return { type: Schema.Types.ObjectId };
    case 'nullable':
      return schemaType(def.innerType, path);
    case 'pipe': {
      const reference = references.get(schema as z.ZodType);
      return { ...schemaType(def.out, path), ...(reference && { ref: reference.target }) };
    }
    case 'array':
      return { type: [schemaType(def.element, `${path}[]`)], default: undefined };
    case 'object':
      return { type: new Schema(toMongoose(def.shape), { _id: false, strict: 'throw' }) };
    default:
      throw new Error(`The field ${path} is of the kind "${def.type}", which has no Mongoose type.`);
  }
}

/** Longest time that MongoDB may spend on one query, in milliseconds. */
export const QUERY_TIME = 2_000;

/** What a definition becomes where there is a database: made when it is first needed, and once. */
interface Storage {
  model: Model<any>;
  load: (id: ObjectId) => Promise<any>;
}

const storages = new WeakMap<AnyResource, Storage>();

const storageOf = (resource: AnyResource): Storage => {
  const storage = storages.get(resource) ?? makeStorage(resource);
  storages.set(resource, storage);
  return storage;
};

/** The Mongoose model of a resource. */
export const modelOf = <R extends AnyResource>(resource: R): Model<DocumentOf<R>> =>
  storageOf(resource).model as Model<DocumentOf<R>>;

/**
 * The function that reads one document of a resource by its id, without a look at the policy: for documents that every
 * caller may see. Calls in the same turn of the event loop share a query.
 */
export const loaderOf = <R extends AnyResource>(
  resource: R,
): ((id: ObjectId) => Promise<DocumentOf<R> | undefined>) => storageOf(resource).load;

/** Settings that every model shares. Collections and indexes are made before the server listens, never here. */
function makeStorage({ name, collection, fields }: AnyResource): Storage {
  const schema = new Schema(toMongoose(fields), {
    collection,
    strict: 'throw',
    strictQuery: 'throw',
    timestamps: true,
    versionKey: false,
    autoIndex: false,
    autoCreate: false,
    minimize: false,
    id: false,
  });
  const model: Model<any> = mongoose.model(name, schema);
  return {
    model,
    load: loader((_id) => model.find({ _id }).maxTimeMS(QUERY_TIME).lean<{ _id: ObjectId }[]>()),
  };
}
