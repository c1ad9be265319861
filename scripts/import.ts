import { open } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { addAbortSignal } from 'node:stream';
import { parseArgs } from 'node:util';
import { resources } from '../src/resources/api.ts';
import { converter } from './import/convert.ts';
import { readCsv } from './import/csv.ts';
import { fieldsOf } from './import/document.ts';
import { readLines } from './import/lines.ts';
import { type Counts, load } from './import/load.ts';
import { checkOwnNames, checkSources, ownNames, readMap } from './import/map.ts';
import { readNdjson } from './import/ndjson.ts';
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

const USAGE = `Usage: npm run import -- RESOURCE FILE [--map MAP] [--dry-run] [--refused FILE] [--format csv|ndjson]

Stores the rows of a CSV file (with a header) or an NDJSON file as documents, after the same validation as the
API's. Running it again doubles nothing: a row without an id gets one from its content, and a row whose id or
unique value exists counts as already there. What exists is not changed.

  RESOURCE        what the rows are, as the API's path names it: ${resources.map(({ collection }) => collection).join(', ')}
  FILE            ends in .csv, .ndjson or .jsonl, or else give --format; - is standard input
  --map MAP       a JSON file that says which column each field is made from (scripts/import/map.ts describes it);
                  without one, columns are fields by their names, as an export writes them
  --dry-run       validate only: nothing is stored and no database needed, so references are not followed
  --refused FILE  where refused rows go, with their lines and reasons; FILE.refused.ndjson here unless given
  --format        csv or ndjson

Exit codes: 0 every row is in, 1 some were refused, 2 it could not run or could not finish, 130 interrupted.`;

async function main(stop: AbortSignal): Promise<number> {
  const { resource, file, format, map, refusedFile, dryRun } = readArguments();
  const fields = fieldsOf(resource);
  const fieldMap = map === undefined ? undefined : await readMap(map, fields);
  const { input, size, position } = await openInput(file);
  const checkColumns = (columns: string[]) =>
    fieldMap ? checkSources(fieldMap, columns) : checkOwnNames(fields, columns);
  const lines = readLines(addAbortSignal(stop, input));
  const rows = format === 'csv' ? readCsv(lines, checkColumns) : readNdjson(lines);
  const convert = fieldMap || format === 'csv' ? converter(fieldMap ?? ownNames(fields), fields) : asItIs;

  const counts: Counts = { read: 0, stored: 0, present: 0, refused: 0, line: 0 };
  const run = async (): Promise<void> => {
    const start = performance.now();
    const progress = startProgress(size);
    const onProgress = () => progress.update(position(), counts.read);
    try {
      await load({ resource, rows, convert, dryRun, refusedFile, onProgress, stop }, counts);
    } catch (error) {
      throw counts.read === 0 ? error : cutShort(error, counts);
    } finally {
      progress.stop();
      if (counts.read > 0) console.log(summary(counts, { file, refusedFile, dryRun, start }));
    }
  };
  await (dryRun ? run() : withDatabase(run));
  if (stop.aborted) {
    say(`Interrupted: the rows up to line ${counts.line} are done; running it again doubles nothing.`);
    return stop.reason as number;
  }
  return counts.refused > 0 ? 1 : 0;
}

function readArguments() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      map: { type: 'string' },
      format: { type: 'string' },
      refused: { type: 'string' },
      'dry-run': { type: 'boolean', default: false },
    },
  });
  const [collection, file, ...more] = positionals;
  const resource = resourceNamed(collection);
  if (file === undefined) throw new UsageError('Name the file to import; - is standard input.');
  if (more.length > 0) throw new UsageError(`This is one argument too many: ${more.join(' ')}`);
  const format = formatOf(values.format, file);
  if (!format) throw new UsageError(`Say with --format whether ${file} is csv or ndjson.`);
  const refusedFile = values.refused ?? `${file === '-' ? 'stdin' : basename(file)}.refused.ndjson`;
  if (resolve(refusedFile) === resolve(file))
    throw new UsageError('The refused rows cannot go into the file that is read.');
  return { resource, file, format, map: values.map, refusedFile, dryRun: values['dry-run'] };
}

/** What to read, how long it is where that is known, and how much of it has been read. */
async function openInput(file: string) {
  if (file === '-') return { input: process.stdin, size: undefined, position: () => 0 };
  try {
    const handle = await open(file);
    const { size } = await handle.stat();
    const input = handle.createReadStream();
    return { input, size, position: () => input.bytesRead };
  } catch (error) {
    throw new Error(`The file cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

const asItIs = (values: unknown): unknown => values;

const cutShort = (error: unknown, { line }: Counts): Error =>
  new Error(
    `The import stopped after line ${line}: ${(error as Error).message}\n` +
      'What is stored stays; run it again when that is mended, and nothing is stored twice.',
    { cause: error },
  );

function summary(
  { read, stored, present, refused }: Counts,
  { file, refusedFile, dryRun, start }: { file: string; refusedFile: string; dryRun: boolean; start: number },
): string {
  const rows = dryRun
    ? [`${count(read - refused)} valid; this was a dry run, nothing was stored`]
    : [
        `${count(stored)} stored`,
        `${count(present)} already there (a document has the same id or unique value), not changed`,
      ];
  rows.push(`${count(refused)} refused${refused > 0 ? `: see ${refusedFile}` : ''}`);
  return `${file}: ${count(read)} rows read ${pace(read, start)}\n${rows.map((row) => `  ${row}`).join('\n')}`;
}

await runProgram(USAGE, main);
