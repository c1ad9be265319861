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

Brings the database to what the program needs, by the migrations of src/migrations. It may run while the API does,
and several times at once: one does the work, the others wait.

  status      what is applied and what is pending; then how the database differs from the definitions, and how many
              of a thousand documents of each collection break the rules
  up          apply what is pending, but for what takes away something that servers of the version before use; with
              --all that, too. Ctrl-C stops it after the batch under way, and the next up goes on from there
  down        undo the last one; with --to all that came after that one, with --to 0 all
  redo        undo the last one and apply it again
  plan        what up would do: how many documents change, a few of them before and after, and what stands in the way
  new NAME    write a migration that makes the database what the definitions say, and register it; if something is
              taken away or tightened, write another one for after the deployment. Overwrites nothing
  shard       on a sharded cluster, after up: distribute the collections that grow over the shards. It may be done again
  --rename    with new: a field that has another name now keeps its values. COLLECTION/OLD:NEW, where several
              collections have such fields; may be given more than once
  --to        the last migration to apply, or to keep: its name or its number
  --dry-run   with up: the same as plan; with down: what it would undo, and what of it cannot be (exit code 2)
  --json      print the result as JSON

Exit codes: 0 all is applied and as defined, or done; 1 status, plan: migrations are pending; 2 it could not run or
could not finish, or the migrations are not in order; 3 status: all is applied, and the database is not as defined;
130 interrupted.`;

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
