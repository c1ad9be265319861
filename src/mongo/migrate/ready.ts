import { setTimeout as sleep } from 'node:timers/promises';
import type { mongo } from 'mongoose';
import { Problem } from '../../errors.ts';
import { databaseProblem } from '../failures.ts';
import { readHistory } from './journal.ts';
import { beforeDeployment, type Migration } from './migration.ts';

/** Whether the database is in the state that this version of the program needs. */
export interface Readiness {
  /** Throws the problem that every request gets until then. */
  require: () => void;
  /** Rejects with the reason if it can never become ready. */
  failure: Promise<never>;
  stop: () => void;
}

const LOOK_EVERY = 1_000;

/**
 * Polls the migrations until none is pending, then makes the other preparations for the first request. From then on it
 * stays ready: a later migration must keep the previous version working, so that versions can be exchanged without a
 * pause.
 */
export async function watchReadiness(
  db: mongo.Db,
  migrations: Migration[],
  { say, prepare }: { say: (line: string) => void; prepare: () => Promise<void> },
): Promise<Readiness> {
  const stopped = new AbortController();
  let problem = await notReady(db, migrations);
  if (problem) say(`Not ready: ${problem.message}`);
  else await prepare();

  const becomeReady = async (): Promise<void> => {
    while (problem) {
      await sleep(LOOK_EVERY, undefined, { signal: stopped.signal });
      try {
        const found = await notReady(db, migrations);
        if (!found) await prepare();
        problem = found;
      } catch (error) {
        // The database is unavailable or busy at the moment; the previous result stands.
        const passing = error instanceof Problem ? error : databaseProblem(error);
        if (passing?.status !== 503) throw error;
      }
    }
    say('Ready: the migrations are applied.');
  };
  const failure = new Promise<never>((_, reject) => {
    if (problem) becomeReady().catch((error) => stopped.signal.aborted || reject(error));
  });
  // It may reject before anything awaits it.
  failure.catch(() => {});
  return {
    require: () => {
      if (problem) throw problem;
    },
    failure,
    stop: () => stopped.abort(),
  };
}

/** Why this version of the program cannot work with the database; undefined if it can. */
export async function notReady(db: mongo.Db, migrations: Migration[]): Promise<Problem | undefined> {
  const { ahead, missing, ...history } = await readHistory(db, migrations);
  const needed = beforeDeployment(migrations);
  const pending = history.pending.filter((migration) => needed.includes(migration));
  const unknown = [...missing, ...ahead.filter((id) => !history.entries.get(id)?.compatible)];
  if (unknown.length > 0)
    return new Problem(
      'database_ahead',
      `The database has migrations that this version does not know and cannot work with (${unknown.join(', ')}): deploy the version that has them.`,
    );
  if (pending.length > 0)
    return new Problem(
      'migrations_pending',
      `Pending migrations (${pending.map(({ id }) => id).join(', ')}): npm run migrate -- up, or node dist/scripts/migrate.js up`,
    );
  return undefined;
}
