/** Why a row is refused: the fault that the API would report, without its place, which is always the body. */
export interface Reason {
  pointer: string;
  code: string;
  message: string;
}

/** A fault of a row as a whole. */
export const reason = (code: string, message: string): Reason => ({ pointer: '', code, message });

/** A record of the file: its values, or why it could not be read. */
export interface Row {
  /** Its first line. */
  line: number;
  /** Its approximate size in memory. */
  size: number;
  values?: unknown;
  fault?: Reason;
  /** The row as JSON, for the file of refused rows. */
  json(): string;
}

export const unreadable = ({ number, text }: { number: number; text: string }, fault: Reason): Row => ({
  line: number,
  size: text.length,
  fault,
  json: () => JSON.stringify(text),
});
