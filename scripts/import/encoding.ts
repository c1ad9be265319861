import type { TextDecoder } from 'node:util';

/** Converts a file from another encoding (windows-1252, utf-16le, …) to UTF-8. */
export async function* toUtf8(input: AsyncIterable<Buffer>, decoder: TextDecoder): AsyncGenerator<Buffer> {
  for await (const chunk of input) yield Buffer.from(decoder.decode(chunk, { stream: true }));
  yield Buffer.from(decoder.decode());
}
