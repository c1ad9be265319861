import { EJSON } from 'bson';
import type { Line } from './lines.ts';
import { type Row, reason, unreadable } from './row.ts';

export async function* readNdjson(lines: AsyncIterable<Line>): AsyncGenerator<Row> {
  for await (const line of lines) {
    if (line.fault) yield unreadable(line, line.fault);
    else if (/\S/.test(line.text)) yield parse(line);
  }
}

/**
 * mongoexport writes Extended JSON: ids as `{ "$oid": … }`, times as `{ "$date": … }`, typed numbers. These are
 * converted to the API's JSON.
 */
const plain = (values: unknown, text: string): unknown =>
  /"\$(oid|date|number\w+|uuid|symbol)"/.test(text)
    ? JSON.parse(
        JSON.stringify(EJSON.deserialize(values as object)),
        (_, part) => part?.$numberDecimal ?? part,
      )
    : values;

function parse(line: Line): Row {
  const { number, text } = line;
  try {
    // The line itself: numbers keep their digits, and deeply nested values need not be serialised.
    return {
      line: number,
      size: text.length,
      values: plain(JSON.parse(text), text),
      json: () => text.trim(),
    };
  } catch (error) {
    return unreadable(line, reason('malformed_json', `is not JSON: ${(error as Error).message}`));
  }
}
