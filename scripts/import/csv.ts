import { type Line, MAX_RECORD } from './lines.ts';
import { type Reason, type Row, reason, unreadable } from './row.ts';

/**
 * CSV as RFC 4180 has it. Read here and not by csv-parse, which after a misplaced quote or a record that is too
 * large loses rows that are in order, and whose line numbers a CRLF in quotes puts out.
 * An empty cell is null; a quoted empty one is the empty text. Without a delimiter, the first line tells it: either it
 * says so (`sep=;`, as Excel writes it), or it is what stands most often in the header.
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
  /** Lines to be read again, the next one last. */
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
      // Only the first line is given up: the quote that is wrong may be in it, and the next ones in order.
      while (more.length > 0) again.push(more.pop() as Line);
      yield { first, size: first.text.length, fault: first.fault ?? (open ? UNCLOSED : MISPLACED) };
    }
  }
}

const UNCLOSED = reason('malformed_csv', 'opens a quote that nothing closes');
const MISPLACED = reason(
  'malformed_csv',
  'has a quote in the wrong place: a cell that contains quotes must stand in quotes, its own ones doubled',
);

/** Whether it opens a quote that it does not close, or the other way round. */
function isOpen({ text, fault }: Line): boolean {
  if (fault) return false;
  let open = false;
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at + 1)) open = !open;
  return open;
}

const SEP = /^"?sep=(.)"?\r?$/i;

/** What stands most often in a header, outside of quotes; a comma, where none of them does. */
function likelyDelimiter(header: string): string {
  const bare = header.replace(/"[^"]*"/g, '');
  const timesOf = (delimiter: string) => bare.split(delimiter).length;
  return [',', ';', '\t', '|'].reduce((best, one) => (timesOf(one) > timesOf(best) ? one : best));
}

/**
 * The cells of a record, or nothing where its quotes are misplaced. Library programs write `="9780441478125"`, so that a
 * spreadsheet leaves the digits alone: it stands for what is in the quotes.
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

/** A new one each time, because it remembers where it is. */
const cellWith = (delimiter: string): RegExp => {
  const end = delimiter.replace(/[\\^$.*+?()[\]{}|-]/g, '\\$&');
  return new RegExp(`(?:="([^"]*)"|"([^"]*(?:""[^"]*)*)"|([^"${end}]*))(${end}|$)`, 'y');
};
