import { parseArgs } from 'node:util';
import type { mongo } from 'mongoose';
import type { Layout } from '../../src/mongo/layout.ts';
import type { Migration } from '../../src/mongo/migrate/migration.ts';
import { UsageError } from '../program.ts';
import type { Progress as Bar } from '../progress.ts';

/** The arguments and surroundings of a migration command. */

const COMMANDS = ['status', 'up', 'down', 'redo', 'plan', 'new', 'shard'] as const;

export interface Arguments {
  command: (typeof COMMANDS)[number];
  name?: string | undefined;
  to?: string | undefined;
  /** Renamed fields, as OLD:NEW. */
  renames: string[];
  /** Include migrations that wait for the end of the previous version. */
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
        ? `Unknown command "${word}"; commands are ${COMMANDS.join(', ')}.`
        : `Give a command: ${COMMANDS.join(', ')}.`,
    );
  const extra = command === 'new' ? more[0] : name;
  if (extra !== undefined) throw new UsageError(`Unexpected argument: ${extra}`);
  if (command === 'new' && !/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name ?? ''))
    throw new UsageError('Give the migration a name in lower case, such as add-publisher.');
  const dryRun = values['dry-run'];
  if (dryRun && command !== 'up' && command !== 'down')
    throw new UsageError('--dry-run can only be used with up and down.');
  if (values.to !== undefined && command !== 'up' && command !== 'down' && command !== 'plan')
    throw new UsageError('--to can only be used with up, down and plan.');
  if (values.rename.length > 0 && command !== 'new')
    throw new UsageError('--rename can only be used with new.');
  if (values.all && command !== 'up' && command !== 'plan')
    throw new UsageError('--all can only be used with up and plan.');
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
  /** The layout that the definitions want. */
  wanted: Layout;
  /** The collections that may grow without a bound. */
  growing: string[];
  /** The folder of the migrations' sources. */
  folder: string;
  signal: AbortSignal;
  /** Prints a message for people. */
  say: (line: string) => void;
  /** Prints the result. */
  print: (text: string) => void;
  startProgress: (total: number) => Bar;
}
