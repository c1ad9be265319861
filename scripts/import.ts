import { open } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { addAbortSignal } from 'node:stream';
import { parseArgs, TextDecoder } from 'node:util';
import { resources } from '../src/resources/api.ts';
import { converter } from './import/convert.ts';
import { readCsv } from './import/csv.ts';
import { toUtf8 } from './import/encoding.ts';
import { finder } from './import/find.ts';
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

const USAGE = `Usage: npm run import -- RESOURCE FILE [--map MAP] [--dry-run] [--update] [--refused FILE] [--present FILE]
                         [--format csv|ndjson] [--delimiter CHARACTER] [--encoding NAME]

Stores the rows of a CSV file (with a header) or an NDJSON file as documents, with the same validation as the
API. Running it again creates no duplicates: a row without an id gets one from its content, and a row whose id or
unique value exists counts as already there. Existing documents are only changed with --update.

  RESOURCE        the collection, as in the API's paths: ${resources.map(({ collection }) => collection).join(', ')}
  FILE            with the extension .csv, .ndjson or .jsonl, or else with --format; - is standard input
  --map MAP       a JSON file that maps columns to fields (see docs/import.md);
                  by default columns are named like fields, as in an export
  --dry-run       validate only: stores nothing and needs no database, so references are not checked
  --update        change existing documents to what their rows say; other fields stay unchanged
  --refused FILE  the file for refused rows, with lines and reasons; ./FILE.refused.ndjson by default
  --present FILE  the file for rows that already exist, with the matching field; ./FILE.present.ndjson by default
  --format        csv or ndjson (output of mongoexport included)
  --delimiter     the separator of cells; by default from a line like sep=; or from the header: , ; | or a tab
  --encoding      the encoding of the file, such as windows-1252 or utf-16le; UTF-8 by default

Exit codes: 0 all rows are stored, 1 some were refused, 2 it could not run or could not finish, 130 interrupted.`;

async function main(stop: AbortSignal): Promise<number> {
  const { resource, file, format, map, dryRun, update, refusedFile, presentFile, delimiter, decoder } =
    readArguments();
  const fields = fieldsOf(resource);
  const fieldMap = map === undefined ? undefined : await readMap(map, fields, resource.references);
  const { input, size, position } = await openInput(file);
  const checkColumns = (columns: string[]) =>
    fieldMap ? checkSources(fieldMap, columns) : checkOwnNames(fields, columns);
  const bytes = addAbortSignal(stop, input);
  const lines = readLines(decoder ? toUtf8(bytes, decoder) : bytes);
  const rows = format === 'csv' ? readCsv(lines, checkColumns, delimiter) : readNdjson(lines);
  const convert = fieldMap || format === 'csv' ? converter(fieldMap ?? ownNames(fields), fields) : asItIs;

  const find = finder(resource, fieldMap ?? {}, { dryRun, stop });
  const counts: Counts = { read: 0, stored: 0, present: 0, updated: 0, refused: 0, line: 0 };
  const run = async (): Promise<void> => {
    const start = performance.now();
    const progress = startProgress(size);
    const onProgress = () => progress.update(position(), counts.read);
    try {
      const files = { refusedFile, presentFile };
      await load({ resource, rows, convert, find, dryRun, update, ...files, onProgress, stop }, counts);
    } catch (error) {
      throw counts.read === 0 ? error : cutShort(error, counts);
    } finally {
      progress.stop();
      if (counts.read > 0)
        console.log(summary(counts, { file, refusedFile, presentFile, dryRun, update, start }));
    }
  };
  await (dryRun ? run() : withDatabase(run));
  if (stop.aborted) {
    say(`Interrupted: the rows up to line ${counts.line} are done; running it again creates no duplicates.`);
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
      present: { type: 'string' },
      delimiter: { type: 'string' },
      encoding: { type: 'string' },
      update: { type: 'boolean', default: false },
      'dry-run': { type: 'boolean', default: false },
    },
  });
  const [collection, file, ...more] = positionals;
  const resource = resourceNamed(collection);
  if (file === undefined) throw new UsageError('Name the file to import; - is standard input.');
  if (more.length > 0) throw new UsageError(`Unexpected argument: ${more.join(' ')}`);
  const format = formatOf(values.format, file);
  if (!format) throw new UsageError(`The format of ${file} is unclear: add --format csv or --format ndjson.`);
  const name = file === '-' ? 'stdin' : basename(file);
  const refusedFile = values.refused ?? `${name}.refused.ndjson`;
  const presentFile = values.present ?? `${name}.present.ndjson`;
  if (new Set([refusedFile, presentFile, file].map((path) => resolve(path))).size < 3)
    throw new UsageError('--refused, --present and the imported file must be different files.');
  const delimiter = values.delimiter?.replace('\\t', '\t');
  if (delimiter !== undefined && (delimiter.length !== 1 || /["\r\n=]/.test(delimiter)))
    throw new UsageError('--delimiter takes one character; write a tab as \\t.');
  const { map, update, 'dry-run': dryRun } = values;
  const decoder = decoderOf(values.encoding);
  return { resource, file, format, map, update, dryRun, refusedFile, presentFile, delimiter, decoder };
}

/** Undefined for UTF-8, which is checked line by line. */
function decoderOf(encoding: string | undefined): TextDecoder | undefined {
  try {
    const decoder = new TextDecoder(encoding, { fatal: true });
    return decoder.encoding === 'utf-8' ? undefined : decoder;
  } catch {
    throw new UsageError(`--encoding takes an encoding such as windows-1252, not "${encoding}".`);
  }
}

/** The input, its length if known, and how much has been read. */
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

/** MongoDB's `_id` is accepted as `id`. */
const asItIs = (values: unknown): unknown => {
  if (values === null || typeof values !== 'object' || !('_id' in values) || 'id' in values) return values;
  const { _id: id, ...others } = values;
  return { id, ...others };
};

const cutShort = (error: unknown, { line }: Counts): Error =>
  new Error(
    `The import stopped after line ${line}: ${(error as Error).message}\n` +
      'Stored rows are kept. Fix the problem and run it again: nothing is stored twice.',
    { cause: error },
  );

interface Report {
  file: string;
  refusedFile: string;
  presentFile: string;
  dryRun: boolean;
  update: boolean;
  start: number;
}

function summary(
  { read, stored, present, updated, refused }: Counts,
  { file, refusedFile, presentFile, dryRun, update, start }: Report,
): string {
  const rows = dryRun
    ? [`${count(read - refused)} valid; this was a dry run, nothing was stored`]
    : [
        `${count(stored)} stored`,
        ...(update ? [`${count(updated)} updated`] : []),
        `${count(present)} already there (a document has the same id or unique value), not changed${present > 0 ? `: see ${presentFile}` : ''}`,
      ];
  rows.push(`${count(refused)} refused${refused > 0 ? `: see ${refusedFile}` : ''}`);
  return `${file}: ${count(read)} rows read ${pace(read, start)}\n${rows.map((row) => `  ${row}`).join('\n')}`;
}

await runProgram(USAGE, main);
