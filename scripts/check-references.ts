import { parseArgs } from 'node:util';
import { GUARDS, guards } from '../src/mongo/guards.ts';
import { collections } from '../src/resources/api.ts';
import { checkReferences, type Dangling, type Mend } from '../src/schema/check.ts';
import { checkGuards } from '../src/schema/check-guards.ts';
import { isObjectId } from '../src/schema/fields.ts';
import { modelOf } from '../src/schema/model.ts';
import { isEntry } from '../src/schema/places.ts';
import type { Reference } from '../src/schema/resource.ts';
import { audited, count, pace, runProgram, say, UsageError, withDatabase } from './program.ts';
import { startProgress } from './progress.ts';

const USAGE = `Usage: npm run check-references [-- --repair [--dry-run]]

Finds dangling references, and guards of documents that no longer exist. The API leaves neither
behind, but other tools can. It may run while the API does.

  --repair    repair them by their policies: detach removes the references from their lists, or sets
              them to null; cascade removes the referring documents, as DELETE does. References with restrict
              cannot be repaired automatically and remain. Guards without a document are removed.
              Changes are recorded in the audit trail.
  --dry-run   with --repair: only show what it would do

Exit codes: 0 nothing was found, or everything was repaired; 1 some remain; 2 it could not run or could not finish,
130 interrupted.`;

type Mode = 'check' | 'dry-run' | 'repair';

/** Findings of one kind, and the first lines about them. */
interface Tally {
  what: string;
  found: number;
  mended: number;
  lines: string[];
  /** What must be done by hand. */
  advice?: string | undefined;
}
type Tallies = Map<string, Tally>;

const SHOWN = 20;

const referring = collections.filter(({ references }) => references.length > 0);

async function main(stop: AbortSignal): Promise<number> {
  const mode = readArguments();
  return withDatabase(async () => {
    const start = performance.now();
    const progress = startProgress(await estimatedSize());
    const tallies: Tallies = new Map();
    let read = 0;
    try {
      for await (const more of check(mode, tallies)) {
        read += more;
        progress.update(read, read);
        if (stop.aborted) break;
      }
    } finally {
      progress.stop();
      report(tallies, mode);
    }
    console.log(`${count(read)} documents and guards read ${pace(read, start)}`);
    if (stop.aborted) {
      say('Interrupted: the rest has not been checked.');
      return stop.reason as number;
    }
    if (tallies.size === 0) console.log('No reference is dangling.');
    return [...tallies.values()].some(({ found, mended }) => mended < found) ? 1 : 0;
  });
}

function readArguments(): Mode {
  const { values } = parseArgs({ options: { repair: { type: 'boolean' }, 'dry-run': { type: 'boolean' } } });
  if (values['dry-run'] && !values.repair) throw new UsageError('--dry-run belongs to --repair.');
  if (!values.repair) return 'check';
  return values['dry-run'] ? 'dry-run' : 'repair';
}

async function estimatedSize(): Promise<number> {
  let size = await guards().estimatedDocumentCount();
  for (const resource of referring) size += await modelOf(resource).estimatedDocumentCount();
  return size;
}

/** Yields how many documents or guards it has checked since the last time. */
async function* check(mode: Mode, tallies: Tallies): AsyncGenerator<number> {
  const mending = mode === 'repair';
  const mend = mending ? auditedRepair : undefined;
  for (const resource of referring)
    for await (const { read, dangling } of checkReferences(resource, mend)) {
      for (const one of dangling) addDangling(tallies, one, mode);
      yield read;
    }
  for await (const { read, surplus } of checkGuards(mending)) {
    for (const guard of surplus) {
      const line = `${GUARDS} ${guard}: its document does not exist`;
      add(tallies, { what: `surplus ${GUARDS}`, line: line + outcome(mode, 'removed'), mended: mending });
    }
    yield read;
  }
}

const auditedRepair: Mend = (work) => audited('check-references', work);

function addDangling(tallies: Tallies, { reference, id, missing, mended, reason }: Dangling, mode: Mode) {
  const { from, field, target, policy } = reference;
  const what = `dangling ${from.collection}.${field}`;
  const end = reason ? `; ${reason}` : policy === 'restrict' ? '' : outcome(mode, repairOf(reference));
  for (const value of missing) {
    const fault = isObjectId(value)
      ? `/${target.collection}/${value} does not exist`
      : `${JSON.stringify(value)} is not an id`;
    add(tallies, {
      what,
      line: `/${from.collection}/${id} ${field}: ${fault}${end}`,
      mended,
      advice: advice(reference),
    });
  }
}

function add(
  tallies: Tallies,
  {
    what,
    line,
    mended,
    advice,
  }: { what: string; line: string; mended: boolean; advice?: string | undefined },
) {
  const tally = tallies.get(what) ?? { what, found: 0, mended: 0, lines: [], advice };
  tallies.set(what, tally);
  tally.found++;
  if (mended) tally.mended++;
  if (tally.lines.length < SHOWN) tally.lines.push(line);
}

const repairOf = (reference: Reference): string => {
  if (reference.policy === 'cascade') return 'removed';
  return isEntry(reference) ? 'removed from the list' : 'set to null';
};

const outcome = (mode: Mode, done: string): string =>
  ({ check: '', 'dry-run': `; would be ${done}`, repair: `; ${done}` })[mode];

const advice = ({ policy, from: { collection }, target }: Reference): string | undefined =>
  policy === 'restrict'
    ? `cannot be repaired automatically: change the reference (PATCH /${collection}/{id}), remove the referring document ` +
      `(DELETE /${collection}/{id}), or restore the missing ${target.collection}`
    : undefined;

function report(tallies: Tallies, mode: Mode): void {
  for (const { what, found, lines } of tallies.values()) {
    for (const line of lines) console.log(line);
    if (found > lines.length) console.log(`  and ${count(found - lines.length)} more ${what}`);
  }
  for (const { what, found, mended, advice } of tallies.values()) {
    const repair =
      advice ??
      (mode === 'repair' ? `${count(mended)} repaired` : 'npm run check-references -- --repair repairs them');
    console.log(`${count(found)} ${what}: ${repair}`);
  }
}

await runProgram(USAGE, main);
