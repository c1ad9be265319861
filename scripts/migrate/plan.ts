import { inspect } from 'node:util';
import { foreseeDocuments } from '../../src/mongo/migrate/documents.ts';
import { type Entry, forDeployment, readHistory, refuseFaults } from '../../src/mongo/migrate/journal.ts';
import type { Action, Foresight, Step } from '../../src/mongo/migrate/migration.ts';
import { refuseUndoing, upTo } from '../../src/mongo/migrate/run.ts';
import { count } from '../program.ts';
import type { Arguments, Surroundings } from './arguments.ts';

/** Shows what `up` would do in the present state; returns the exit code. */
export async function plan(
  { db, migrations, print }: Surroundings,
  { to, all, json }: Pick<Arguments, 'to' | 'all' | 'json'>,
): Promise<number> {
  const history = await readHistory(db, migrations);
  await refuseFaults(migrations, history);
  const applicable = to === undefined && !all ? forDeployment(migrations, history) : upTo(migrations, to);
  const pending = applicable.filter((migration) => history.pending.includes(migration));
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

/** Shows what `down` would undo and what cannot be undone; returns the exit code. */
export async function planDown(
  { db, migrations, print }: Surroundings,
  { to, json }: Pick<Arguments, 'to' | 'json'>,
): Promise<number> {
  const history = await readHistory(db, migrations);
  await refuseFaults(migrations, history);
  const applied = migrations.filter(({ id }) => history.entries.has(id));
  const kept = to === undefined ? applied.slice(0, -1) : upTo(migrations, to);
  const undone = applied.filter((migration) => !kept.includes(migration)).toReversed();
  const planned = [];
  for (const migration of undone) {
    const { id, steps } = migration;
    const entry = history.entries.get(id) as Entry;
    const foreseen = [];
    for (const { up, down } of doneSteps(steps, entry))
      foreseen.push(
        typeof down === 'string'
          ? { step: up.title, cannot: down }
          : { step: down.title, ...(await foresee(db, down)) },
      );
    const refusal = await refuseUndoing(db, migration, entry).then(
      () => undefined,
      (error: Error) => error.message,
    );
    planned.push({ id, steps: foreseen, ...(refusal && { refusal }) });
  }
  if (json) print(JSON.stringify({ undone: planned }));
  else if (planned.length === 0) print('Nothing to do: no migration is applied.');
  else
    for (const { id, steps, refusal } of planned) {
      print(id);
      if (refusal) print(`  ✗ ${refusal}`);
      for (const { step, ...foresight } of steps)
        print(
          'cannot' in foresight
            ? `  ✗ ${step} cannot be undone: ${foresight.cannot}`
            : `  ${step}${text(foresight)}`,
        );
    }
  return planned.some(({ steps, refusal }) => refusal || steps.some((step) => 'cannot' in step)) ? 2 : 0;
}

/** The completed steps of a migration, last one first; if it is half undone, the remaining ones. */
const doneSteps = (steps: Step[], { state, step, checkpoint }: Entry): Step[] => {
  if (state === 'undoing') return steps.toReversed().slice(step);
  return steps.slice(0, state === 'applied' ? steps.length : step + (checkpoint ? 1 : 0)).toReversed();
};

const foresee = async (db: Surroundings['db'], action: Action): Promise<Foresight> =>
  action.kind === 'documents' ? foreseeDocuments(db, action) : ((await action.foresee?.(db)) ?? {});

function text({ changes, samples = [], refused = 0, ids = [], rules = [], conflict }: Foresight): string {
  const parts = [];
  if (changes !== undefined) parts.push(`: ${count(changes)} documents change`);
  for (const { before, after } of samples) parts.push(`\n    - ${show(before)}\n    + ${show(after)}`);
  if (refused > 0) {
    const few = ids.length > 0 ? `, such as ${ids.map(String).join(', ')}` : '';
    const what = refused === 1 ? ['document blocks', 'it'] : ['documents block', 'them'];
    parts.push(`\n    ${count(refused)} ${what[0]} it unless an earlier step changes ${what[1]}${few}`);
  }
  if (rules.length > 0) parts.push(`: ${rules.join(', ')}`);
  if (conflict) parts.push(`\n    ✗ ${conflict}`);
  return parts.join('');
}

const show = (document: unknown): string =>
  inspect(document, { breakLength: Number.POSITIVE_INFINITY, depth: 4, maxStringLength: 200 });
