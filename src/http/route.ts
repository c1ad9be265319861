import type { Context } from 'koa';
import type { Types } from 'mongoose';
import { z } from 'zod';
import type { Access } from '../schema/policy.ts';
import type { Problem, ProblemCode } from '../errors.ts';
import { objectId } from '../schema/fields.ts';
import type { Limit } from './limits.ts';
import type { Filter } from './filter/filters.ts';
import { flag } from './query.ts';
import type { Target } from '../schema/references.ts';
import type { AnyResource } from '../schema/resource.ts';

type Parameters = z.ZodObject;
type None = z.ZodObject<Record<never, never>, z.core.$strict>;

/** What a handler returns for an answer's schema: ids and times as MongoDB stores them, `_id` for `id`. */
export type StoredAs<T> = T extends Types.ObjectId | Date
  ? T
  : T extends readonly (infer U)[]
    ? StoredAs<U>[]
    : T extends { id: Types.ObjectId }
      ? { _id: Types.ObjectId } & { [K in keyof Omit<T, 'id'>]: StoredAs<T[K]> }
      : T extends object
        ? { [K in keyof T]: StoredAs<T[K]> }
        : T;

export const JSON_TYPE = 'application/json';
export const FORM_TYPE = 'application/x-www-form-urlencoded';

export interface Body<B extends z.ZodType> {
  schema: B;
  /** Bytes at most; 100 KiB unless told. */
  limit?: number;
  /** Media types that are taken; JSON unless told. */
  types?: string[];
  /** What Swagger UI sends at the first Execute. */
  example: z.input<B>;
}

export interface Answer<A extends z.ZodType> {
  status: 200 | 201 | 204;
  /** It may also be 201: where the handler answers with `Created`. */
  creates?: true;
  description: string;
  /** Without one the answer has no body. */
  schema?: A;
  example?: z.input<A>;
  headers?: Record<string, Header<StoredAs<z.output<A>>>>;
  /** The strong entity tag of what the handler has answered with; without one, and if it gives none, a GET has a weak one. */
  etag?: (stored: any, query: any) => string | undefined;
}

/** What a handler answers with that has written the body itself. */
export class Json {
  readonly text: Buffer;
  constructor(text: Buffer) {
    this.text = text;
  }
}

/** What a handler answers with where the document was not there before. */
export class Created<T> {
  readonly document: T;
  constructor(document: T) {
    this.document = document;
  }
}

interface Header<S> {
  description: string;
  example: string;
  /** It does not always stand there; then `value` gives undefined. */
  optional?: true;
  value: (stored: S, request: { path: string; querystring: string }) => string | undefined;
}

/** What a handler gets: the validated parts of a request. */
type Input = { params: any; query: any; body: any };

/** The answer in one media type, sent by a function of its own: a stream, or anything else that is not made at once. */
export interface Form {
  /** The value of the parameter `format` that asks for it, whatever Accept says. */
  format?: string;
  /** What OpenAPI says of it; JSON is described by `answer`. */
  schema?: z.ZodType;
  send: (ctx: Context, input: Input) => void | Promise<void>;
}

/** Which documents it shows, and by what they can be filtered. */
interface Listed {
  resource: AnyResource;
  filters: Filter[];
}

/**
 * One route: everything that the router, the validation, the answer and OpenAPI need to know of it.
 * The handler takes validated input and returns a value; a refusal is a thrown Problem.
 */
export interface Definition<
  P extends Parameters,
  Q extends Parameters,
  B extends z.ZodType,
  A extends z.ZodType,
  I = z.output<B>,
> {
  method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  /** As OpenAPI writes it: /books/{id}. */
  path: string;
  operationId: string;
  tag: string;
  summary: string;
  description: string;
  /** Who gets in. */
  policy: Access;
  /** What it answers must be kept by nobody: no cache, no record of an Idempotency-Key. */
  secret?: true;
  /**
   * The resource of which `{id}` names a document. If-Match and If-None-Match are then compared with that document,
   * inside the transaction; a write without it refuses them.
   */
  about?: AnyResource;
  /** How that document is found, where `{id}` is another's; undefined, if it is not there and the caller could make it. */
  current?: (params: any) => Promise<object | undefined>;
  /** Path parameters. One that does not fit its schema is answered with 404. */
  params?: P;
  /** Query parameters, each decoded from one string. */
  query?: Q;
  body?: Body<B>;
  /** What is taken in another media type. */
  alternative?: Body<z.ZodType>;
  answer: Answer<A>;
  /** Forms of the answer beside JSON, by media type; one for JSON takes the place of the handler. */
  forms?: Record<string, Form>;
  /** Serves a client that asks for a WebSocket. Other routes answer it as if it had not asked. */
  socket?: Form['send'];
  /** OpenAPI declares the filters of a resource once: at its list, if it has one. */
  lists?: Listed;
  /** MongoDB may have to read whole collections for it: it gets one of the few places for that. */
  expensive?: true;
  /** Documents that a write will come to refer to; see transaction(). */
  holds?: (input: { params: z.output<P>; body: z.output<B> }) => Target[];
  /** Its handler does nothing but create, so that it may share a transaction with others: see together(). */
  shares?: true;
  /** Makes of the body what the handler gets, before the transaction: what takes long and need be done once. */
  prepare?: (input: { body: z.output<B> }) => Promise<I>;
  /** Limits beside the general one, for what is dear or must not be guessed. */
  limits?: Limit<z.output<B>>[];
  /** What it refuses with, beside what follows from its input. */
  problems?: ProblemCode[];
  /** Its refusals are worded as clients of OAuth 2 read them. */
  oauth?: true;
  /** It may return a Problem instead of throwing it: then what it wrote stays. */
  handler: (input: {
    params: z.output<P>;
    query: z.output<Q>;
    body: I;
  }) => Promise<StoredAs<z.output<A>> | Created<StoredAs<z.output<A>>> | Json | Problem | void>;
}

export type Route = Definition<any, any, any, any, any>;

/** Checks a route's parts against each other and forgets their types, so that routes of all kinds make one list. */
export const route = <
  P extends Parameters = None,
  Q extends Parameters = None,
  B extends z.ZodType = z.ZodUndefined,
  A extends z.ZodType = z.ZodUndefined,
  I = z.output<B>,
>(
  definition: Definition<P, Q, B, A, I>,
): Route => definition;

/** The path parameter `id` of a resource's items. */
export const byId = (resource: AnyResource, example = resource.example.id) =>
  z.strictObject({ id: objectId().meta({ description: 'Its id', example }) });

/** Whether it is the list of a resource: GET /books. */
export const isList = ({ lists, path }: Route): boolean =>
  lists !== undefined && path === `/${lists.resource.collection}`;

/** Every write is one transaction; see endpoint(). */
export const writes = ({ method }: Route): boolean => method !== 'get';

/** Whether an Idempotency-Key has a meaning. */
export const isIdempotent = ({ method, secret }: Route): boolean => method === 'post' && !secret;

/** Whether a client may ask for an answer without the document. */
export const isPreferable = (route: Route): boolean =>
  writes(route) && route.answer.schema !== undefined && !route.secret;

/** Whether If-Match has a meaning: it is about a document that a client may have read. */
export const isConditional = (route: Route): boolean => writes(route) && route.about !== undefined;

const dryRun = flag().describe('Check and answer everything as usual, and write nothing').optional();

/** All query parameters of a route. */
export const queryOf = (route: Route): z.ZodObject =>
  writes(route) && !route.policy.credentials
    ? z.strictObject({ dryRun })
    : (route.query ?? z.strictObject({}));

/** What many requests may be refused with, whatever they are about: OpenAPI says it once, and not with each operation. */
export const ANYWHERE: readonly ProblemCode[] = [
  'malformed_query',
  'invalid_cursor',
  'malformed_json',
  'unauthenticated',
  'forbidden',
  'insufficient_scope',
  'not_acceptable',
  'precondition_failed',
  'body_too_large',
  'url_too_long',
  'unsupported_media_type',
  'unknown_parameter',
  'validation_failed',
  'rate_limited',
  'too_many_feeds',
  'too_many_streams',
  'write_conflict',
  'outcome_unknown',
  'database_unavailable',
  'migrations_pending',
  'database_ahead',
  'query_timeout',
  'search_unavailable',
  'overloaded',
  'misdirected_request',
  'internal_error',
];

/** The problems that a route can answer with beside those: its own, and those that follow from what it takes. */
export function problemsOf(route: Route): ProblemCode[] {
  const { problems = [], params, alternative } = route;
  // Whatever else is wrong is worded as one of its own.
  if (route.oauth) return problems;
  return [
    ...new Set<ProblemCode>([
      ...problems.filter((code) => !ANYWHERE.includes(code)),
      ...(alternative ? (['patch_test_failed'] as const) : []),
      ...(params ? (['not_found'] as const) : []),
      ...(isIdempotent(route) ? (['idempotency_key_reused'] as const) : []),
    ]),
  ];
}
