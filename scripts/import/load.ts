import { record } from '../../src/http/audit.ts';
import type { Change } from '../../src/schema/changes.ts';
import type { AnyResource } from '../../src/schema/resource.ts';
import { operationOf } from '../program.ts';
import { type Document, documentMaker, type Made } from './document.ts';
import { insert, type Outcome } from './insert.ts';
import { refusedRows } from './refused.ts';
import type { Row } from './row.ts';

export interface Counts {
  read: number;
  stored: number;
  /** Their id or a unique value of theirs was there before; what had it is unchanged. */
  present: number;
  refused: number;
  /** Where the last row starts that is done with. */
  line: number;
}

interface Load {
  resource: AnyResource;
  rows: AsyncIterable<Row>;
  /** Makes the JSON of a document of what a row says. */
  convert: (values: unknown) => unknown;
  dryRun: boolean;
  refusedFile: string;
  onProgress: () => void;
  stop: AbortSignal;
}

/** A batch is full at so many rows or so many characters: a thousand rows may be large. */
const BATCH = { rows: 1_000, size: 4 * 2 ** 20 };

/** Takes the rows batch by batch, until there are no more or it is told to stop. Keeps the counts up to date. */
export async function load(
  { resource, rows, convert, dryRun, refusedFile, onProgress, stop }: Load,
  counts: Counts,
): Promise<void> {
  const toDocument = documentMaker(resource);
  const refused = refusedRows(refusedFile);

  const take = async (batch: (Made & { row: Row })[]): Promise<void> => {
    const documents = batch.flatMap(({ document }) => document ?? []);
    const outcome = dryRun ? NOTHING : await insert(resource, documents, stop);
    await record(operationOf(`import ${resource.collection}`), {
      changes: changesOf(resource, outcome),
      events: [],
    });
    for (const made of batch) made.reasons.push(...(outcome.refused.get(made.document as Document) ?? []));
    const bad = batch.filter(({ reasons }) => reasons.length > 0);
    await refused.add(bad);
    counts.read += batch.length;
    counts.stored += outcome.ids.length;
    counts.present += outcome.present;
    counts.refused += bad.length;
    counts.line = batch.at(-1)?.row.line ?? counts.line;
    onProgress();
  };

  try {
    for await (const batch of batches(untilStopped(rows, stop)))
      await take(
        batch.map((row) => ({
          row,
          ...(row.fault ? { reasons: [row.fault] } : toDocument(convert(row.values), row.line)),
        })),
      );
  } finally {
    await refused.close();
  }
}

/** What the audit trail has of a batch. */
const changesOf = ({ collection }: AnyResource, { ids }: Outcome): Change[] =>
  ids.map((document) => ({ resource: collection, document, action: 'create', by: undefined }));

const NOTHING: Outcome = { ids: [], present: 0, refused: new Map() };

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

/** Its input is destroyed when the program is told to stop; what has been read by then is still taken. */
async function* untilStopped(rows: AsyncIterable<Row>, stop: AbortSignal): AsyncGenerator<Row> {
  try {
    yield* rows;
  } catch (error) {
    if (!stop.aborted) throw error;
  }
}
