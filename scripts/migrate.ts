import { fileURLToPath } from 'node:url';
import { loadConfig } from '../src/config.ts';
import { AuditEntry } from '../src/http/audit.ts';
import { IDEMPOTENCY } from '../src/http/idempotency.ts';
import { migrations } from '../src/migrations/index.ts';
import { database as db, openDatabase } from '../src/mongo/connect.ts';
import { GUARDS } from '../src/mongo/guards.ts';
import { collections, resources } from '../src/resources/api.ts';
import { databaseOf } from '../src/schema/layout.ts';
import { readArguments } from './migrate/arguments.ts';
import { migrate } from './migrate/command.ts';
import { runProgram, say } from './program.ts';
import { startProgress } from './progress.ts';

const USAGE = `Usage: npm run migrate -- status | up | down | redo | plan | new NAME | shard   [--to MIGRATION] [--all] [--rename OLD:NEW] [--dry-run] [--json]

Applies the migrations of src/migrations to the database. It may run while the API does,
and several times at once: one process does the work, the others wait.

  status      applied and pending migrations; if none is pending, how the database differs from the definitions, and
              how many of a thousand documents per collection break the rules
  up          apply pending migrations, except those that remove something which servers of the previous version use;
              with --all, and on a database without migrations, those too. Ctrl-C stops after the current batch; the
              next up continues from there (after the first up of a database: up --all)
  down        undo the last migration; with --to all later ones, with --to 0 all
  redo        undo the last migration and apply it again
  plan        show what up would do: how many documents change, a few of them before and after, and what blocks it
  new NAME    write and register a migration that makes the database match the definitions; if something is
              removed or tightened, write a second one for after the deployment. Overwrites nothing
  shard       on a sharded cluster, after up: distribute growing collections over the shards. May be repeated
  --rename    with new: a renamed field keeps its values. COLLECTION/OLD:NEW if several
              collections have such fields; may be repeated
  --to        the last migration to apply or to keep: its name or number
  --dry-run   with up: the same as plan; with down: show what would be undone, and what cannot be (exit code 2)
  --json      print the result as JSON

Exit codes: 0 done, or everything is applied and as defined; 1 status, plan: migrations are pending; 2 it could not run
or could not finish, or the migrations are inconsistent; 3 status: all is applied, but the database differs from the
definitions; 130 interrupted.`;

await runProgram(USAGE, async (signal) => {
  const args = readArguments(process.argv.slice(2));
  const database = await openDatabase(loadConfig(), say);
  try {
    return await migrate(args, {
      db: db(),
      migrations,
      folder: fileURLToPath(new URL('../src/migrations', import.meta.url)),
      wanted: databaseOf(collections),
      growing: [...resources, AuditEntry].map(({ collection }) => collection).concat(IDEMPOTENCY, GUARDS),
      signal,
      say,
      print: (text) => console.log(text),
      startProgress,
    });
  } finally {
    await database.close();
  }
});
