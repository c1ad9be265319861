import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { loadConfig } from '../src/config.ts';
import { database as db, openDatabase } from '../src/mongo/connect.ts';
import { describe } from './backup/layout.ts';
import { atOneTime, type BackupFile, takeBackup } from './backup/take.ts';
import { toTar } from './backup/tar.ts';
import { count, pace, runProgram, say, UsageError } from './program.ts';
import { startProgress } from './progress.ts';

const USAGE = `Usage: npm run backup -- DIR
       npm run --silent backup -- - > backup.tar

Writes a consistent snapshot of the whole database while it is in use: all documents (accounts, keys and the audit
trail among them), validators, indexes and views. It contains password hashes and e-mail addresses: keep it safe.
TOKEN_KEYS is not included.

  DIR   a new or empty folder: compressed Extended JSON, and manifest.json with counts and checksums
  -     the same files as one tar stream on standard output

npm run restore -- DIR restores it into an empty database.

Exit codes: 0 done, 2 it could not run or could not finish, 130 interrupted.`;

await runProgram(USAGE, async (stop) => {
  const [target, ...more] = process.argv.slice(2);
  if (target === undefined || more.length > 0)
    throw new UsageError('Name one folder, or - for standard output.');
  if (target === '-' && process.stdout.isTTY)
    throw new UsageError('Standard output is a terminal: send the backup to a file or a program.');
  if (target !== '-') await prepareFolder(target);
  const database = await openDatabase(loadConfig(), say);
  try {
    const start = performance.now();
    const progress = startProgress(await size());
    let rows = 0;
    try {
      await atOneTime(db(), (session) => {
        const files = takeBackup(db(), session, () => progress.update(++rows, rows));
        return target === '-'
          ? pipeline(files, toTar, process.stdout, { signal: stop })
          : writeFiles(target, files, stop);
      });
    } catch (error) {
      if (stop.aborted) {
        say('Interrupted: the backup is incomplete and cannot be restored.');
        return stop.reason as number;
      }
      throw new Error(`The backup is incomplete and cannot be restored: ${(error as Error).message}`, {
        cause: error,
      });
    } finally {
      progress.stop();
    }
    say(`${count(rows)} documents backed up ${pace(rows, start)}`);
    return 0;
  } finally {
    await database.close();
  }
});

/** Before anything is written. Only the owner may read it: it contains personal data. */
async function prepareFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new Error(`${folder} cannot be created: ${(error as Error).message}`, { cause: error });
  }
  if ((await readdir(folder)).length > 0) throw new Error(`${folder} is not empty: name a new folder.`);
}

async function size(): Promise<number> {
  let size = 0;
  for (const { name, isView } of await describe(db()))
    if (!isView) size += await db().collection(name).estimatedDocumentCount();
  return size;
}

async function writeFiles(
  folder: string,
  files: AsyncIterable<BackupFile>,
  signal: AbortSignal,
): Promise<void> {
  for await (const { name, bytes } of files) {
    await writeFile(join(folder, name), bytes, { flag: 'wx', mode: 0o600, flush: true });
    signal.throwIfAborted();
  }
}
