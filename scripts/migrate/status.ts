import { type Difference, describe, differences } from '../../src/mongo/differences.ts';
import { isChecked, type Layout, readLayout, toMongo } from '../../src/mongo/layout.ts';
import { type Entry, faultsOf, type History, readHistory } from '../../src/mongo/migrate/journal.ts';
import { beforeDeployment, type Migration } from '../../src/mongo/migrate/migration.ts';
import { count } from '../program.ts';
import type { Surroundings } from './arguments.ts';
import { undistributed } from './shard.ts';
import { isOfView } from './skeleton.ts';

/** Shows what is applied, what is pending, and how the database differs from the definitions; returns the exit code. */
export async function status(around: Surroundings, json: boolean): Promise<number> {
  const { db, migrations, wanted, print } = around;
  const history = await readHistory(db, migrations);
  const faults = await faultsOf(migrations, history);
  const ids = [...new Set([...history.entries.keys(), ...migrations.map(({ id }) => id)])].toSorted();
  const list = ids.map((id) => history.entries.get(id) ?? { _id: id, state: 'pending' as const });
  // Differences that pending migrations would resolve are not worth reporting.
  const settled = faults.length === 0 && history.pending.length === 0;
  const drift = settled ? differences(wanted, await readLayout(db)) : [];
  const shapes = settled ? await oddShapes(db, wanted) : [];
  const whole = settled ? await undistributed(around) : [];

  if (json)
    print(
      JSON.stringify({
        migrations: list.map(({ _id, ...entry }) => ({ id: _id, ...entry })),
        faults,
        drift: settled ? drift : null,
        shapes: settled ? shapes : null,
        undistributed: settled ? whole : null,
      }),
    );
  else {
    for (const entry of list) print(line(entry));
    for (const fault of faults) print(`✗ ${fault}`);
    for (const difference of drift) print(`≠ ${describe(difference)}`);
    for (const { collection, odd, sampled } of shapes)
      print(`≠ ${collection}: of ${count(sampled)} sampled documents, ${count(odd)} break its rules`);
    if (whole.length > 0)
      print(
        `Not distributed over the shards: ${whole.join(', ')}. To distribute them: npm run migrate -- shard`,
      );
    if (settled && drift.length + shapes.length === 0) print('The database matches the definitions.');
    else if (settled) print(remedy(drift));
    else if (faults.length === 0) print(advice(history, migrations));
  }
  if (faults.length > 0) return 2;
  if (!settled) return 1;
  return drift.length + shapes.length > 0 ? 3 : 0;
}

const remedy = (drift: Difference[]): string =>
  drift.length > 0 && drift.every(isOfView)
    ? 'npm run migrate -- up recreates the views.'
    : 'npm run migrate -- new NAME writes a migration that makes the database match the definitions.';

function advice({ entries, pending }: History, migrations: Migration[]): string {
  const needed = beforeDeployment(migrations).filter((migration) => pending.includes(migration));
  const half = pending.find(({ id }) => entries.get(id)?.state === 'undoing');
  return half
    ? `${half.id} is half undone: finish that with npm run migrate -- down`
    : `${pending.length} pending: npm run migrate -- up${needed.length > 0 ? '' : ' --all, once no server of the previous version runs'}`;
}

function line(entry: Entry | { _id: string; state: 'pending' }): string {
  if (entry.state === 'pending') return `${entry._id}  pending`;
  if (entry.state !== 'applied') {
    const walked = entry.checkpoint ? `, ${count(entry.checkpoint.walked)} documents into the next` : '';
    return `${entry._id}  ${entry.state}: ${entry.step} steps done${walked}`;
  }
  const changed = entry.changed > 0 ? `, ${count(entry.changed)} documents changed` : '';
  return `${entry._id}  applied ${entry.finishedAt?.toISOString()} in ${count(entry.durationMs ?? 0)} ms${changed}`;
}

const SAMPLE = 1_000;

interface Shapes {
  collection: string;
  sampled: number;
  odd: number;
}

/** Documents that break the rules, in a sample of each collection: older than the rules, or written around them. */
async function oddShapes(db: Surroundings['db'], wanted: Layout): Promise<Shapes[]> {
  const all: Shapes[] = [];
  for (const [collection, layout] of Object.entries(wanted)) {
    if (!isChecked(layout)) continue;
    const [found] = await db
      .collection(collection)
      .aggregate<{ all: { n: number }[]; odd: { n: number }[] }>([
        { $sample: { size: SAMPLE } },
        {
          $facet: {
            all: [{ $count: 'n' }],
            odd: [{ $match: { $nor: [toMongo(layout)] } }, { $count: 'n' }],
          },
        },
      ])
      .toArray();
    const odd = found?.odd[0]?.n ?? 0;
    if (odd > 0) all.push({ collection, sampled: found?.all[0]?.n ?? 0, odd });
  }
  return all;
}
