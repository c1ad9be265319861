import { type Line, MAX_RECORD } from './lines.ts';
import { type Reason, type Row, reason, unreadable } from './row.ts';

/**
 * CSV after RFC 4180. Not csv-parse, which loses valid rows after a misplaced quote or a record that is too large, and
 * miscounts lines after a CRLF in quotes. An empty cell is null; a quoted empty cell is the empty text. Without a
 * delimiter, the first line decides: `sep=;` (as Excel writes it), or the most frequent candidate in the header.
 */
export async function* readCsv(
  lines: AsyncGenerator<Line, undefined>,
  checkColumns: (columns: string[]) => void,
  delimiter?: string,
): AsyncGenerator<Row> {
  let columns: string[] | undefined;
  for await (const { first, size, cells, fault } of readRecords(lines, delimiter)) {
    if (fault) {
      if (!columns) throw new Error(`The header cannot be read: line ${first.number} ${fault.message}.`);
      yield unreadable(first, fault);
    } else if (!columns) {
      columns = cells.map((cell) => cell ?? '');
      checkColumns(columns);
    } else if (cells.length !== columns.length) {
      const message = `has ${cells.length} cells where the header has ${columns.length}`;
      yield {
        line: first.number,
        size,
        fault: reason('malformed_csv', message),
        json: () => JSON.stringify(cells),
      };
    } else {
      const values = Object.fromEntries(columns.map((column, i) => [column, cells[i]]));
      yield { line: first.number, size, values, json: () => JSON.stringify(values) };
    }
  }
  if (!columns) throw new Error('The file is empty: a CSV file starts with a header.');
}

type Cells = (string | null)[];
type Read = { first: Line; size: number } & (
  | { cells: Cells; fault?: undefined }
  | { cells?: undefined; fault: Reason }
);

async function* readRecords(
  lines: AsyncGenerator<Line, undefined>,
  given: string | undefined,
): AsyncGenerator<Read> {
  let delimiter = given;
  /** Lines to be read again, in reverse order. */
  const again: Line[] = [];
  const next = async (): Promise<Line | undefined> => again.pop() ?? (await lines.next()).value;

  for (let first = await next(); first; first = await next()) {
    if (first.text === '' || first.text === '\r') continue;
    const [, said] = (first.number === 1 && SEP.exec(first.text)) || [];
    delimiter ??= said ?? likelyDelimiter(first.text);
    if (said) continue;
    const more: Line[] = [];
    let text = first.text;
    let open = isOpen(first);
    while (open && text.length <= MAX_RECORD) {
      const line = await next();
      if (!line) break;
      more.push(line);
      if (line.fault) break;
      text += `\n${line.text}`;
      if (isOpen(line)) open = false;
    }
    const cells = open ? undefined : cellsOf(text.replace(/\r$/, ''), delimiter);
    if (cells && !first.fault) yield { first, size: text.length, cells };
    else {
      // Only the first line is skipped: it may have the wrong quote, and the next lines may be valid.
      while (more.length > 0) again.push(more.pop() as Line);
      yield { first, size: first.text.length, fault: first.fault ?? (open ? UNCLOSED : MISPLACED) };
    }
  }
}

const UNCLOSED = reason('malformed_csv', 'has an opening quote without a closing one');
const MISPLACED = reason(
  'malformed_csv',
  'has a misplaced quote: a cell with quotes must be quoted, and its quotes doubled',
);

/** Whether its quotes are unbalanced. */
function isOpen({ text, fault }: Line): boolean {
  if (fault) return false;
  let open = false;
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at + 1)) open = !open;
  return open;
}

const SEP = /^"?sep=(.)"?\r?$/i;

/** The most frequent candidate in a header, outside quotes; a comma if there is none. */
function likelyDelimiter(header: string): string {
  const bare = header.replace(/"[^"]*"/g, '');
  const timesOf = (delimiter: string) => bare.split(delimiter).length;
  return [',', ';', '\t', '|'].reduce((best, one) => (timesOf(one) > timesOf(best) ? one : best));
}

/**
 * The cells of a record, or undefined if its quotes are misplaced. `="9780441478125"`, which library programs write so
 * that spreadsheets keep the digits, means the quoted text.
 */
function cellsOf(record: string, delimiter: string): Cells | undefined {
  const cell = cellWith(delimiter);
  const cells: Cells = [];
  for (let match = cell.exec(record); match; match = cell.exec(record)) {
    const [, formula, quoted, plain, end] = match;
    const text = formula ?? quoted?.replaceAll('""', '"').replace(/^="([\dXx-]*)"$/, '$1');
    cells.push(text ?? (plain || null));
    if (end === '') return cells;
  }
  return undefined;
}

/** Created anew each time, because it is stateful. */
const cellWith = (delimiter: string): RegExp => {
  const end = delimiter.replace(/[\\^$.*+?()[\]{}|-]/g, '\\$&');
  return new RegExp(`(?:="([^"]*)"|"([^"]*(?:""[^"]*)*)"|([^"${end}]*))(${end}|$)`, 'y');
};
