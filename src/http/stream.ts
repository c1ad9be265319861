import { Readable } from 'node:stream';
import { stringify } from 'csv-stringify/sync';
import { caller, iterateAs } from '../auth/caller.ts';

/** Whole collections as text: one document a line. */

type Shape = (stored: unknown) => unknown;
type Batches = AsyncIterable<unknown[]>;

export const STREAM_TYPES = ['application/x-ndjson', 'text/csv'] as const;

export const streamOf = (type: string, batches: Batches, shape: Shape, columns: string[]): Readable =>
  Readable.from(
    iterateAs(caller(), type === 'text/csv' ? csv(batches, shape, columns) : ndjson(batches, shape)),
  );

async function* ndjson(batches: Batches, shape: Shape) {
  for await (const batch of batches)
    yield batch.map((stored) => `${JSON.stringify(shape(stored))}\n`).join('');
}

/** RFC 4180; null is an empty cell, and what is not one value stands as its JSON. */
async function* csv(batches: Batches, shape: Shape, columns: string[]) {
  yield stringify([columns], { record_delimiter: 'windows' });
  for await (const batch of batches) {
    const rows = batch.map((stored) => {
      const json = shape(stored) as Record<string, unknown>;
      return columns.map((column) => cell(json[column]));
    });
    yield stringify(rows, { record_delimiter: 'windows' });
  }
}

const cell = (value: unknown): unknown =>
  value !== null && typeof value === 'object'
    ? JSON.stringify(value)
    : typeof value === 'boolean'
      ? String(value)
      : value;
