import { Readable } from 'node:stream';
import { stringify } from 'csv-stringify/sync';
import type { Context } from 'koa';
import type { z } from 'zod';
import { caller, iterateAs } from '../auth/caller.ts';
import { shapeOf } from '../schema/shape.ts';
import type { Form } from './route.ts';

/** Whole collections as text: one document a line. */

type Shape = (stored: unknown) => unknown;
type Batches = AsyncIterable<unknown[]>;

interface Stream {
  item: z.ZodType;
  /** `signal`: the client has gone. */
  batches: (input: any, signal: AbortSignal) => Promise<Batches>;
  /** The columns of a CSV. */
  columns: (query: any) => string[];
}

/** The forms in which a list can be read to its end. */
export function streams({ item, batches, columns }: Stream): Record<string, Form> {
  const shape = shapeOf(item);
  const form = (type: string, description: string, example: string, lines: typeof csv): Form => ({
    content: { schema: { type: 'string', description }, example },
    send: async (ctx, input) => {
      ctx.type = type;
      const found = await batches(input, untilClosed(ctx));
      ctx.body = Readable.from(iterateAs(caller(), lines(found, shape, columns(input.query))));
    },
  });
  return {
    'application/x-ndjson': form(
      'application/x-ndjson',
      'All documents, one as JSON on each line',
      '{"id":"65f000000000000000000a01"}\n{"id":"65f000000000000000000a02"}\n',
      ndjson,
    ),
    'text/csv': form(
      'text/csv',
      'All documents, one a row (RFC 4180), after a row of names',
      'id\r\n65f000000000000000000a01\r\n65f000000000000000000a02\r\n',
      csv,
    ),
  };
}

/** Aborts when the client goes before it has all of the answer. */
function untilClosed({ res }: Context): AbortSignal {
  const controller = new AbortController();
  res.once('close', () => {
    if (!res.writableFinished) controller.abort();
  });
  return controller.signal;
}

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
