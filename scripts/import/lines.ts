import { isUtf8 } from 'node:buffer';
import { type Reason, reason } from './row.ts';

/** A line of the file, without its line ending. */
export interface Line {
  number: number;
  text: string;
  /** Why the line cannot be used. */
  fault?: Reason;
}

/** The longest record, in bytes. It bounds the memory for a file without line feeds. */
export const MAX_RECORD = 2 ** 20;

const LF = 0x0a;
const CR = 0x0d;

/** Lines end with LF or CRLF or, in a file that has none before its first CR, with CR. */
export async function* readLines(input: AsyncIterable<Buffer>): AsyncGenerator<Line, undefined> {
  let number = 0;
  let held: Buffer[] = [];
  let size = 0;
  let lineEnd: number | undefined;
  const hold = (piece: Buffer): void => {
    if (size <= MAX_RECORD) held.push(piece);
    size += piece.length;
  };
  const release = (): Line => {
    const line = toLine(++number, Buffer.concat(held), size);
    held = [];
    size = 0;
    return line;
  };
  for await (const chunk of input) {
    let start = 0;
    if (lineEnd === undefined && (chunk.includes(LF) || chunk.includes(CR)))
      lineEnd = chunk.includes(LF) ? LF : CR;
    for (let end = chunk.indexOf(lineEnd ?? LF); end >= 0; end = chunk.indexOf(lineEnd ?? LF, start)) {
      hold(chunk.subarray(start, end));
      yield release();
      start = end + 1;
    }
    hold(chunk.subarray(start));
  }
  if (size > 0) yield release();
}

function toLine(number: number, bytes: Buffer, size: number): Line {
  if (size > MAX_RECORD) return { number, text: beginning(bytes), fault: TOO_LONG };
  const text = bytes.toString();
  if (!isUtf8(bytes))
    return {
      number,
      text,
      fault: reason('invalid_utf8', 'is not UTF-8: if the file has another encoding, add --encoding'),
    };
  return { number, text: number === 1 ? text.replace(/^\uFEFF/, '') : text };
}

const TOO_LONG = reason('too_long', `is longer than ${MAX_RECORD} bytes`);

/** The beginning of a line that is too long, to find it by. */
const beginning = (bytes: Buffer): string => `${bytes.toString('utf8', 0, 200)}…`;
