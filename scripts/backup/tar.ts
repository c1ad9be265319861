import type { BackupFile } from './take.ts';

/** Files as one tar stream (POSIX ustar: names of up to 100 characters, files of up to 8 GB). */
export async function* toTar(files: AsyncIterable<BackupFile>): AsyncGenerator<Buffer> {
  const now = Math.floor(Date.now() / 1000);
  for await (const { name, bytes } of files) {
    yield header(name, bytes.length, now);
    yield bytes;
    yield Buffer.alloc(-bytes.length & 511);
  }
  yield Buffer.alloc(1024);
}

function header(name: string, size: number, time: number): Buffer {
  const block = Buffer.alloc(512);
  const octal = (value: number, at: number, length: number) =>
    block.write(value.toString(8).padStart(length - 1, '0'), at);
  block.write(name, 0, 100);
  octal(0o600, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(time, 136, 12);
  // The checksum is computed as if its own field were blank.
  block.write('        0', 148);
  block.write('ustar\x0000', 257);
  octal(
    block.reduce((sum, byte) => sum + byte, 0),
    148,
    8,
  );
  return block;
}
