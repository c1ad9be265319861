import mongoose, { type Model, type mongo, Schema, type SchemaDefinition } from 'mongoose';
import { inOrder } from '../mongo/collected.ts';
import { type Bytes, queryMethods } from './json/read.ts';
import { memoized } from './memoized.ts';
import type { Node, ValueKind } from './nodes.ts';
import type { AnyResource, DocumentOf } from './resource.ts';

/** Mongoose's types for fields. Zod has validated the values: other types are refused, not converted. */
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

export { QUERY_TIME } from '../mongo/times.ts';

/**
 * A condition for reading documents in the order of their ids. The index of `_id` has the collection's collation, and
 * MongoDB uses it under another one only if the compared ids cannot be texts.
 */
export const BY_ID = { _id: { $gte: new mongoose.Types.ObjectId('0'.repeat(24)) } };

/** Reading all documents in that order compares nothing: use the index's own collation. */
export const OF_THE_COLLECTION = undefined as unknown as mongo.CollationOptions;

/** The Mongoose model of a resource; its queries can end in JSON: see Bytes. */
export const modelOf = <R extends AnyResource>(resource: R): Model<DocumentOf<R>, Bytes> =>
  models(resource) as unknown as Model<DocumentOf<R>, Bytes>;

/** Created on first use. Settings are the same for all; collections and indexes are made before the server listens. */
const models = memoized(({ name, collection, nodes, collation }: AnyResource): Model<any> => {
  const schema: Schema = new Schema(toMongoose(nodes), {
    collection,
    ...(collation && { collation }),
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
  Object.assign(schema.query, queryMethods);
  // Named after its collection; two resources may share a name, and nothing looks a model up by name.
  return mongoose.connection.model(name, schema, collection) as Model<any>;
});
