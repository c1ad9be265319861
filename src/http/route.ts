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
  /** The most bytes; 100 KiB by default. */
  limit?: number;
  /** The accepted media types; JSON by default. */
  types?: string[];
  /** The body that Swagger UI sends at the first Execute. */
  example: z.input<B>;
}

export interface Answer<A extends z.ZodType> {
  status: 200 | 201 | 204;
  /** The status may also be 201: if the handler returns `Created`. */
  creates?: true;
  description: string;
  /** Without a schema the answer has no body. */
  schema?: A;
  example?: z.input<A>;
  headers?: Record<string, Header<StoredAs<z.output<A>>>>;
  /** The strong entity tag of the handler's result. Without it, or if it returns none, a GET gets a weak one. */
  etag?: (stored: any, query: any) => string | undefined;
}

/** Returned by handlers that have written the body themselves. */
export class Json {
  readonly text: Buffer;
  constructor(text: Buffer) {
    this.text = text;
  }
}

/** Returned by handlers that have created the document. */
export class Created<T> {
  readonly document: T;
  constructor(document: T) {
    this.document = document;
  }
}

interface Header<S> {
  description: string;
  example: string;
  /** The header is optional; `value` returns undefined to leave it out. */
  optional?: true;
  value: (stored: S, request: { path: string; querystring: string }) => string | undefined;
}

/** The argument of a handler: the validated parts of a request. */
type Input = { params: any; query: any; body: any };

/** The answer in one media type, sent by a function of its own: a stream, for example. */
export interface Form {
  /** The value of the parameter `format` that selects it, regardless of Accept. */
  format?: string;
  /** Its description in OpenAPI; JSON is described by `answer`. */
  schema?: z.ZodType;
  send: (ctx: Context, input: Input) => void | Promise<void>;
}

/** The resource whose documents the route shows, and the filters for them. */
interface Listed {
  resource: AnyResource;
  filters: Filter[];
}

/**
 * One route: everything that the router, validation, answers and OpenAPI need to know about it. The handler takes
 * validated input and returns a value; to refuse, it throws a Problem.
 */
export interface Definition<
  P extends Parameters,
  Q extends Parameters,
  B extends z.ZodType,
  A extends z.ZodType,
  I = z.output<B>,
> {
  method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  /** In OpenAPI's syntax: /books/{id}. */
  path: string;
  operationId: string;
  tag: string;
  summary: string;
  description: string;
  /** Who may call it. */
  policy: Access;
  /** The answer must not be stored: by no cache, and by no record of an Idempotency-Key. */
  secret?: true;
  /**
   * The resource of which `{id}` names a document. If-Match and If-None-Match are then compared with that document
   * inside the transaction; a write without `about` refuses these headers.
   */
  about?: AnyResource;
  /**
   * Finds that document, if `{id}` is the id of another one; undefined if there is none and the caller could create
   * it.
   */
  current?: (params: any) => Promise<object | undefined>;
  /** Path parameters. A value that does not fit its schema is answered with 404. */
  params?: P;
  /** Query parameters, each decoded from a string. */
  query?: Q;
  body?: Body<B>;
  /** Bodies of other media types. */
  alternative?: Body<z.ZodType>;
  answer: Answer<A>;
  /** Answers in media types other than JSON; one for JSON replaces the handler. */
  forms?: Record<string, Form>;
  /** Serves a client that asks for a WebSocket. Routes without it answer such requests as plain HTTP. */
  socket?: Form['send'];
  /** OpenAPI declares the filters of a resource once: at its list, if it has one. */
  lists?: Listed;
  /** MongoDB may have to read whole collections: the request gets one of the few places for expensive work. */
  expensive?: true;
  /** The documents that a write will refer to; see transaction(). */
  holds?: (input: { params: z.output<P>; body: z.output<B> }) => Target[];
  /** The handler only creates, so it may share a transaction with others: see together(). */
  shares?: true;
  /** Prepares the body before the transaction: for slow work that must be done only once. */
  prepare?: (input: { body: z.output<B> }) => Promise<I>;
  /** Limits in addition to the general one, for expensive operations and secrets that could be guessed. */
  limits?: Limit<z.output<B>>[];
  /** The problems that it refuses with, in addition to those that follow from its input. */
  problems?: ProblemCode[];
  /** Errors are sent in OAuth 2's own form. */
  oauth?: true;
  /** It may return a Problem instead of throwing it: then its writes are kept. */
  handler: (input: {
    params: z.output<P>;
    query: z.output<Q>;
    body: I;
  }) => Promise<StoredAs<z.output<A>> | Created<StoredAs<z.output<A>>> | Json | Problem | void>;
}

export type Route = Definition<any, any, any, any, any>;

/**
 * Checks the types of a route's parts against each other, then erases them, so that routes of all kinds fit in one
 * list.
 */
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

/** Whether it writes. Every write is one transaction; see endpoint(). */
export const writes = ({ method }: Route): boolean => method !== 'get';

/** Whether it accepts an Idempotency-Key. */
export const isIdempotent = ({ method, secret }: Route): boolean => method === 'post' && !secret;

/** Whether a client may ask for an answer without the document. */
export const isPreferable = (route: Route): boolean =>
  writes(route) && route.answer.schema !== undefined && !route.secret;

/** Whether it accepts If-Match: it changes a document that a client may have read. */
export const isConditional = (route: Route): boolean => writes(route) && route.about !== undefined;

const dryRun = flag().describe('Check and answer as usual, but write nothing').optional();

/** All query parameters of a route. */
export const queryOf = (route: Route): z.ZodObject =>
  writes(route) && !route.policy.credentials
    ? z.strictObject({ dryRun })
    : (route.query ?? z.strictObject({}));

/** Problems that most requests can have: OpenAPI declares them once, not per operation. */
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

/** The other problems of a route: its own, and those that follow from its input. */
export function problemsOf(route: Route): ProblemCode[] {
  const { problems = [], params, alternative } = route;
  // OAuth's form covers all other faults.
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
