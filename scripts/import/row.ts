/** Why a row is refused: what the API would answer to it, less the place, which is always the body. */
export interface Reason {
  pointer: string;
  code: string;
  message: string;
}

/** What is wrong with a row as a whole. */
export const reason = (code: string, message: string): Reason => ({ pointer: '', code, message });

/** A record of the file: its values, or why it could not be read. */
export interface Row {
  /** The line on which it starts. */
  line: number;
  /** About how much memory it takes. */
  size: number;
  values?: unknown;
  fault?: Reason;
  /** The row as JSON, for who looks at the refused ones. */
  json(): string;
}

export const unreadable = ({ number, text }: { number: number; text: string }, fault: Reason): Row => ({
  line: number,
  size: text.length,
  fault,
  json: () => JSON.stringify(text),
});
