import type { mongo } from 'mongoose';
import { Problem } from '../../errors.ts';
import { readHistory } from './journal.ts';
import type { Migration } from './migration.ts';

/** Whether the database is as this version of the program wants it. */
export interface Readiness {
  /** Throws the problem that every request gets until it is. */
  require: () => void;
  stop: () => void;
}

const LOOK_EVERY = 1_000;

/**
 * Looks at the migrations until none is pending. From then on it is ready for good: a later migration must leave
 * the version before it in working order, so that one can replace the other without a pause.
 */
export async function watchReadiness(
  db: mongo.Db,
  migrations: Migration[],
  say: (line: string) => void,
): Promise<Readiness> {
  let problem = await notReady(db, migrations);
  const look = async () => {
    try {
      problem = await notReady(db, migrations);
    } catch {
      return; // The database is gone at the moment; what was known before holds.
    }
    if (problem) return;
    clearInterval(timer);
    say('Ready: the migrations are applied.');
  };
  const timer = setInterval(() => void look(), LOOK_EVERY).unref();
  if (problem) say(`Not ready: ${problem.message}`);
  else clearInterval(timer);
  return {
    require: () => {
      if (problem) throw problem;
    },
    stop: () => clearInterval(timer),
  };
}

/** Why this version of the program cannot work with the database; undefined if it can. */
export async function notReady(db: mongo.Db, migrations: Migration[]): Promise<Problem | undefined> {
  const { ahead, missing, pending } = await readHistory(db, migrations);
  const unknown = [...missing, ...ahead];
  if (unknown.length > 0)
    return new Problem(
      'database_ahead',
      `The database has migrations that this version does not know (${unknown.join(', ')}): deploy the version that has them.`,
      { headers: RETRY },
    );
  if (pending.length > 0)
    return new Problem(
      'migrations_pending',
      `Migrations are not applied yet (${pending.map(({ id }) => id).join(', ')}): npm run migrate -- up`,
      { headers: RETRY },
    );
  return undefined;
}

const RETRY = { 'Retry-After': '5' };
