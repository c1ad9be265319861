/**
 * A writer of JSON into one growing buffer, which all answers share in turn: writing is synchronous. take() returns
 * the result.
 */

/** The size kept for the next answer, however large the last one was. */
const KEPT = 1 << 20;

let out = Buffer.allocUnsafe(KEPT);
let end = 0;

function reserve(bytes: number): void {
  if (end + bytes <= out.length) return;
  const larger = Buffer.allocUnsafe(Math.max(out.length * 2, end + bytes));
  out.copy(larger, 0, 0, end);
  out = larger;
}

/** The number of bytes written. */
export const written = (): number => end;

/** Discards everything written after a mark. */
export const rewind = (mark: number): void => {
  end = mark;
};

/** Removes what was written after a mark, and returns it as a buffer of its own. */
export function take(mark: number): Buffer {
  const taken = Buffer.from(out.subarray(mark, end));
  end = mark;
  if (mark === 0 && out.length > KEPT) out = Buffer.allocUnsafe(KEPT);
  return taken;
}

/** A character of ASCII, by its code. */
export function char(code: number): void {
  reserve(1);
  out[end++] = code;
}

export function raw(bytes: Buffer): void {
  reserve(bytes.length);
  // A loop is faster than a call for the few bytes of a name.
  if (bytes.length < 32) for (let i = 0; i < bytes.length; i++) out[end + i] = bytes[i] as number;
  else out.set(bytes, end);
  end += bytes.length;
}

/** Appends JSON from a string. */
export function json(text: string): void {
  reserve(text.length * 3);
  end += out.write(text, end);
}

const QUOTE = 34;
const BACKSLASH = 92;

/** A string from its UTF-8. Invalid UTF-8 becomes the replacement character, as in the driver. */
export function text(bytes: Buffer, from: number, to: number): void {
  const length = to - from;
  reserve(length + 2);
  const start = end;
  out[end++] = QUOTE;
  for (let i = from; i < to; i++) {
    const code = bytes[i] as number;
    if (code < 32 || code > 126 || code === QUOTE || code === BACKSLASH) {
      end = start;
      return json(JSON.stringify(bytes.toString('utf8', from, to)));
    }
    out[end++] = code;
  }
  out[end++] = QUOTE;
}

const HEX = Buffer.from('0123456789abcdef');

/** An id: 24 hexadecimal digits. */
export function id(bytes: Buffer, at: number): void {
  reserve(26);
  out[end++] = QUOTE;
  for (let i = at; i < at + 12; i++) {
    const byte = bytes[i] as number;
    out[end++] = HEX[byte >> 4] as number;
    out[end++] = HEX[byte & 15] as number;
  }
  out[end++] = QUOTE;
}

const DAY = 86_400_000;
/** The latest time that JavaScript can represent, and the negative of the earliest. */
const LAST = 100_000_000 * DAY;
/** Recently written days, as text: `"2026-01-31T`. */
const days = new Map<number, Buffer>();
const MAX_DAYS = 1_000;

function textOfDay(day: number): Buffer {
  const known = days.get(day);
  if (known) return known;
  if (days.size === MAX_DAYS) days.clear();
  const text = Buffer.from(`"${new Date(day * DAY).toISOString().slice(0, -'00:00:00.000Z'.length)}`);
  days.set(day, text);
  return text;
}

/** A time from its milliseconds, as Date's toISOString() formats it; null if invalid. */
export function time(milliseconds: number): void {
  if (Math.abs(milliseconds) > LAST) return json('null');
  const day = Math.floor(milliseconds / DAY);
  raw(textOfDay(day));
  reserve(14);
  const rest = milliseconds - day * DAY;
  const seconds = Math.trunc(rest / 1_000);
  const minutes = Math.trunc(seconds / 60);
  twoDigits(Math.trunc(minutes / 60), 58);
  twoDigits(minutes % 60, 58);
  twoDigits(seconds % 60, 46);
  const thousandths = rest - seconds * 1_000;
  out[end++] = ZERO + Math.trunc(thousandths / 100);
  twoDigits(thousandths % 100, 90);
  out[end++] = QUOTE;
}

const ZERO = 48;

/** A number below 100, followed by a character. */
function twoDigits(number: number, after: number): void {
  out[end++] = ZERO + Math.trunc(number / 10);
  out[end++] = ZERO + (number % 10);
  out[end++] = after;
}
