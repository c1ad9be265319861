import { STATUS_CODES } from 'node:http';
import type { SecurityEvent } from './auth/events.ts';

/**
 * Every problem that the API can answer with: its status and its title; of what passes by itself also after how many
 * seconds to try again. The code is part of the API.
 */
export const problems = {
  malformed_json: { status: 400, title: 'The body is not well-formed JSON' },
  malformed_query: { status: 400, title: 'The query string is not well-formed' },
  malformed_request: { status: 400, title: 'The request is not well-formed HTTP' },
  invalid_cursor: { status: 400, title: 'The cursor does not belong to this list' },
  invalid_request: { status: 400, title: 'The request for a token is not well-formed' },
  unsupported_grant_type: { status: 400, title: 'The grant type is not supported' },
  invalid_grant: { status: 400, title: 'The name and password, or the refresh token, are not valid' },
  invalid_link: { status: 400, title: 'The link is no longer valid' },
  unauthenticated: { status: 401, title: 'The caller is not authenticated' },
  forbidden: { status: 403, title: 'The caller may not do this' },
  insufficient_scope: { status: 403, title: 'The API key lacks the scope for this' },
  not_found: { status: 404, title: 'The document does not exist' },
  route_not_found: { status: 404, title: 'The route does not exist' },
  method_not_allowed: { status: 405, title: 'The route does not have this method' },
  not_acceptable: {
    status: 406,
    title: 'The answer cannot be given in a media type that the client accepts',
  },
  request_timeout: { status: 408, title: 'The request took too long to arrive' },
  duplicate_key: { status: 409, title: 'Another document already has this value' },
  still_referenced: { status: 409, title: 'Other documents refer to this one' },
  conflict: { status: 409, title: 'The document is not in a state that allows this' },
  rule_broken: { status: 409, title: 'Documents that refer to this one would break a rule' },
  too_many_references: { status: 409, title: 'More documents would change than one transaction can hold' },
  last_admin: { status: 409, title: 'This is the last admin' },
  patch_test_failed: { status: 409, title: 'A test in the patch does not hold' },
  precondition_failed: { status: 412, title: 'The precondition of the request does not hold' },
  history_lost: { status: 410, title: 'The changes after this position are no longer available' },
  misdirected_request: { status: 421, title: 'The server does not answer for this host' },
  body_too_large: { status: 413, title: 'The body is too large' },
  url_too_long: { status: 414, title: 'The URL is too long' },
  unsupported_media_type: { status: 415, title: 'The media type or encoding of the body is not supported' },
  expectation_failed: { status: 417, title: 'The expectation cannot be met' },
  validation_failed: { status: 422, title: 'The input is not valid' },
  reference_not_found: { status: 422, title: 'The input refers to a document that does not exist' },
  batch_operation_failed: { status: 422, title: 'One of the operations was refused, so none took effect' },
  idempotency_key_reused: { status: 422, title: 'The Idempotency-Key was used for another request' },
  unknown_parameter: { status: 422, title: 'The parameter does not exist' },
  rate_limited: { status: 429, title: 'The client has sent too many requests' },
  too_many_feeds: { status: 429, title: 'The client has too many feeds open', retryAfter: 5 },
  headers_too_large: { status: 431, title: 'The headers are too large' },
  internal_error: { status: 500, title: 'The server failed' },
  no_mail: { status: 501, title: 'The server sends no mail' },
  method_not_implemented: { status: 501, title: 'The server does not know this method' },
  write_conflict: { status: 503, title: 'Too many writers at once', retryAfter: 1 },
  outcome_unknown: { status: 503, title: 'The outcome of the write is not known', retryAfter: 1 },
  database_unavailable: { status: 503, title: 'The database cannot be reached', retryAfter: 1 },
  migrations_pending: {
    status: 503,
    title: 'Migrations that this version needs are not applied yet',
    retryAfter: 5,
  },
  database_ahead: {
    status: 503,
    title: 'The database is newer than this version of the program',
    retryAfter: 5,
  },
  shutting_down: { status: 503, title: 'The process is about to stop', retryAfter: 1 },
  overloaded: { status: 503, title: 'The server is overloaded', retryAfter: 1 },
  too_many_streams: { status: 503, title: 'Too many streams are open', retryAfter: 5 },
  query_timeout: { status: 503, title: 'The database took too long to answer', retryAfter: 1 },
  search_unavailable: { status: 503, title: 'The text index is missing at the moment', retryAfter: 5 },
} as const satisfies Record<string, Kind>;

interface Kind {
  status: number;
  title: string;
  retryAfter?: number;
}

export type ProblemCode = keyof typeof problems;

/** One thing that is wrong with the input, and where. */
export interface Fault {
  in: 'body' | 'query' | 'header';
  /** In a body: a JSON Pointer (RFC 6901). */
  pointer?: string;
  /** Elsewhere: the name of the parameter or header. */
  parameter?: string;
  code: string;
  message: string;
}

/** Documents of one resource that stand in the way of a removal. */
export interface Blocker {
  resource: string;
  field: string;
  /** How many the caller may see; from 10,000 on, at least so many. */
  count: number;
  /** A few of them. */
  ids: string[];
  /** Where all of them are listed. */
  link: string;
}

export interface ProblemDetails {
  errors?: Fault[];
  blockers?: Blocker[];
  /** Of a batch: the index of the operation that was refused, and why. */
  operation?: number;
  problem?: object;
  headers?: Record<string, string>;
  /** What the refusal means for the security of accounts; not a part of the answer. */
  event?: SecurityEvent | undefined;
  /** What has led to it, for the log alone. */
  cause?: unknown;
}

/** An answer of 400 or above (RFC 9457). `detail` is for the client to read: nothing internal, no secret. */
export class Problem extends Error {
  readonly code: ProblemCode;
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly members: Omit<ProblemDetails, 'headers' | 'event' | 'cause'>;
  readonly event: SecurityEvent | undefined;
  readonly mediaType: string = 'application/problem+json';

  constructor(
    code: ProblemCode,
    detail: string,
    { headers = {}, event, cause, ...members }: ProblemDetails = {},
  ) {
    super(detail, { cause });
    this.code = code;
    const { status, retryAfter }: Kind = problems[code];
    this.status = status;
    this.headers = { ...(retryAfter && { 'Retry-After': String(retryAfter) }), ...headers };
    this.members = members;
    this.event = event;
  }

  /** What is wrong, wherever that happened. */
  describe() {
    const { title } = problems[this.code];
    return {
      type: `/problems/${this.code}`,
      title,
      status: this.status,
      code: this.code,
      detail: this.message,
      ...this.members,
    };
  }

  /** The problem document of a request. */
  toDocument(instance: string, requestId: string, traceId?: string): object {
    return { ...this.describe(), instance, requestId, ...(traceId && { traceId }) };
  }
}

/** The same for an id that no document has and for what could never be an id. */
export const notFound = (): Problem => new Problem('not_found', 'No document has this id.');

const REALM = 'Bearer realm="shelfmark"';

/** Says how to get in (RFC 6750), and, where a token was sent, what is wrong with it. */
export const unauthenticated = (fault?: string, event?: SecurityEvent): Problem =>
  new Problem(
    'unauthenticated',
    `${fault ?? 'This needs a login.'} Get a token from POST /auth/token, or by Authorize in /docs, and send it as "Authorization: Bearer …".`,
    {
      headers: {
        'WWW-Authenticate': fault ? `${REALM}, error="invalid_token", error_description="${fault}"` : REALM,
        'Cache-Control': 'no-store',
      },
      event,
    },
  );

export const forbidden = (detail: string, details: ProblemDetails = {}): Problem =>
  new Problem('forbidden', detail, details);

export const insufficientScope = (scope: string): Problem =>
  new Problem('insufficient_scope', `The API key does not have the scope ${scope}.`, {
    headers: { 'WWW-Authenticate': `${REALM}, error="insufficient_scope", scope="${scope}"` },
  });

const MAX_FAULTS = 50;

/** As many as are worth making: with one more than the answer names, it can say that there are more. */
export const ENOUGH_FAULTS = MAX_FAULTS + 1;

/** All faults of the input in one answer, the first 50 of them. */
export function invalid(faults: Fault[], event?: SecurityEvent): Problem {
  const onlyUnknown = faults.every((fault) => fault.code === 'unknown_parameter');
  const [first] = faults;
  const where = first?.pointer ?? first?.parameter;
  const detail =
    faults.length === 1 && first
      ? `${where ? `${where} ` : ''}${first.message}`
      : faults.length > MAX_FAULTS
        ? `More than ${MAX_FAULTS} things are wrong with the input; these are the first ${MAX_FAULTS}.`
        : `${faults.length} things are wrong with the input.`;
  return new Problem(onlyUnknown ? 'unknown_parameter' : 'validation_failed', detail, {
    errors: faults.slice(0, MAX_FAULTS),
    event,
  });
}

/** The status line's words, for answers that are written straight to a socket. */
export const reason = (status: number): string => STATUS_CODES[status] ?? 'Unknown';
