import type { TextDecoder } from 'node:util';

/** The bytes of a file in another encoding (windows-1252, utf-16le, …) as UTF-8. */
export async function* toUtf8(input: AsyncIterable<Buffer>, decoder: TextDecoder): AsyncGenerator<Buffer> {
  for await (const chunk of input) yield Buffer.from(decoder.decode(chunk, { stream: true }));
  yield Buffer.from(decoder.decode());
}
