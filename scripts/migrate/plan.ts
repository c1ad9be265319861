import { inspect } from 'node:util';
import { foreseeDocuments } from '../../src/mongo/migrate/documents.ts';
import { readHistory, refuseFaults } from '../../src/mongo/migrate/journal.ts';
import type { Action, Foresight } from '../../src/mongo/migrate/migration.ts';
import { upTo } from '../../src/mongo/migrate/run.ts';
import { count } from '../program.ts';
import type { Arguments, Surroundings } from './command.ts';

/** What `up` would do, as the database is now; answers the exit code. */
export async function plan(
  { db, migrations, print }: Surroundings,
  { to, json }: Pick<Arguments, 'to' | 'json'>,
): Promise<number> {
  const history = await readHistory(db, migrations);
  await refuseFaults(migrations, history);
  const pending = upTo(migrations, to).filter((migration) => history.pending.includes(migration));
  const planned = [];
  for (const { id, steps } of pending) {
    const done = history.entries.get(id)?.step ?? 0;
    const foreseen = [];
    for (const { up } of steps.slice(done)) foreseen.push({ step: up.title, ...(await foresee(db, up)) });
    planned.push({ id, steps: foreseen });
  }
  if (json) print(JSON.stringify({ pending: planned }));
  else if (planned.length === 0) print('Nothing is pending.');
  else
    for (const { id, steps } of planned) {
      print(id);
      for (const { step, ...foresight } of steps) print(`  ${step}${text(foresight)}`);
    }
  return planned.length > 0 ? 1 : 0;
}

const foresee = async (db: Surroundings['db'], action: Action): Promise<Foresight> =>
  action.kind === 'documents' ? foreseeDocuments(db, action) : ((await action.foresee?.(db)) ?? {});

function text({ changes, samples = [], refused = 0, ids = [] }: Foresight): string {
  const parts = [];
  if (changes !== undefined) parts.push(`: ${count(changes)} documents change`);
  for (const { before, after } of samples) parts.push(`\n    - ${show(before)}\n    + ${show(after)}`);
  if (refused > 0)
    parts.push(
      `\n    ${count(refused)} documents stand in its way unless a step before it changes them, such as ${ids.map(String).join(', ')}`,
    );
  return parts.join('');
}

const show = (document: unknown): string =>
  inspect(document, { breakLength: Number.POSITIVE_INFINITY, depth: 4, maxStringLength: 200 });
