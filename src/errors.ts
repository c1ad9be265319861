import { STATUS_CODES } from 'node:http';
import type { SecurityEvent } from './auth/events.ts';

/**
 * Every problem that the API can answer with: its status and title, and for transient ones the seconds until a retry.
 * Codes are part of the API.
 */
export const problems = {
  malformed_json: { status: 400, title: 'The body is not well-formed JSON' },
  malformed_query: { status: 400, title: 'The query string is not well-formed' },
  malformed_request: { status: 400, title: 'The request is not well-formed HTTP' },
  invalid_cursor: { status: 400, title: 'The cursor does not belong to this list' },
  invalid_request: { status: 400, title: 'The request for a token is not well-formed' },
  unsupported_grant_type: { status: 400, title: 'The grant type is not supported' },
  invalid_grant: { status: 400, title: 'The name and password, or the refresh token, are invalid' },
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
  patch_test_failed: { status: 409, title: 'A test in the patch failed' },
  precondition_failed: { status: 412, title: 'The precondition of the request failed' },
  history_lost: { status: 410, title: 'The changes after this position are no longer available' },
  misdirected_request: { status: 421, title: 'The server does not answer for this host' },
  body_too_large: { status: 413, title: 'The body is too large' },
  url_too_long: { status: 414, title: 'The URL is too long' },
  unsupported_media_type: { status: 415, title: 'The media type or encoding of the body is not supported' },
  expectation_failed: { status: 417, title: 'The expectation is not supported' },
  validation_failed: { status: 422, title: 'The input is invalid' },
  reference_not_found: { status: 422, title: 'The input refers to a document that does not exist' },
  batch_operation_failed: { status: 422, title: 'One of the operations was refused, so none took effect' },
  idempotency_key_reused: { status: 422, title: 'The Idempotency-Key was used for another request' },
  unknown_parameter: { status: 422, title: 'The parameter does not exist' },
  rate_limited: { status: 429, title: 'The client has sent too many requests' },
  too_many_feeds: { status: 429, title: 'The client has too many feeds open', retryAfter: 5 },
  headers_too_large: { status: 431, title: 'The headers are too large' },
  internal_error: { status: 500, title: 'The server failed' },
  no_mail: { status: 501, title: 'The server sends no mail' },
  method_not_implemented: { status: 501, title: 'The server does not implement this method' },
  write_conflict: { status: 503, title: 'Too many concurrent writes', retryAfter: 1 },
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
  search_unavailable: { status: 503, title: 'The text index is not available yet', retryAfter: 5 },
} as const satisfies Record<string, Kind>;

interface Kind {
  status: number;
  title: string;
  retryAfter?: number;
}

export type ProblemCode = keyof typeof problems;

/** A fault of the input, and its place. */
export interface Fault {
  in: 'body' | 'query' | 'header';
  /** In a body: a JSON Pointer (RFC 6901). */
  pointer?: string;
  /** In a query or header: its name. */
  parameter?: string;
  code: string;
  message: string;
}

/** Documents of one resource that keep a document from being removed. */
export interface Blocker {
  resource: string;
  field: string;
  /** How many the caller may see; 10,000 means 10,000 or more. */
  count: number;
  /** The ids of a few of them. */
  ids: string[];
  /** A list of all of them. */
  link: string;
}

export interface ProblemDetails {
  errors?: Fault[];
  blockers?: Blocker[];
  /** In a batch: the index of the refused operation, and its problem. */
  operation?: number;
  problem?: object;
  headers?: Record<string, string>;
  /** The security event that the refusal means; not part of the answer. */
  event?: SecurityEvent | undefined;
  /** The cause, for the log only. */
  cause?: unknown;
}

/** An answer of 400 or above (RFC 9457). `detail` is for the client: no internals, no secrets. */
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

  /** The members that do not depend on the request. */
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

  /** The complete problem document of a request. */
  toDocument(instance: string, requestId: string, traceId?: string): object {
    return { ...this.describe(), instance, requestId, ...(traceId && { traceId }) };
  }
}

/** The same for an unknown id and for a value that could never be an id. */
export const notFound = (): Problem => new Problem('not_found', 'No document has this id.');

const REALM = 'Bearer realm="shelfmark"';

/** Says how to authenticate (RFC 6750) and, if a token was sent, what is wrong with it. */
export const unauthenticated = (fault?: string, event?: SecurityEvent): Problem =>
  new Problem(
    'unauthenticated',
    `${fault ?? 'This needs a login.'} Get a token from POST /auth/token, or with Authorize in /docs, and send it as "Authorization: Bearer …".`,
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

/** How many faults to make: one more than the answer lists, to tell that there are more. */
export const ENOUGH_FAULTS = MAX_FAULTS + 1;

/** All faults of the input in one problem, at most the first 50. */
export function invalid(faults: Fault[], event?: SecurityEvent): Problem {
  const onlyUnknown = faults.every((fault) => fault.code === 'unknown_parameter');
  const [first] = faults;
  const where = first?.pointer ?? first?.parameter;
  const detail =
    faults.length === 1 && first
      ? `${where ? `${where} ` : ''}${first.message}`
      : faults.length > MAX_FAULTS
        ? `The input has more than ${MAX_FAULTS} faults; these are the first ${MAX_FAULTS}.`
        : `The input has ${faults.length} faults.`;
  return new Problem(onlyUnknown ? 'unknown_parameter' : 'validation_failed', detail, {
    errors: faults.slice(0, MAX_FAULTS),
    event,
  });
}

/** The reason phrase, for answers written directly to a socket. */
export const reason = (status: number): string => STATUS_CODES[status] ?? 'Unknown';
