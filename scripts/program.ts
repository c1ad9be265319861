import { setFlagsFromString } from 'node:v8';
import type { ConnectOptions, Types } from 'mongoose';
import { runAs, SYSTEM } from '../src/auth/caller.ts';
import { loadConfig } from '../src/config.ts';
import { record } from '../src/http/audit.ts';
import { migrations } from '../src/migrations/index.ts';
import { database as db, openDatabase } from '../src/mongo/connect.ts';
import { rulesBroken } from '../src/mongo/failures.ts';
import { notReady } from '../src/mongo/migrate/ready.ts';
import { up } from '../src/mongo/migrate/run.ts';
import { collections, resources } from '../src/resources/api.ts';
import type { AnyResource } from '../src/schema/resource.ts';
import { viewsOf } from '../src/schema/views.ts';
import { type Change, recording } from '../src/schema/changes.ts';
import { transaction } from '../src/mongo/transaction.ts';
import { stopSignal } from '../src/stop-signal.ts';

/** Shared by the commands. Data goes to standard output, messages to standard error. */

/** Wrong arguments: the usage is shown too. */
export class UsageError extends Error {}

/** Runs a command, whose result is the exit code. Errors end it with a message and code 2. */
export async function runProgram(usage: string, work: (stop: AbortSignal) => Promise<number>): Promise<void> {
  // Few objects are alive at any moment. By default V8 lets garbage grow to four times that, some 100 MB.
  setFlagsFromString('--heap-growing-percent=50');
  if (process.argv.includes('--help') || process.argv.includes('-h')) return console.log(usage);
  try {
    process.exitCode = await runAs(SYSTEM, () => work(stopSignal()));
  } catch (error) {
    say(messageOf(error));
    if (isUsageError(error)) say(`\n${usage}`);
    process.exitCode = 2;
  }
}

/**
 * MongoDB names the broken rules only in the details of its validation error. An error with a cause explains more than
 * that.
 */
function messageOf(error: unknown): string {
  const rules = (error as { cause?: unknown } | null)?.cause === undefined ? rulesBroken(error) : undefined;
  if (rules)
    return (
      `The database refused a document that breaks rules of its collection: ${rules.join(', ')}. Either the code that ` +
      'makes it is wrong, or the rules differ from the definitions: npm run migrate -- status'
    );
  return error instanceof Error ? error.message : String(error);
}

const isUsageError = (error: unknown): boolean =>
  error instanceof UsageError || String((error as { code?: unknown }).code).startsWith('ERR_PARSE_ARGS');

export const say = (line: string): void => console.error(line);

/** Runs a command's work in one transaction, with an entry in the audit trail. */
export const audited = <T>(command: string, work: () => Promise<T>): Promise<T> =>
  transaction(async () => {
    const { value, done } = await recording(work);
    await record(operationOf(command), done);
    return value;
  });

/** A command in the audit trail, without its arguments. */
export const operationOf = (command: string) => ({
  operation: command,
  method: 'RUN',
  path: `npm run ${command}`,
});

/** Changed documents in the form of the audit trail. */
export const changesOf = (
  { collection }: AnyResource,
  action: Change['action'],
  ids: readonly Types.ObjectId[],
): Change[] => ids.map((document) => ({ resource: collection, document, action, by: undefined }));

export function resourceNamed(collection: string | undefined): AnyResource {
  const found = resources.find((resource) => resource.collection === collection);
  if (found) return found;
  const known = resources.map(({ collection }) => collection).join(', ');
  throw new UsageError(
    collection === undefined
      ? `Give a resource: ${known}.`
      : `There is no resource "${collection}"; there are ${known}.`,
  );
}

/** The format, from an option or else a file's extension. */
export function formatOf(option: string | undefined, file: string | undefined): 'csv' | 'ndjson' | undefined {
  if (option !== undefined && option !== 'csv' && option !== 'ndjson')
    throw new UsageError(`--format takes csv or ndjson, not "${option}".`);
  if (option !== undefined) return option;
  if (/\.(csv|tsv)$/i.test(file ?? '')) return 'csv';
  return /\.(ndjson|jsonl)$/i.test(file ?? '') ? 'ndjson' : undefined;
}

/**
 * Runs work with an open database: that of MONGODB_URI, if it is as this version needs it; otherwise the embedded one,
 * which is migrated first.
 */
export async function withDatabase<T>(work: () => Promise<T>, options?: ConnectOptions): Promise<T> {
  const database = await openDatabase(loadConfig(), say, options);
  try {
    if (database.embedded) await up(db(), migrations, { say, views: viewsOf(collections) });
    const problem = await notReady(db(), migrations);
    if (problem) throw problem;
    return await work();
  } finally {
    await database.close();
  }
}

export const count = (n: number): string => n.toLocaleString('en');

/** "in 2.5 s, 20,000 rows/s" */
export function pace(rows: number, since: number): string {
  const seconds = Math.max((performance.now() - since) / 1000, 0.001);
  return `in ${seconds.toFixed(1)} s, ${count(Math.round(rows / seconds))} rows/s`;
}
