import type { mongo } from 'mongoose';
import { isSimple, withoutDefaults } from './collation.ts';

/**
 * The layout of a database: its collections with their validators and collations, and their indexes. The same form
 * describes what the definitions want and what a database has, so that the two can be compared.
 */
export type Layout = Record<string, CollectionLayout>;

export interface CollectionLayout extends Validator {
  /** The default collation of the collection. Definitions leave it out, because it can never be changed. */
  collation?: mongo.CollationOptions;
  /** Indexes by name. */
  indexes: Record<string, IndexLayout>;
  /** Whether MongoDB keeps documents before and after each change, for the feed of changes. */
  images?: boolean;
  /** Set if MongoDB does not refuse documents that break the schema. */
  validation?: string;
  /** Set if it is a view: what it shows. */
  view?: View;
}

/** What MongoDB checks when a document is written. */
export interface Validator {
  /** The schema of a document. */
  schema?: JsonSchema;
  /** Rules across fields, by their codes. */
  rules?: Record<string, Expression>;
}

/** An aggregation expression, as JSON. */
export type Expression = Record<string, unknown>;

/** A view shows the result of a pipeline over a collection. */
export interface View {
  on: string;
  pipeline: object[];
}

/** An index for createIndexes. Its collation is explicit even if it equals the collection's. */
export type IndexLayout = { key: Record<string, unknown> } & Record<string, unknown>;

/** A schema in MongoDB's dialect of JSON Schema. */
export interface JsonSchema {
  title?: string;
  description?: string;
  bsonType?: string | string[];
  required?: string[];
  properties?: Record<string, JsonSchema>;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  enum?: unknown[];
  [keyword: string]: any;
}

/** A condition in MongoDB's query language. */
export type Filter = Record<string, unknown>;

/** Ascending, descending, or text. */
export type Direction = 1 | -1 | 'text';

/** An index as declared. */
export interface Index {
  key: Record<string, Direction>;
  unique?: true;
  /** Only documents that meet this are in the index, so unique values are unique among those. */
  where?: Filter;
  /** MongoDB removes a document this many seconds after the time in the index's field. */
  expireAfterSeconds?: number;
}

/** A collection as declared. */
export interface Collection extends Validator {
  collection: string;
  /** The collation of its indexes and of the queries that they serve. */
  collation?: mongo.CollationOptions | undefined;
  indexes: readonly Index[];
  /** Whether its changes can be followed. */
  changes?: boolean;
  /** The text fields of its full-text search. */
  search?: readonly string[];
}

/** The layout for these collections and views. */
export const layoutOf = (collections: Collection[], views: Record<string, View> = {}): Layout => ({
  ...Object.fromEntries(Object.entries(views).map(([name, view]) => [name, { view, indexes: {} }])),
  ...Object.fromEntries(
    collections.map(({ collection, collation, schema, rules, changes, indexes, search = [] }) => [
      collection,
      {
        ...(schema && { schema }),
        ...(rules && { rules }),
        ...(changes && { images: true }),
        indexes: Object.fromEntries([
          ...indexes.map((index) => [indexName(index, collation), layoutOfIndex(index, collation)]),
          ...(search.length > 0 ? [['search', layoutOfIndex({ key: textKey(search) })]] : []),
        ]),
      },
    ]),
  ),
});

/** Whether there is anything for MongoDB to check. */
export const isChecked = ({ schema, rules }: Validator): boolean =>
  schema !== undefined || rules !== undefined;

/** A validator in MongoDB's form. A rule's code is kept as a comment beside its expression. */
export const toMongo = ({ schema, rules = {} }: Validator): mongo.Document => {
  const expressions = Object.entries(rules).map(([$comment, $expr]) => ({ $expr, $comment }));
  return {
    ...(schema && { $jsonSchema: schema }),
    ...(expressions.length > 0 && { $and: expressions }),
  };
};

/** The reverse. A validator of another form is treated as an unknown schema. */
export function fromMongo(validator: mongo.Document): Validator {
  const { $jsonSchema: schema, $and: expressions = [], ...others } = validator;
  const isRule = ({ $expr, $comment, ...rest }: mongo.Document) =>
    $expr !== undefined && typeof $comment === 'string' && Object.keys(rest).length === 0;
  if (Object.keys(others).length > 0 || !expressions.every(isRule)) return { schema: { validator } };
  const rules = expressions.map(({ $expr, $comment }: mongo.Document) => [$comment, $expr]);
  return { ...(schema && { schema }), ...(rules.length > 0 && { rules: Object.fromEntries(rules) }) };
}

/** The views of a layout, by name. */
export const viewsIn = (layout: Layout): Record<string, View> =>
  Object.fromEntries(Object.entries(layout).flatMap(([name, { view }]) => (view ? [[name, view]] : [])));

/** MongoDB's default name for an index. */
export const nameOf = (key: object): string =>
  Object.entries(key)
    .map(([field, direction]) => `${field}_${direction}`)
    .join('_');

/**
 * The name of an index: `book_1`, with a filter `book_1_where_{"returnedAt":null}`, with a collation `title_1_en`. So
 * a collection can have several indexes with one key, for example those of two program versions that compare texts
 * differently. Equivalent filters give the same name.
 */
export const indexName = ({ key, where }: Index, collation?: mongo.CollationOptions): string =>
  [
    nameOf(key),
    ...(where ? ['where', JSON.stringify(ordered(where))] : []),
    ...(collation && !isSimple(collation) && !isOfText(key) ? Object.values(collation) : []),
  ].join('_');

/** Whether an index with this key is a text index, of which a collection has at most one. */
export const isOfText = (key: object): boolean => Object.values(key).includes('text');

/** A filter in canonical form, in which MongoDB compares filters. */
function ordered(filter: unknown): unknown {
  if (Array.isArray(filter)) return filter.map(ordered);
  if (filter?.constructor !== Object) return filter;
  const entries = Object.entries(filter).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const [[operator, operand] = []] = entries;
  if (entries.length === 1 && operator === '$eq') return ordered(operand);
  return Object.fromEntries(entries.map(([name, inner]) => [name, ordered(inner)]));
}

function layoutOfIndex(index: Index, collation?: mongo.CollationOptions): IndexLayout {
  const { key, unique, where, expireAfterSeconds } = index;
  return {
    key,
    ...(unique && { unique }),
    ...(where && { partialFilterExpression: where }),
    ...(expireAfterSeconds !== undefined && { expireAfterSeconds }),
    ...(collation && { collation }),
    ...(isOfText(key) && TEXT),
  };
}

const textKey = (paths: readonly string[]): Index['key'] =>
  Object.fromEntries(paths.toSorted().map((path) => [path, 'text']));

/**
 * No language, so that every word counts as written. `language_override` avoids MongoDB's default field `language`: it
 * would refuse documents with unknown languages. Text indexes support no collation.
 */
const TEXT = { default_language: 'none', language_override: '_none', collation: { locale: 'simple' } };

/** The layout of a database, or of one of its collections. */
export async function readLayout(db: mongo.Db, name?: string): Promise<Layout> {
  const layout: Layout = {};
  const found = (await db
    .listCollections(name === undefined ? {} : { name }, { nameOnly: false })
    .toArray()) as mongo.CollectionInfo[];
  for (const { name, type, options = {} } of found.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    if (name.startsWith('system.')) continue;
    if (type === 'view') {
      layout[name] = { view: { on: options['viewOn'], pipeline: options['pipeline'] }, indexes: {} };
      continue;
    }
    const { validator, validationLevel = 'strict', validationAction = 'error' } = options as Options;
    const collation = options.collation && withoutDefaults(options.collation);
    const validation = `${validationLevel} ${validationAction}`;
    const indexes = await db.collection(name).indexes();
    layout[name] = {
      ...(collation && { collation }),
      ...(validator && fromMongo(validator)),
      ...(validator && validation !== 'strict error' && { validation }),
      ...(options['changeStreamPreAndPostImages']?.enabled && { images: true }),
      indexes: Object.fromEntries(
        indexes
          .filter(({ name, key }) => name !== '_id_' && !isForSharding(key))
          .map((index) => [index.name as string, indexLayout(index)]),
      ),
    };
  }
  return layout;
}

/** Hashed indexes are ignored: they distribute a collection over shards, and no definition declares one. */
const isForSharding = (key: object): boolean => Object.values(key).includes('hashed');

type Options = { validator?: mongo.Document; validationLevel?: string; validationAction?: string };

function indexLayout(index: mongo.IndexDescriptionInfo): IndexLayout {
  const { v, name, key, weights, textIndexVersion, collation, ...options } = index as mongo.Document;
  return {
    key: weights ? readTextKey(key, weights) : key,
    ...options,
    ...(collation && { collation: withoutDefaults(collation) }),
  };
}

/** MongoDB stores `{ title: 'text' }` as `{ _fts: 'text', _ftsx: 1 }` and a weight for each field. */
const readTextKey = (key: object, weights: object): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(key).flatMap(([field, direction]) => {
      if (field === '_ftsx') return [];
      if (field !== '_fts') return [[field, direction]];
      return Object.keys(weights)
        .toSorted()
        .map((weighed) => [weighed, 'text']);
    }),
  );
