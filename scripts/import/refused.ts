import { type FileHandle, open } from 'node:fs/promises';
import type { Reason, Row } from './row.ts';

/** The NDJSON file of refused rows, created with the first one. */
export function refusedRows(path: string) {
  let file: FileHandle | undefined;
  return {
    async add(rows: { row: Row; reasons: Reason[] }[]): Promise<void> {
      if (rows.length === 0) return;
      file ??= await open(path, 'w');
      await file.appendFile(rows.map(toLine).join(''));
    },
    close: async (): Promise<void> => file?.close(),
  };
}

const toLine = ({ row, reasons }: { row: Row; reasons: Reason[] }): string =>
  `{"line":${row.line},"errors":${JSON.stringify(reasons)},"row":${row.json()}}\n`;
