import type { mongo } from 'mongoose';
import { differences } from '../../src/mongo/differences.ts';
import { readLayout, viewsIn } from '../../src/mongo/layout.ts';
import { type History, readHistory, refuseFaults } from '../../src/mongo/migrate/journal.ts';
import { Interrupted } from '../../src/mongo/migrate/lock.ts';
import type { Migration } from '../../src/mongo/migrate/migration.ts';
import type { Progress } from '../../src/mongo/migrate/online.ts';
import { down, redo, up } from '../../src/mongo/migrate/run.ts';
import type { Arguments, Surroundings } from './arguments.ts';
import type { Progress as Bar } from '../progress.ts';
import { plan, planDown } from './plan.ts';
import { writeMigrations } from './new.ts';
import { shard } from './shard.ts';
import { status } from './status.ts';

/** Runs the command; returns the exit code. */
export async function migrate(args: Arguments, around: Surroundings): Promise<number> {
  const { db, migrations, wanted, print } = around;
  switch (args.command) {
    case 'status':
      return status(around, args.json);
    case 'plan':
      return plan(around, args);
    case 'shard':
      return shard(around);
    case 'new': {
      await refuseUnfinished(db, migrations);
      const changes = differences(wanted, await readLayout(db));
      const lines = await writeMigrations(around.folder, args.name as string, changes, args.renames);
      lines.forEach(print);
      return 0;
    }
    default:
      return args.dryRun ? planDown(around, args) : change(args, around);
  }
}

/** If migrations are pending, the difference would contain their changes again. */
async function refuseUnfinished(db: mongo.Db, migrations: Migration[]): Promise<void> {
  const history = await readHistory(db, migrations);
  await refuseFaults(migrations, history);
  const { pending } = history;
  if (pending.length > 0)
    throw new Error(
      `Apply pending migrations first (${pending.map(({ id }) => id).join(', ')}): npm run migrate -- up --all`,
    );
}

const WORK = { up, down, redo };

async function change({ command, to, all, json }: Arguments, around: Surroundings): Promise<number> {
  const { db, migrations, wanted, signal, say, print } = around;
  const progress = bars(around);
  try {
    const done = await WORK[command as keyof typeof WORK](db, migrations, {
      to,
      duringDeployment: !all,
      signal,
      say: (line) => {
        progress.stop();
        say(line);
      },
      onProgress: progress.update,
      views: viewsIn(wanted),
    });
    const what = command === 'down' ? 'undone' : 'applied';
    if (json) print(JSON.stringify({ [what]: done }));
    else
      print(
        done.length > 0
          ? `${done.join(', ')}: ${what}`
          : `Nothing to do: no migration is ${what === 'undone' ? 'applied' : 'pending'}.`,
      );
    if (command === 'up' && to === undefined) tellWaiting(around, await readHistory(db, migrations));
    return 0;
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    progress.stop();
    say(command === 'up' ? error.message : error.message.replace('-- up', `-- ${command}`));
    return Number(signal.reason);
  } finally {
    progress.stop();
  }
}

/** The migrations that this up has left for later. */
function tellWaiting({ say }: Surroundings, { pending }: History): void {
  if (pending.length === 0) return;
  say(
    `${pending.map(({ id }) => id).join(', ')}: pending until no server of the previous version runs. ` +
      'Then: npm run migrate -- up --all',
  );
}

/** A progress bar for each step that goes through a collection. */
function bars({ startProgress, say }: Surroundings) {
  let current: { title: string; bar: Bar } | undefined;
  const stop = () => {
    current?.bar.stop();
    current = undefined;
  };
  return {
    stop,
    update: ({ title, walked, total }: Progress) => {
      if (current?.title !== title) {
        stop();
        say(title);
        current = { title, bar: startProgress(total) };
      }
      current.bar.update(walked, walked);
    },
  };
}
