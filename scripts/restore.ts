import { loadConfig } from '../src/config.ts';
import { database as db, openDatabase } from '../src/mongo/connect.ts';
import { checkBackup, putBack, refuseFull } from './backup/put-back.ts';
import { count, pace, runProgram, say, UsageError } from './program.ts';
import { startProgress } from './progress.ts';

const USAGE = `Usage: npm run restore -- DIR

Restores a backup of npm run backup into an empty database: documents, validators, indexes and views. All checksums are
verified before anything is written, and the counts afterwards. If it fails, the database is empty again.

  DIR   the folder of the backup; unpack a stream first: mkdir DIR && tar -xf backup.tar -C DIR

Exit codes: 0 done, 2 it could not run or could not finish, 130 interrupted.`;

await runProgram(USAGE, async (stop) => {
  const [folder, ...more] = process.argv.slice(2);
  if (folder === undefined || more.length > 0) throw new UsageError('Give the folder of a backup.');
  const manifest = await checkBackup(folder);
  const total = manifest.collections.reduce((sum, { documents }) => sum + documents, 0);
  say(
    `The backup is complete: ${count(total)} documents as of ${new Date(manifest.clusterTime.t * 1000).toISOString()}`,
  );
  const database = await openDatabase(loadConfig(), say);
  try {
    await refuseFull(db());
    const start = performance.now();
    const progress = startProgress(total);
    let rows = 0;
    try {
      await putBack(db(), manifest, {
        folder,
        signal: stop,
        onRows: (more) => {
          rows += more;
          progress.update(rows, rows);
        },
        say: (line) => {
          progress.stop();
          say(line);
        },
      });
    } catch (error) {
      if (stop.aborted) {
        say('Interrupted: the database is empty again.');
        return stop.reason as number;
      }
      throw new Error(`Nothing was restored, the database is empty again: ${(error as Error).message}`, {
        cause: error,
      });
    } finally {
      progress.stop();
    }
    say(
      `${count(total)} documents restored ${pace(rows, start)}. Compare with the definitions: npm run migrate -- status`,
    );
    return 0;
  } finally {
    await database.close();
  }
});
