import type { mongo } from 'mongoose';
import { isSimple, withoutDefaults } from './collation.ts';

/**
 * How a database is laid out: its collections, with what MongoDB checks and how strings compare in them, and their
 * indexes. One form for what the definitions want and for what a database has, so that the two can be compared.
 */
export type Layout = Record<string, CollectionLayout>;

export interface CollectionLayout extends Validator {
  /** How texts compare where neither a query nor an index says so. Definitions leave it out: it can never be changed. */
  collation?: mongo.CollationOptions;
  /** By name. */
  indexes: Record<string, IndexLayout>;
  /** Whether MongoDB keeps what documents were before and after each change, for those who follow its changes. */
  images?: boolean;
  /** Set where MongoDB does not refuse what breaks the schema. */
  validation?: string;
  /** What it shows, if it is a view. */
  view?: View;
}

/** What MongoDB checks whenever a document is written. */
export interface Validator {
  /** What a document must be like. */
  schema?: JsonSchema;
  /** What must hold across its fields, by the code of the rule. */
  rules?: Record<string, Expression>;
}

/** An expression of MongoDB's aggregation framework, as JSON. */
export type Expression = Record<string, unknown>;

/** A view shows what a pipeline makes of a collection. */
export interface View {
  on: string;
  pipeline: object[];
}

/** An index as createIndexes takes it. Its collation stands in it even if its collection has the same. */
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

/** A condition as MongoDB's queries have it. */
export type Filter = Record<string, unknown>;

/** Ascending, descending, or the words of texts. */
export type Direction = 1 | -1 | 'text';

/** An index as a definition declares it. */
export interface Index {
  key: Record<string, Direction>;
  unique?: true;
  /** Only documents that meet this are in it: values are unique among those. */
  where?: Filter;
  /** MongoDB removes a document so many seconds after the time in the index's field. */
  expireAfterSeconds?: number;
}

/** A collection as a definition declares it. */
export interface Collection extends Validator {
  collection: string;
  /** How its indexes, and the queries that they serve, compare texts. */
  collation?: mongo.CollationOptions | undefined;
  indexes: readonly Index[];
  /** Whether its changes can be followed. */
  changes?: boolean;
  /** Text fields that a full-text search looks into. */
  search?: readonly string[];
}

/** The layout that declared collections and views want. */
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

/** Whether there is anything that MongoDB checks. */
export const isChecked = ({ schema, rules }: Validator): boolean =>
  schema !== undefined || rules !== undefined;

/** A validator as MongoDB takes it. A rule's code stands beside its expression as a comment. */
export const toMongo = ({ schema, rules = {} }: Validator): mongo.Document => {
  const expressions = Object.entries(rules).map(([$comment, $expr]) => ({ $expr, $comment }));
  return {
    ...(schema && { $jsonSchema: schema }),
    ...(expressions.length > 0 && { $and: expressions }),
  };
};

/** The same back. One that somebody has made otherwise is no validator of ours, and so a schema that none is. */
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

/** The name that MongoDB gives an index. */
export const nameOf = (key: object): string =>
  Object.entries(key)
    .map(([field, direction]) => `${field}_${direction}`)
    .join('_');

/**
 * The name of an index: `book_1`, with a filter `book_1_where_{"returnedAt":null}`, with a collation `title_1_en`. A
 * collection can have several indexes with one key: those of two versions of the program, for instance, that compare
 * texts differently. Of two filters that say the same it is the same.
 */
export const indexName = ({ key, where }: Index, collation?: mongo.CollationOptions): string =>
  [
    nameOf(key),
    ...(where ? ['where', JSON.stringify(ordered(where))] : []),
    ...(collation && !isSimple(collation) && !isOfText(key) ? Object.values(collation) : []),
  ].join('_');

/** Whether an index with this key is one of texts, of which a collection has one at most. */
export const isOfText = (key: object): boolean => Object.values(key).includes('text');

/** A filter in the one of its forms that MongoDB compares. */
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
 * No language, so that every word counts as it stands, and none is taken from the document: MongoDB would read its
 * field `language`, and refuse a document whose language it does not know. It knows no collation either.
 */
const TEXT = { default_language: 'none', language_override: '_none', collation: { locale: 'simple' } };

/** The layout that a database has; with a name, that of one collection. */
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

/** A definition declares no hashed index: it is there to distribute the collection over shards. */
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
