import type { ObjectId } from 'bson';
import mongoose, { type Model, Schema, type SchemaDefinition } from 'mongoose';
import { inOrder } from '../mongo/collected.ts';
import { loader } from '../mongo/loader.ts';
import type { Node, ValueKind } from './nodes.ts';
import type { AnyResource, DocumentOf } from './resource.ts';

/** What Mongoose casts the values of a field to. Zod has validated them: strangers are refused, not converted. */
const TYPES: Record<ValueKind, unknown> = {
  text: String,
  day: String,
  integer: Number,
  number: Number,
  boolean: Boolean,
  instant: Date,
  id: Schema.Types.ObjectId,
};

/** The Mongoose side of a resource's fields. */
const toMongoose = (fields: Record<string, Node>): SchemaDefinition =>
  Object.fromEntries(Object.entries(fields).map(([name, node]) => [name, schemaType(node)]));

function schemaType(node: Node): any {
  switch (node.kind) {
    case 'enum':
      return {
        type: { string: String, number: Number, boolean: Boolean }[typeof node.values[0] as 'string'],
      };
    case 'decimal':
      return { type: Schema.Types.Decimal128 };
    case 'list':
      return { type: [schemaType(node.element)], default: undefined };
    case 'object':
      return { type: new Schema(toMongoose(node.fields), { _id: false, strict: 'throw', minimize: false }) };
    case 'map':
    case 'union':
      return { type: Schema.Types.Mixed };
    default:
      return { type: TYPES[node.kind], ...(node.reference && { ref: node.reference.target }) };
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
function makeStorage({ name, collection, nodes }: AnyResource): Storage {
  const schema = new Schema(toMongoose(nodes), {
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
  schema.plugin(inOrder);
  // Under its own collection, a name may be taken twice: nothing looks a model up by its name.
  const model: Model<any> = mongoose.connection.model(name, schema, collection);
  return {
    model,
    load: loader((_id) => model.find({ _id }).maxTimeMS(QUERY_TIME).lean<{ _id: ObjectId }[]>()),
  };
}
