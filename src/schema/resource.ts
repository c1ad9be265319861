import type { ObjectId } from 'bson';
import type { mongo } from 'mongoose';
import { z } from 'zod';
import type { ProblemCode } from '../errors.ts';
import type { Index } from '../mongo/layout.ts';
import { answerFields, bodyFields, type FieldAccess, type Restricted, restrictionsOf } from './access.ts';
import { checkDefinition } from './definition.ts';
import { type Computed, exampleOf, shownAs } from './computed.ts';
import { absent, objectId, type Policy, stamps } from './fields.ts';
import { covers } from './grants.ts';
import { partOf } from './merge.ts';
import type { IndexOf } from './indexes.ts';
import { formersOf, type Renamed } from './former-values.ts';
import { nodesOf } from './nodes.ts';
import { type PathOf, type Paths, pathsOf } from './paths.ts';
import { type AccessPolicy, policyOf } from './policy.ts';
import { byEitherName, formerFields, formerNames, formerReaders, latest } from './renamed.ts';
import { describeRules, type Rule } from './rules.ts';

export type Fields = Record<string, z.ZodType>;

/** Fields as MongoDB stores them. */
export type Values<F extends Fields> = { [K in keyof F]: z.output<F[K]> };
/** Fields as they stand in JSON. */
export type Wire<F extends Fields> = { [K in keyof F]: z.input<F[K]> };
export type Stored<F extends Fields> = { _id: ObjectId; createdAt: Date; updatedAt: Date } & Values<F>;
/** A document of a resource as MongoDB stores it. */
export type DocumentOf<R extends AnyResource> = AnyResource extends R ? any : Stored<R['fields']>;

/** By field or by a path inside one: 'condition.before'. */
type AccessOf<F extends Fields> = { readonly [K in keyof F]?: FieldAccess } & {
  readonly [path: `${string}.${string}`]: FieldAccess;
};
/** The fields that every reader of the document sees. */
type Readable<F extends Fields, A> = {
  [K in keyof F as K extends keyof A ? (A[K] extends { read: unknown } ? never : K) : K]: F[K];
};

/** Callbacks of a folder when documents of a resource are created, changed or removed, by whatever route. */
export interface Hook {
  resource: AnyResource;
  /** The problems with which it refuses a removal. */
  problems?: ProblemCode[];
  /** Before each create, outside its transaction: runs once, also for a dry run. */
  beforeCreate?: () => Promise<void>;
  /** In the transaction that has created a document. */
  afterCreate?: (document: object) => Promise<void>;
  /** In the transaction that would change or remove a document. */
  beforeChange?: (id: ObjectId) => Promise<void>;
  /** In the transaction that would remove these documents. */
  beforeRemove?: (ids: ObjectId[]) => Promise<void>;
}

export interface Intake {
  fields: Fields;
  /** `body` is everything that the create accepts. */
  toStored: (given: Record<string, unknown>, body: Record<string, unknown>) => Promise<object>;
}

interface Definition<F extends Fields, A extends AccessOf<F>, C extends Fields> {
  /** The MongoDB collection, the URL's path segment and the OpenAPI tag. */
  collection: string;
  description: string;
  fields: F;
  /** Who may read and write single fields, where that differs from the document. */
  access?: A;
  /** Who may read, create, update and remove the documents; rights that are not given are for admins only. */
  policy?: AccessPolicy;
  /** Input of a create that is not stored as sent, and its conversion. */
  intake?: Intake;
  /**
   * The values of fields that a create or replace leaves out. Not `.default()` in the fields: a PATCH would reset
   * fields that it does not name. A function is called once per document, with the rest of the body and the defaults
   * before it.
   */
  defaults?: { [K in keyof F]?: z.output<F[K]> | ((body: Partial<Values<F>>) => z.output<F[K]>) };
  /** The former names of fields, as long as servers, documents or clients may use them: see docs/migrations.md. */
  renamed?: { readonly [K in keyof F]?: Renamed<z.output<F[K]>> };
  /** Fields of answers that are not stored. */
  computed?: { [K in keyof C]: Computed<Stored<F>, C[K]> };
  /** Rules across fields. */
  rules?: readonly Rule<Stored<F>>[];
  indexes?: readonly IndexOf<F>[];
  /**
   * Two required references that make each document a link of many to many, one per pair. The first is the side under
   * whose path it is written: ['user', 'book'] makes PUT /users/{id}/readings/{bookId}. See linked().
   */
  link?: readonly [keyof F & string, keyof F & string];
  /** The paths of the texts that `q=` searches. */
  search?: readonly PathOf<F>[];
  /** How texts compare in filters, sorts and unique indexes; ALPHABETICAL by default. */
  collation?: mongo.CollationOptions;
  /**
   * Whether its changes can be followed: MongoDB keeps the document before each change, which makes writes more
   * expensive.
   */
  changes?: boolean;
  /** A document as answers show it. The seeds store it, so that the examples of the documentation can be tried. */
  example: { id: string } & Wire<Readable<F, A>> & Partial<Wire<F>>;
}

/** One definition per resource: everything that depends on the shape of a document is derived here. */
export function resource<
  const F extends Fields,
  const A extends AccessOf<F> = Record<never, never>,
  const C extends Fields = Record<never, never>,
>(name: string, definition: Definition<F, A, C>) {
  checkDefinition(name, definition);
  const {
    collection,
    description,
    fields,
    access = {} as A,
    intake,
    defaults = {},
    renamed = {},
    computed = {} as NonNullable<typeof definition.computed>,
    rules = [],
    indexes = [],
    link,
    search = [],
    changes = false,
    example,
  } = definition;
  const absents = Object.fromEntries(
    Object.entries(fields)
      .map(([field, schema]) => [field, absent(schema)] as const)
      .filter(([, value]) => value !== undefined),
  );
  const formers = formersOf(renamed as Record<string, Renamed>);
  const formerly = formerNames(renamed as Record<string, Renamed>, computed);
  const former = formerFields(fields, formerly, formers);
  const paths = pathsOf(fields);
  const derived = Object.fromEntries([
    ...Object.entries(computed as Record<string, Computed>).map(([field, one]) => [
      field,
      shownAs(one, absents, formers),
    ]),
    ...Object.entries(former).map(([field, { schema }]) => [field, schema]),
  ]) as Fields;
  const policy = policyOf(definition.policy ?? {});
  const restrictions = restrictionsOf({ ...access, ...formerReaders(access, formerly) });
  const shown = answerFields(
    { ...latest(fields, formers, paths), ...derived },
    restrictions,
    (): Restricted => made,
    policy.owner,
  ) as Readable<F, A>;
  const optional = Object.fromEntries(Object.keys(defaults).map((field) => [field, true as const]));
  const bodyOf = (right: 'create' | 'update') => {
    const taken = bodyFields(fields, restrictions, policy, right);
    const blank = Object.fromEntries(Object.entries(optional).filter(([field]) => field in taken));
    return z.strictObject(taken).partial(blank as Record<string, never>);
  };
  const inWords = rules.length > 0 ? { description: `Rules across fields: ${describeRules(rules)}` } : {};
  const body = bodyOf('update').meta({ id: `${name}Body`, ...inWords });
  // A schema of its own only if other fields are required or optional.
  const isOther = [...restrictions.write.grants.values()].some(
    (grant) => covers(grant, policy.create) !== covers(grant, policy.update),
  );
  const creation =
    intake || isOther
      ? bodyOf('create')
          .extend(intake?.fields ?? {})
          .meta({ id: `${name}Creation`, ...inWords })
      : body;
  const document = z
    .strictObject({ id: objectId().describe('Made by the server'), ...shown, ...stamps })
    .meta({ id: name, description });
  const replacement = z
    .strictObject({ ...readOnly(document, body.shape), ...body.shape })
    .meta({ id: `${name}Replacement` });
  const made = {
    name,
    collection,
    description,
    fields: fields as F,
    /** The kinds of its fields. */
    nodes: nodesOf(fields),
    /** The same, including fields inside them, by their paths. */
    paths,
    /** The fields that every reader of the document sees. */
    readable: Object.keys(fields).filter((field) => !restrictions.read.grants.has(field)),
    policy,
    restrictions,
    intake,
    defaults: defaults as Record<string, unknown>,
    /** Values under former names. */
    renamed: formers,
    /** The former names that clients may use. */
    formerly,
    rules: rules as readonly Rule[],
    /** The values of fields that a stored document lacks. */
    absent: absents,
    computed: { ...computed, ...former } as Record<string, Computed>,
    indexes: indexes as readonly Index[],
    link: link as readonly [string, string] | undefined,
    search: search as readonly string[],
    /** The collation of each of its indexes and queries. Undefined if no index contains texts. */
    collation:
      definition.collation ?? (hasTexts(indexes as readonly Index[], paths) ? ALPHABETICAL : undefined),
    changes,
    example: {
      ...example,
      ...exampleOf(derived, storedOf(fields, example)),
      createdAt: '2026-01-31T12:00:00.000Z',
      updatedAt: '2026-01-31T12:00:00.000Z',
    },
    /** The schema of answers. */
    document,
    /** The schema of what a client may write. */
    body,
    /** The body of a replace, which may repeat read-only fields if they are unchanged. */
    replacement,
    /** The schemas of requests: create, replace and merge patch. */
    bodies: {
      create: byEitherName(creation, formerly),
      replace: byEitherName(replacement, formerly, { contested: 'kept' }),
      update: z.preprocess(
        (given) => withoutUnknownNulls(given, [...Object.keys(body.shape), ...Object.keys(former)]),
        byEitherName((partOf(body) as z.ZodObject).meta({ id: `${name}Patch`, ...inWords }), formerly),
      ) as z.ZodType<Record<string, unknown>, Record<string, unknown>>,
    },
    /** Set by connect(): its references, those of others to it, and the problems of a removal. */
    references: [] as Reference[],
    referrers: [] as Reference[],
    hooks: [] as Hook[],
  };
  return made;
}

/**
 * Alphabetical order, in which `emile` is next to `Émile` and `Ångström` after `angel`. Texts are equal only if case
 * and accents are. MongoDB uses an index only for queries with the same collation, so filters and sorts share one.
 */
const ALPHABETICAL: mongo.CollationOptions = { locale: 'en' };

const hasTexts = (indexes: readonly Index[], paths: Paths): boolean =>
  indexes.some(({ key }) =>
    Object.entries(key).some(([path, direction]) => direction !== 'text' && paths.get(path)?.kind === 'text'),
  );

const readOnly = (document: z.ZodObject, writable: Fields): Fields =>
  Object.fromEntries(
    Object.entries(document.shape as Fields)
      .filter(([field]) => !(field in writable))
      .map(([field, schema]) => [field, schema.optional().meta({ ...schema.meta(), readOnly: true })]),
  );

/** In a merge patch, null removes a member; removing a missing member does nothing (RFC 7396). */
const withoutUnknownNulls = (given: unknown, known: string[]): unknown =>
  given === null || typeof given !== 'object' || Array.isArray(given)
    ? given
    : Object.fromEntries(
        Object.entries(given).filter(([name, value]) => value !== null || known.includes(name)),
      );

/** The fields of an example as MongoDB stores them. */
const storedOf = (fields: Fields, { id, ...json }: { id: string }): Record<string, unknown> =>
  z.strictObject(fields).partial().safeParse(json).data ?? {};

/** The type of a resource for generic code. */
export type AnyResource = ReturnType<typeof resource<Fields, Record<string, FieldAccess>>>;

/** A field, at any depth, that holds ids of another resource: one, possibly null, or many. */
export interface Reference {
  from: AnyResource;
  /** Its path: `author`, `notes.author`. */
  field: string;
  /** The lists between the document and the ids, by their paths, including itself. */
  lists: string[];
  /** Whether a document may lack it: it or an object around it is nullable. */
  optional: boolean;
  target: AnyResource;
  policy: Policy;
}

/** The resource's name in a sentence. */
export const noun = ({ name }: AnyResource): string => name.toLowerCase();
