import type { Line } from './lines.ts';
import { type Row, reason, unreadable } from './row.ts';

export async function* readNdjson(lines: AsyncIterable<Line>): AsyncGenerator<Row> {
  for await (const line of lines) {
    if (line.fault) yield unreadable(line, line.fault);
    else if (/\S/.test(line.text)) yield parse(line);
  }
}

function parse(line: Line): Row {
  const { number, text } = line;
  try {
    // As it stands: numbers keep their digits, and what is nested too deeply to be written needs no writing.
    return { line: number, size: text.length, values: JSON.parse(text), json: () => text.trim() };
  } catch (error) {
    return unreadable(line, reason('malformed_json', `is not JSON: ${(error as Error).message}`));
  }
}
