import { STATUS_CODES } from 'node:http';

/** Every problem that the API can answer with: its status and its title. The code is part of the API. */
export const problems = {
  malformed_json: { status: 400, title: 'The body is not well-formed JSON' },
  malformed_query: { status: 400, title: 'The query string is not well-formed' },
  malformed_request: { status: 400, title: 'The request is not well-formed HTTP' },
  invalid_cursor: { status: 400, title: 'The cursor does not belong to this list' },
  not_found: { status: 404, title: 'There is no such document' },
  route_not_found: { status: 404, title: 'There is no such route' },
  method_not_allowed: { status: 405, title: 'The route does not have this method' },
  not_acceptable: {
    status: 406,
    title: 'The answer cannot be given in a media type that the client accepts',
  },
  request_timeout: { status: 408, title: 'The request took too long to arrive' },
  duplicate_key: { status: 409, title: 'Another document already has this value' },
  body_too_large: { status: 413, title: 'The body is too large' },
  url_too_long: { status: 414, title: 'The URL is too long' },
  unsupported_media_type: { status: 415, title: 'The body is in a media type or encoding that is not taken' },
  expectation_failed: { status: 417, title: 'The expectation cannot be met' },
  validation_failed: { status: 422, title: 'The input breaks a rule' },
  unknown_parameter: { status: 422, title: 'There is no such parameter' },
  headers_too_large: { status: 431, title: 'The headers are too large' },
  internal_error: { status: 500, title: 'The server failed' },
  method_not_implemented: { status: 501, title: 'The server does not know this method' },
  database_unavailable: { status: 503, title: 'The database cannot be reached' },
  query_timeout: { status: 503, title: 'The database took too long to answer' },
} as const;

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

export interface ProblemDetails {
  errors?: Fault[];
  headers?: Record<string, string>;
}

/** An answer of 400 or above (RFC 9457). `detail` is for the client to read: nothing internal, no secret. */
export class Problem extends Error {
  readonly code: ProblemCode;
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly errors: Fault[] | undefined;

  constructor(code: ProblemCode, detail: string, { errors, headers = {} }: ProblemDetails = {}) {
    super(detail);
    this.code = code;
    this.status = problems[code].status;
    this.headers = headers;
    this.errors = errors;
  }

  /** The problem document. */
  toDocument(instance: string, requestId: string) {
    return {
      type: `/problems/${this.code}`,
      title: problems[this.code].title,
      status: this.status,
      detail: this.message,
      instance,
      code: this.code,
      requestId,
      errors: this.errors,
    };
  }
}

/** The same for an id that no document has and for what could never be an id. */
export const notFound = (): Problem => new Problem('not_found', 'No document has this id.');

const MAX_FAULTS = 50;

/** All faults of the input in one answer, the first 50 of them. */
export function invalid(faults: Fault[]): Problem {
  const onlyUnknown = faults.every((fault) => fault.code === 'unknown_parameter');
  const [first] = faults;
  const where = first?.pointer ?? first?.parameter;
  const detail =
    faults.length === 1 && first
      ? `${where ? `${where} ` : ''}${first.message}`
      : `${faults.length} things are wrong with the input${faults.length > MAX_FAULTS ? `; these are the first ${MAX_FAULTS}` : ''}.`;
  return new Problem(onlyUnknown ? 'unknown_parameter' : 'validation_failed', detail, {
    errors: faults.slice(0, MAX_FAULTS),
  });
}

const RETRY = { 'Retry-After': '1' };

/** Whatever was thrown, as the problem that the client is told. What nobody foresaw is an internal error. */
export function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  return (
    fromDriver(error as DriverError) ??
    new Problem('internal_error', 'The server failed; the request id finds the reason in its log.')
  );
}

interface DriverError {
  name?: string;
  code?: unknown;
  keyPattern?: Record<string, unknown>;
  cause?: DriverError;
}

// By name and code, not by class: the driver may be installed more than once.
const UNREACHABLE = new Set([
  'MongoNetworkError',
  'MongoNetworkTimeoutError',
  'MongoPoolClearedError',
  'PoolClearedOnNetworkError',
  'MongoServerSelectionError',
  'MongooseServerSelectionError',
  'MongoWaitQueueTimeoutError',
  'MongoNotConnectedError',
  'MongoTopologyClosedError',
  'MongoClientClosedError',
  'MongoExpiredSessionError',
]);
/** Not primary, shutting down, stepping down, no such primary: MongoDB's error codes, "state change" category. */
const STATE_CHANGE = new Set([91, 189, 10058, 10107, 11600, 11602, 13435, 13436]);

function fromDriver(error: DriverError): Problem | undefined {
  if (error.code === 11000) {
    const errors = Object.keys(error.keyPattern ?? {}).map((field) => ({
      in: 'body' as const,
      pointer: `/${field.replaceAll('.', '/')}`,
      code: 'duplicate',
      message: 'another document already has this value',
    }));
    const fields = errors.map((fault) => fault.pointer).join(', ');
    return new Problem('duplicate_key', `Another document already has this value of ${fields}.`, { errors });
  }
  if (error.code === 50)
    return new Problem('query_timeout', 'The database took too long; try a narrower request.', {
      headers: RETRY,
    });
  if (UNREACHABLE.has(error.name ?? '') || STATE_CHANGE.has(error.code as number))
    return new Problem(
      'database_unavailable',
      'The database cannot be reached at the moment; try again soon.',
      {
        headers: RETRY,
      },
    );
  return error.cause ? fromDriver(error.cause) : undefined;
}

/** The status line's words, for answers that are written straight to a socket. */
export const reason = (status: number): string => STATUS_CODES[status] ?? 'Unknown';
