import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { mongo } from 'mongoose';
import type { Filter } from '../layout.ts';

/**
 * A migration is a value: a file of its own, that never changes once it has been applied anywhere, and the steps
 * that it consists of. Steps come from `structure.ts` and `documents.ts`, and are literals: what a migration does
 * must not change when a definition does.
 */
export interface Migration {
  /** The name of its file: 0001-initial. */
  id: string;
  file: string;
  steps: Step[];
  /** It takes away what the version before uses, so it waits until no server of that version runs. */
  afterDeployment: boolean;
  /** The version before can work with it: one that is restarted after it was applied starts. */
  compatible: boolean;
}

export interface Step {
  up: Action;
  /** What undoes it, or why nothing can. */
  down: Action | string;
}

export type Action = Structure | Documents;

/** A change of what no transaction can contain: collections, indexes, validators. */
export interface Structure {
  kind: 'structure';
  title: string;
  /** What it changes; undefined: perhaps anything. */
  collection?: string;
  /** Can be done twice: who is killed right after it is followed by somebody who does it again. */
  apply: (db: mongo.Db, check: Check) => Promise<void>;
  foresee?: (db: mongo.Db) => Promise<Foresight>;
  /** It only adds: a program that knows nothing of it works as before, and breaks nothing. */
  adds?: boolean;
  /** Throws where it must not be done as things stand; asked before anything of its migration is. */
  refuse?: (db: mongo.Db) => Promise<void>;
}

/** Throws if another process has taken over. To be called right before what no transaction can contain. */
export type Check = () => Promise<void>;

/** A change of the documents of one collection. */
export interface Documents {
  kind: 'documents';
  title: string;
  collection: string;
  where: Filter;
  how: How;
  /** In batches, beside whatever else uses the collection; undefined: all of it in one transaction. */
  online?: {
    /** What no document may match afterwards; undefined: a later step takes care of what comes to match meanwhile. */
    verify?: Filter;
    /** What comes to match `where` meanwhile is changed too: `verify` is the same. */
    repeatable: boolean;
  };
}

/** An aggregation pipeline; or a function that says which fields to set, undefined to remove one. */
export type How = { update: mongo.Document[] } | { each: (document: any) => Record<string, unknown> };

/** What an action would do. */
export interface Foresight {
  /** How many documents would change, and a few of them. */
  changes?: number;
  samples?: { before: unknown; after: unknown }[];
  /** How many documents stand in its way, and the ids of a few. */
  refused?: number;
  ids?: unknown[];
  /** The rules that those few break: title.maxLength. */
  rules?: string[];
  /** Why MongoDB would refuse it, whatever the documents are. */
  conflict?: string;
}

/**
 * A migration, in the file of this URL (`import.meta.url`). Whether the version before can work with it follows from its
 * steps unless `compatible` says so.
 */
export function migration(
  url: string,
  steps: Step[],
  {
    afterDeployment = false,
    compatible = steps.every(({ up }) => up.kind === 'structure' && up.adds === true),
  } = {},
): Migration {
  // Built code stands beside its source, so that the checksum is that of the source in either case.
  const file = fileURLToPath(url).replace(/\.js$/, '.ts');
  return { id: basename(file, '.ts'), file, steps, afterDeployment, compatible };
}

/** Without the last ones that wait for the end of the version before; one that others follow has waited long enough. */
export const beforeDeployment = (migrations: Migration[]): Migration[] =>
  migrations.slice(0, migrations.findLastIndex(({ afterDeployment }) => !afterDeployment) + 1);

/** The SHA-256 of a migration's source; line ends do not count. */
export async function checksumOf({ id, file }: Migration): Promise<string> {
  try {
    const source = await readFile(file, 'utf8');
    return createHash('sha256').update(source.replaceAll('\r\n', '\n')).digest('hex');
  } catch (error) {
    throw new Error(`The source of the migration ${id} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
