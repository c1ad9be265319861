import { Readable } from 'node:stream';
import { stringify } from 'csv-stringify/sync';
import type { Context } from 'koa';
import { z } from 'zod';
import { caller, iterateAs } from '../auth/caller.ts';
import { Problem } from '../errors.ts';
import type { Row } from '../schema/json/read.ts';
import type { Form } from './route.ts';
import { seats } from './seats.ts';

/** Whole collections as text, one document a line. */

type Batches = AsyncIterable<Pick<Row, 'json'>[]>;

interface Stream {
  /** `signal` aborts when the client disconnects. */
  rows: (input: any, signal: AbortSignal) => Promise<Batches>;
  /** The columns of a CSV. */
  columns: (query: any) => string[];
}

const takeSeat = seats({
  kind: 'export',
  perAccount: 10,
  perAddress: 20,
  refuse: (most) =>
    new Problem('rate_limited', `A client may have ${most} streams at a time; wait for one to end.`, {
      headers: { 'Retry-After': '5' },
    }),
});

/** The formats in which a list can be streamed. */
export function streams(name: string, { rows, columns }: Stream): Record<string, Form> {
  const form = (type: string, ending: string, schema: z.ZodType, lines: Lines): Form => ({
    format: ending,
    schema,
    send: async (ctx, input) => {
      const leave = takeSeat(ctx);
      // Koa, its log and the stream listen to one response; Node suspects a leak at eleven listeners.
      ctx.res.setMaxListeners(20);
      // The client may have disconnected during authentication.
      if (ctx.res.closed) return leave();
      const found = await rows(input, untilClosed(ctx, leave));
      ctx.attachment(`${name}.${ending}`);
      ctx.type = type;
      ctx.body = Readable.from(iterateAs(caller(), lines(found, columns(input.query), input.query)));
    },
  });
  return {
    'application/x-ndjson': form('application/x-ndjson', 'ndjson', NDJSON_TEXT, ndjson),
    'text/csv': form('text/csv', 'csv', CSV_TEXT, csv),
  };
}

const NDJSON_TEXT = z.string().meta({
  id: 'Ndjson',
  description: 'All documents, one JSON object a line',
  examples: ['{"id":"65f000000000000000000a01"}\n{"id":"65f000000000000000000a02"}\n'],
});

const CSV_TEXT = z.string().meta({
  id: 'Csv',
  description:
    'All documents, one a row (RFC 4180), after a header row. Lists are JSON, null is an empty cell, an empty text is `""`. For spreadsheets see `formulas` and `bom`',
  examples: ['id\r\n65f000000000000000000a01\r\n65f000000000000000000a02\r\n'],
});

/** Aborts when the client disconnects before the answer is complete; `end` is called in any case. */
function untilClosed({ res }: Context, end: () => void): AbortSignal {
  const controller = new AbortController();
  res.once('close', () => {
    end();
    if (!res.writableFinished) controller.abort();
  });
  return controller.signal;
}

const NEWLINE = Buffer.from('\n');

async function* ndjson(batches: Batches) {
  for await (const rows of batches) yield Buffer.concat(rows.flatMap(({ json }) => [json, NEWLINE]));
}

/**
 * CSV after RFC 4180. Cells with a line break of any kind are quoted, because readers disagree on which of them end a
 * row. So are empty texts, to tell them from null.
 */
export const CSV = {
  record_delimiter: 'windows',
  quoted_match: /^$|[\r\n\v\f\u0085\u2028\u2029]/,
  cast: { boolean: String },
} as const;

/** Characters that spreadsheets take for the beginning of a formula, full-width forms included. */
const FORMULA = /^[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]/;

type Lines = (batches: Batches, columns: string[], options: CsvOptions) => AsyncGenerator<string | Buffer>;

interface CsvOptions {
  formulas?: 'keep' | 'escape';
  bom?: boolean;
}

async function* csv(batches: Batches, columns: string[], { formulas, bom }: CsvOptions) {
  yield `${bom ? '\ufeff' : ''}${stringify([columns], CSV)}`;
  const cell = (value: unknown): unknown =>
    formulas === 'escape' && typeof value === 'string' && FORMULA.test(value) ? `'${value}` : value;
  for await (const rows of batches) {
    const table = rows.map(({ json }) => {
      const document = JSON.parse(json.toString()) as unknown;
      return columns.map((column) => cell(at(document, column)));
    });
    yield stringify(table, CSV);
  }
}

const at = (json: unknown, column: string): unknown =>
  column
    .split('.')
    .reduce<unknown>((value, name) => (value as Record<string, unknown> | null)?.[name] ?? null, json);
