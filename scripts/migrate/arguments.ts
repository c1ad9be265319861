import { parseArgs } from 'node:util';
import type { mongo } from 'mongoose';
import type { Layout } from '../../src/mongo/layout.ts';
import type { Migration } from '../../src/mongo/migrate/migration.ts';
import { UsageError } from '../program.ts';
import type { Progress as Bar } from '../progress.ts';

/** What a command of the migrations is told, and what it works with. */

const COMMANDS = ['status', 'up', 'down', 'redo', 'plan', 'new', 'shard'] as const;

export interface Arguments {
  command: (typeof COMMANDS)[number];
  name?: string | undefined;
  to?: string | undefined;
  /** Old and new names of fields, as OLD:NEW. */
  renames: string[];
  /** Also what waits until the version before is gone. */
  all: boolean;
  dryRun: boolean;
  json: boolean;
}

export function readArguments(argv: string[]): Arguments {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      to: { type: 'string' },
      rename: { type: 'string', multiple: true, default: [] },
      all: { type: 'boolean', default: false },
      'dry-run': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  const [word, name, ...more] = positionals;
  const command = COMMANDS.find((known) => known === word);
  if (!command)
    throw new UsageError(
      word
        ? `There is no "${word}"; there are ${COMMANDS.join(', ')}.`
        : `Say what to do: ${COMMANDS.join(', ')}.`,
    );
  const extra = command === 'new' ? more[0] : name;
  if (extra !== undefined) throw new UsageError(`This is one argument too many: ${extra}`);
  if (command === 'new' && !/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name ?? ''))
    throw new UsageError('Name the migration in lower case, such as add-publisher.');
  const dryRun = values['dry-run'];
  if (dryRun && command !== 'up' && command !== 'down')
    throw new UsageError('--dry-run belongs to up and down.');
  if (values.to !== undefined && command !== 'up' && command !== 'down' && command !== 'plan')
    throw new UsageError('--to belongs to up, down and plan.');
  if (values.rename.length > 0 && command !== 'new') throw new UsageError('--rename belongs to new.');
  if (values.all && command !== 'up' && command !== 'plan')
    throw new UsageError('--all belongs to up and plan.');
  return {
    command: dryRun && command === 'up' ? 'plan' : command,
    name,
    to: values.to,
    renames: values.rename,
    all: values.all,
    dryRun,
    json: values.json,
  };
}

export interface Surroundings {
  db: mongo.Db;
  migrations: Migration[];
  /** What the definitions say. */
  wanted: Layout;
  /** The collections that may grow without a bound. */
  growing: string[];
  /** Where migrations stand as sources. */
  folder: string;
  signal: AbortSignal;
  /** For people. */
  say: (line: string) => void;
  /** The result. */
  print: (text: string) => void;
  startProgress: (total: number) => Bar;
}
