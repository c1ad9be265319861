import { Problem } from '../errors.ts';

/** Failures between the driver and MongoDB, and the problems that clients get for them. */

interface Failure {
  name?: string;
  message?: string;
  code?: unknown;
  errorLabels?: string[];
  keyPattern?: Record<string, unknown>;
  errmsg?: string;
  errInfo?: unknown;
  cause?: unknown;
  errorResponse?: unknown;
  writeErrors?: (Failure & { err?: Failure })[];
}

// By name and code, not by class: the driver may be installed more than once.
const UNREACHABLE = new Set([
  'MongoNetworkError',
  'MongoNetworkTimeoutError',
  'MongoPoolClearedError',
  'MongoPoolClosedError',
  'PoolClearedOnNetworkError',
  'MongoServerSelectionError',
  'MongooseServerSelectionError',
  'MongoWaitQueueTimeoutError',
  'MongoNotConnectedError',
  'MongoTopologyClosedError',
  'MongoClientClosedError',
  'MongoExpiredSessionError',
]);
/**
 * No primary, or one that is stepping or shutting down: the "state change" codes of the server discovery
 * specification.
 */
const STATE_CHANGE = new Set([91, 189, 10058, 10107, 11600, 11602, 13435, 13436]);

/**
 * A shard that the router cannot reach: HostUnreachable, HostNotFound, NetworkTimeout, FailedToSatisfyReadPreference.
 */
const NO_SHARD = new Set([6, 7, 89, 133]);

/**
 * The database ended a read: CursorNotFound, ReadConcernMajorityNotAvailableYet, QueryPlanKilled, CursorKilled,
 * ExceededTimeLimit, SocketException.
 */
const INTERRUPTED = new Set([43, 134, 175, 237, 262, 9001]);

const LABELS = new Set([
  'TransientTransactionError',
  'RetryableWriteError',
  'UnknownTransactionCommitResult',
  'PoolRequestedRetry',
  'SystemOverloadedError',
]);

const DUPLICATE_KEY = 11000;
const INDEX_NOT_FOUND = 27;
/** MaxTimeMSExpired, and TransactionExceededLifetimeLimitSeconds. */
const TOOK_TOO_LONG = [50, 290];
/** BSONObjectTooLarge, ExceededMemoryLimit, QueryExceededMemoryLimitNoDiskUseAllowed. */
const TOOK_TOO_MUCH = [10334, 146, 292];

/**
 * The failure itself and those it wraps: bulk writes hide the labels and codes of inner errors. A Problem's cause is
 * for the log only and is not followed.
 */
const failures = (error: unknown, depth = 0): Failure[] =>
  typeof error !== 'object' || error === null || error instanceof Problem || depth > 5
    ? []
    : [
        error,
        ...failures((error as Failure).errorResponse, depth + 1),
        ...failures((error as Failure).cause, depth + 1),
      ];

/** Socket errors, which the driver passes on if a server goes away during a write. */
const SOCKET = new Set(['EPIPE', 'ECONNRESET', 'ECONNREFUSED', 'ETIMEDOUT', 'ERR_STREAM_DESTROYED']);

const unreachable = ({ name, code }: Failure): boolean =>
  UNREACHABLE.has(name ?? '') ||
  STATE_CHANGE.has(code as number) ||
  NO_SHARD.has(code as number) ||
  SOCKET.has(code as string);

/** Ids are made by the server: a duplicate means that another transaction was faster, with a guard for example. */
const idCollision = ({ code, keyPattern }: Failure): boolean =>
  code === DUPLICATE_KEY && keyPattern?.['_id'] === 1;

/** Whether the same transaction may succeed if it is retried. */
export const isTransient = (error: unknown): boolean =>
  failures(error).some(
    (failure) =>
      unreachable(failure) || idCollision(failure) || failure.errorLabels?.some((label) => LABELS.has(label)),
  );

/** Whether the database was unreachable, or has no primary at the moment. */
export const isUnreachable = (error: unknown): boolean => failures(error).some(unreachable);

const WRITE_CONFLICT = 112;

/** Why a transaction is retried, for metrics. */
export function reasonOf(error: unknown): 'write_conflict' | 'guard' | 'connection' | 'other' {
  const all = failures(error);
  if (all.some(idCollision)) return 'guard';
  if (all.some(({ code }) => code === WRITE_CONFLICT)) return 'write_conflict';
  return all.some(unreachable) ? 'connection' : 'other';
}

/** The problem that a database failure means for a client; undefined for any other error. */
export function databaseProblem(error: unknown): Problem | undefined {
  for (const failure of failures(error)) {
    if (failure.code === DUPLICATE_KEY) return duplicateKey(failure);
    if (TOOK_TOO_LONG.includes(failure.code as number))
      return new Problem('query_timeout', 'The database took too long; try a narrower request.', {
        cause: error,
      });
    if (TOOK_TOO_MUCH.includes(failure.code as number))
      return new Problem('query_timeout', 'The database needs too much memory; try a narrower request.', {
        cause: error,
      });
    if (failure.code === INDEX_NOT_FOUND && failure.message?.includes('text index'))
      return new Problem(
        'search_unavailable',
        'The text index is being built; `q` works again once it is complete.',
      );
    if (unreachable(failure) || INTERRUPTED.has(failure.code as number)) return unavailable(error);
  }
  return undefined;
}

export const unavailable = (cause?: unknown): Problem =>
  new Problem('database_unavailable', 'The database cannot be reached at the moment; try again soon.', {
    cause,
  });

/** Names the fields, never the value, which may be somebody else's secret. */
function duplicateKey({ keyPattern = {}, errmsg = '' }: Failure): Problem {
  const fields = Object.keys(keyPattern);
  const collection = /collection: [^.]+\.(\w+) /.exec(errmsg)?.[1];
  const pointers = fields.map((field) => `/${field.replaceAll('.', '/')}`);
  const message = 'another document already has this value';
  return new Problem('duplicate_key', `Another document already has this value of ${pointers.join(', ')}.`, {
    errors: pointers.map((pointer) => ({ in: 'body', pointer, code: 'duplicate', message })),
    // Trying one value after another reveals which exist: for e-mail addresses this must be logged.
    event: { event: 'duplicate_tried', reason: `${collection}.${fields.join()}` },
  });
}

const DOCUMENT_VALIDATION = 121;

/**
 * The database refused a document that the API had accepted, so its validator differs from the definition: logged as
 * an alert. Names the rules, never the values.
 */
export function refusalByValidator(error: unknown): Error | undefined {
  const rules = rulesBroken(error);
  return (
    rules &&
    new Error(
      `The database refused a document that the API had accepted (${rules.join(', ')}): ` +
        'its validator differs from the definition, see npm run migrate -- status',
    )
  );
}

/** The rules of a collection because of which the database refused a document, from its error. */
export const rulesBroken = (error: unknown): string[] | undefined =>
  clausesBroken(error)?.map(({ rule }) => rule);

/** The expressions of a validator that a refused document breaks, if it breaks nothing else. */
export function expressionsBroken(error: unknown): unknown[] {
  const clauses = clausesBroken(error) ?? [];
  return clauses.every(({ rule }) => rule === '$expr') ? clauses.map(({ expression }) => expression) : [];
}

function clausesBroken(error: unknown): Clause[] | undefined {
  const refusal = failures(error).find(({ code }) => code === DOCUMENT_VALIDATION);
  return refusal && brokenClauses(refusal.errInfo ?? firstOf(refusal)?.errInfo);
}

/** The details of a failed bulk write are in its write errors. */
const firstOf = ({ writeErrors }: Failure): Failure | undefined => writeErrors?.[0]?.err ?? writeErrors?.[0];

/** The part of a validator that a document breaks. */
interface Clause {
  /** As a path: `year.minimum`; for an expression `$expr`. */
  rule: string;
  expression?: unknown;
}

/** The clauses of a validation error's details. */
function brokenClauses(details: unknown, path: string[] = []): Clause[] {
  if (Array.isArray(details)) return details.flatMap((detail) => brokenClauses(detail, path));
  if (details === null || typeof details !== 'object') return [];
  const { operatorName, propertyName, missingProperties, additionalProperties, specifiedAs, ...rest } =
    details as Details;
  if (operatorName === '$expr') return [{ rule: operatorName, expression: specifiedAs?.['$expr'] }];
  const here = propertyName === undefined ? path : [...path, propertyName];
  const inner = ['details', 'schemaRulesNotSatisfied', 'propertiesNotSatisfied', 'clausesNotSatisfied'];
  const deeper = inner.flatMap((name) => brokenClauses((rest as Record<string, unknown>)[name], here));
  if (deeper.length > 0) return deeper;
  const names = missingProperties ?? additionalProperties ?? [];
  if (operatorName === undefined) return [];
  return names.length > 0
    ? names.map((name) => ({ rule: [...here, name, operatorName].join('.') }))
    : [{ rule: [...here, operatorName].join('.') }];
}

interface Details {
  operatorName?: string;
  propertyName?: string;
  missingProperties?: string[];
  additionalProperties?: string[];
  specifiedAs?: Record<string, unknown>;
}

/** The time is up, and nothing was written. */
export const tooSlow = (cause: unknown): Problem =>
  new Problem('query_timeout', 'The database took too long; try again.', { cause });

/** The commit was not confirmed in time, so its outcome is unknown. */
export const outcomeUnknown = (cause: unknown): Problem =>
  new Problem(
    'outcome_unknown',
    'The database did not confirm in time, so the change may or may not have been made. Retrying with the same Idempotency-Key is safe.',
    { cause },
  );

export const writeConflict = (cause?: unknown): Problem =>
  new Problem(
    'write_conflict',
    'Too many concurrent writes to the same documents; nothing was written. Try again.',
    { cause },
  );
