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

Stores the rows of a CSV file (with a header) or an NDJSON file as documents, after the same validation as the
API's. Running it again doubles nothing: a row without an id gets one from its content, and a row whose id or
unique value exists counts as already there. What exists is not changed, unless --update says so.

  RESOURCE        what the rows are, as the API's path names it: ${resources.map(({ collection }) => collection).join(', ')}
  FILE            ends in .csv, .ndjson or .jsonl, or else give --format; - is standard input
  --map MAP       a JSON file that says which column each field is made from (scripts/import/map.ts describes it);
                  without one, columns are fields by their names, as an export writes them
  --dry-run       validate only: nothing is stored and no database needed, so references are not followed
  --update        documents that are there already get what their rows say; other fields stay as they are
  --refused FILE  where refused rows go, with their lines and reasons; FILE.refused.ndjson here unless given
  --present FILE  where rows that are there already go, with the field that says so; FILE.present.ndjson here
  --format        csv or ndjson, which may be what mongoexport writes
  --delimiter     what separates cells; unless given, a line like sep=; or else the header tells: , ; | or a tab
  --encoding      the encoding of the file, such as windows-1252 or utf-16le; UTF-8 unless given

Exit codes: 0 every row is in, 1 some were refused, 2 it could not run or could not finish, 130 interrupted.`;

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
  if (more.length > 0) throw new UsageError(`This is one argument too many: ${more.join(' ')}`);
  const format = formatOf(values.format, file);
  if (!format) throw new UsageError(`Say with --format whether ${file} is csv or ndjson.`);
  const name = file === '-' ? 'stdin' : basename(file);
  const refusedFile = values.refused ?? `${name}.refused.ndjson`;
  const presentFile = values.present ?? `${name}.present.ndjson`;
  if (new Set([refusedFile, presentFile, file].map((path) => resolve(path))).size < 3)
    throw new UsageError('The rows that are listed cannot go into one file, or into the file that is read.');
  const delimiter = values.delimiter?.replace('\\t', '\t');
  if (delimiter !== undefined && (delimiter.length !== 1 || /["\r\n=]/.test(delimiter)))
    throw new UsageError('--delimiter takes one character; a tab is written \\t.');
  const { map, update, 'dry-run': dryRun } = values;
  const decoder = decoderOf(values.encoding);
  return { resource, file, format, map, update, dryRun, refusedFile, presentFile, delimiter, decoder };
}

/** Nothing for UTF-8, of which each line is checked. */
function decoderOf(encoding: string | undefined): TextDecoder | undefined {
  try {
    const decoder = new TextDecoder(encoding, { fatal: true });
    return decoder.encoding === 'utf-8' ? undefined : decoder;
  } catch {
    throw new UsageError(
      `--encoding takes the name of an encoding, such as windows-1252, not "${encoding}".`,
    );
  }
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

/** MongoDB's name of the id is taken for it. */
const asItIs = (values: unknown): unknown => {
  if (values === null || typeof values !== 'object' || !('_id' in values) || 'id' in values) return values;
  const { _id: id, ...others } = values;
  return { id, ...others };
};

const cutShort = (error: unknown, { line }: Counts): Error =>
  new Error(
    `The import stopped after line ${line}: ${(error as Error).message}\n` +
      'What is stored stays; run it again when that is mended, and nothing is stored twice.',
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
