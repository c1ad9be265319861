import type { Types } from 'mongoose';
import { record } from '../../src/http/audit.ts';
import type { AnyResource } from '../../src/schema/resource.ts';
import { changesOf, operationOf } from '../program.ts';
import { type Document, documentMaker, type Made } from './document.ts';
import { insert, type Outcome } from './insert.ts';
import { refusedRows } from './refused.ts';
import type { Find } from './find.ts';
import type { Reason, Row } from './row.ts';
import { updatePresent } from './update.ts';

export interface Counts {
  read: number;
  stored: number;
  /** Rows whose id or unique value existed before; those documents are unchanged. */
  present: number;
  /** The same, with documents changed to what the row says. */
  updated: number;
  refused: number;
  /** The line of the last completed row. */
  line: number;
}

interface Load {
  resource: AnyResource;
  rows: AsyncIterable<Row>;
  /** Makes the JSON of a document from a row. */
  convert: (values: unknown) => unknown;
  /** Replaces names by ids. */
  find: Find;
  dryRun: boolean;
  /** Whether existing documents are changed to what the row says. */
  update: boolean;
  refusedFile: string;
  presentFile: string;
  onProgress: () => void;
  stop: AbortSignal;
}

/** A batch is limited by rows and by characters: a thousand rows may be large. */
const BATCH = { rows: 1_000, size: 4 * 2 ** 20 };

/** Stores the rows in batches until the end or until it is stopped. Keeps the counts up to date. */
export async function load(
  { resource, rows, convert, find, dryRun, update, refusedFile, presentFile, onProgress, stop }: Load,
  counts: Counts,
): Promise<void> {
  const toDocument = documentMaker(resource);
  const [refused, present] = [refusedRows(refusedFile), refusedRows(presentFile)];

  const take = async (batch: (Made & { row: Row })[]): Promise<void> => {
    const documents = batch.flatMap(({ document, reasons }) =>
      document && reasons.length === 0 ? document : [],
    );
    const outcome = dryRun ? nothing() : await insert(resource, documents, stop);
    const updated: Types.ObjectId[] = [];
    for (const made of update ? batch : []) {
      const document = made.document as Document;
      if (!outcome.present.has(document)) continue;
      const { id, refused } = await updatePresent(resource, { ...made, document });
      if (id) updated.push(id);
      if (refused) outcome.refused.set(document, refused);
      if (id || refused) outcome.present.delete(document);
    }
    await record(operationOf(`import ${resource.collection}`), {
      changes: [...changesOf(resource, 'create', outcome.ids), ...changesOf(resource, 'update', updated)],
      events: [],
    });
    for (const made of batch) made.reasons.push(...(outcome.refused.get(made.document as Document) ?? []));
    await present.add(
      batch.flatMap(({ row, document }) => {
        const field = outcome.present.get(document as Document);
        return field === undefined ? [] : [{ row, reasons: [presentBy(field)] }];
      }),
    );
    const bad = batch.filter(({ reasons }) => reasons.length > 0);
    await refused.add(bad);
    counts.read += batch.length;
    counts.stored += outcome.ids.length;
    counts.present += outcome.present.size;
    counts.updated += updated.length;
    counts.refused += bad.length;
    counts.line = batch.at(-1)?.row.line ?? counts.line;
    onProgress();
  };

  try {
    for await (const batch of batches(untilStopped(rows, stop))) {
      const json = batch.map((row) => (row.fault ? undefined : convert(row.values)));
      const missing = await find(json);
      await take(
        batch.map((row, i) => {
          if (row.fault) return { row, reasons: [row.fault] };
          const made = toDocument(json[i]);
          return { row, ...made, reasons: [...(missing[i] ?? []), ...made.reasons] };
        }),
      );
    }
  } finally {
    await refused.close();
    await present.close();
  }
}

const presentBy = (field: string): Reason => ({
  pointer: `/${field}`,
  code: 'present',
  message: 'is already used by another document',
});

const nothing = (): Outcome => ({ ids: [], present: new Map(), refused: new Map() });

async function* batches(rows: AsyncIterable<Row>): AsyncGenerator<Row[]> {
  let batch: Row[] = [];
  let size = 0;
  for await (const row of rows) {
    batch.push(row);
    size += row.size;
    if (batch.length < BATCH.rows && size < BATCH.size) continue;
    yield batch;
    batch = [];
    size = 0;
  }
  if (batch.length > 0) yield batch;
}

/** The input is destroyed when the program is told to stop; what has been read by then is still stored. */
async function* untilStopped(rows: AsyncIterable<Row>, stop: AbortSignal): AsyncGenerator<Row> {
  try {
    yield* rows;
  } catch (error) {
    if (!stop.aborted) throw error;
  }
}
