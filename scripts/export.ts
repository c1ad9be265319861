import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { stringify } from 'csv-stringify';
import { resources } from '../src/resources/api.ts';
import { CSV } from '../src/http/stream.ts';
import type { AnyResource } from '../src/schema/resource.ts';
import { shapeOf } from '../src/schema/shape.ts';
import {
  count,
  formatOf,
  pace,
  resourceNamed,
  runProgram,
  say,
  UsageError,
  withDatabase,
} from './program.ts';
import { startProgress } from './progress.ts';
import { modelOf, OF_THE_COLLECTION } from '../src/schema/model.ts';

const USAGE = `Usage: npm run --silent export -- RESOURCE [--format ndjson|csv] [--out FILE]

Writes every document as the API shows it to an admin, ordered by id, to standard output or to a file. An import
accepts the result: npm run import -- RESOURCE FILE. (--silent keeps npm's own output out of the data.)

  RESOURCE      the collection, as in the API's paths: ${resources.map(({ collection }) => collection).join(', ')}
  --format      ndjson or csv; by default from the extension of FILE (.csv, .ndjson, .jsonl), and ndjson on standard output
  --out FILE    write to a file; overwrites it

In CSV, lists are JSON, null is an empty cell and an empty text is "". Values are written unchanged:
a spreadsheet may read one that starts with = + - or @ as a formula. Users include their e-mail addresses,
which an import needs, but not their passwords.

Exit codes: 0 done, 2 it could not run or could not finish, 130 interrupted.`;

async function main(stop: AbortSignal): Promise<number> {
  const { resource, format, out } = readArguments();
  return withDatabase(async () => {
    const target = out === undefined ? process.stdout : (await openOutput(out)).createWriteStream();
    const start = performance.now();
    // A progress bar would be mixed with the data on a terminal.
    const shown = out !== undefined || !process.stdout.isTTY;
    const progress = shown ? startProgress(await modelOf(resource).estimatedDocumentCount()) : undefined;
    let rows = 0;
    try {
      await pipeline(
        documents(resource, () => progress?.update(++rows, rows)),
        format === 'csv' ? toCsv(resource) : toNdjson,
        target,
        { signal: stop },
      );
    } catch (error) {
      if (stop.aborted) return interrupted(rows, stop);
      // The reader has seen enough: `| head`.
      if ((error as NodeJS.ErrnoException).code === 'EPIPE') return 0;
      throw new Error(`The output is incomplete: ${(error as Error).message}`, { cause: error });
    } finally {
      progress?.stop();
    }
    if (shown) say(`${count(rows)} ${resource.collection} exported ${pace(rows, start)}`);
    return 0;
  });
}

function readArguments() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { format: { type: 'string' }, out: { type: 'string' } },
  });
  const [collection, ...more] = positionals;
  const resource = resourceNamed(collection);
  if (more.length > 0) throw new UsageError(`Unexpected argument: ${more.join(' ')}`);
  const { format, out } = values;
  const known = formatOf(format, out) ?? (out === undefined ? 'ndjson' : undefined);
  if (!known) throw new UsageError(`The format of ${out} is unclear: add --format csv or --format ndjson.`);
  return { resource, format: known, out };
}

/** Before anything is written, so that a missing folder is not reported as an incomplete export. */
async function openOutput(out: string) {
  try {
    return await open(out, 'w');
  } catch (error) {
    throw new Error(`${out} cannot be written: ${(error as Error).message}`, { cause: error });
  }
}

/** The JSON of each document. Not a snapshot: documents written meanwhile may be missing, but none appears twice. */
async function* documents(resource: AnyResource, onRow: () => void): AsyncGenerator<object> {
  const toJson = shapeOf(resource.document);
  for await (const stored of modelOf(resource)
    .find()
    .collation(OF_THE_COLLECTION)
    .sort({ _id: 1 })
    .lean()
    .cursor({ batchSize: 1_000 })) {
    yield toJson(stored) as object;
    onRow();
  }
}

async function* toNdjson(documents: AsyncIterable<object>): AsyncGenerator<string> {
  for await (const document of documents) yield `${JSON.stringify(document)}\n`;
}

const toCsv = ({ document }: AnyResource) =>
  stringify({
    header: true,
    columns: Object.keys(document.shape),
    ...CSV,
  });

function interrupted(rows: number, stop: AbortSignal): number {
  say(`Interrupted after ${count(rows)} documents: the output is incomplete.`);
  return stop.reason as number;
}

await runProgram(USAGE, main);
