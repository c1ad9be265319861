import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { mongo } from 'mongoose';
import type { Filter } from '../layout.ts';

/**
 * A migration is a value: its own file, which never changes once applied anywhere, and its steps. Steps come from
 * `structure.ts` and `documents.ts` and are literals: what a migration does must not change when a definition does.
 */
export interface Migration {
  /** The name of its file: 0001-initial. */
  id: string;
  file: string;
  steps: Step[];
  /** It removes something that the previous version uses, so it waits until no server of that version runs. */
  afterDeployment: boolean;
  /** The previous version can work with it: its servers can restart after it was applied. */
  compatible: boolean;
}

export interface Step {
  up: Action;
  /** What undoes it, or why nothing can. */
  down: Action | string;
}

export type Action = Structure | Documents;

/** A change that cannot be part of a transaction: of collections, indexes, validators. */
export interface Structure {
  kind: 'structure';
  title: string;
  /** The collection that it changes; undefined if it may change anything. */
  collection?: string;
  /** Must be repeatable: if the runner is killed right after it, the next runner does it again. */
  apply: (db: mongo.Db, check: Check) => Promise<void>;
  foresee?: (db: mongo.Db) => Promise<Foresight>;
  /** It only adds: programs that do not know of it keep working, and break nothing. */
  adds?: boolean;
  /** Throws if it must not run in the present state; called before anything of its migration runs. */
  refuse?: (db: mongo.Db) => Promise<void>;
}

/** Throws if another process has taken over. To be called right before an operation outside transactions. */
export type Check = () => Promise<void>;

/** A change of the documents of one collection. */
export interface Documents {
  kind: 'documents';
  title: string;
  collection: string;
  where: Filter;
  how: How;
  /** In batches, while others use the collection; undefined: in one transaction. */
  online?: {
    /** What no document may match afterwards; undefined: a later step handles documents that match meanwhile. */
    verify?: Filter;
    /** Documents that come to match `where` meanwhile are changed too: `verify` equals `where`. */
    repeatable: boolean;
  };
}

/** An aggregation pipeline, or a function that returns the fields to set (undefined removes one). */
export type How = { update: mongo.Document[] } | { each: (document: any) => Record<string, unknown> };

/** What an action would do. */
export interface Foresight {
  /** How many documents would change, and a few of them. */
  changes?: number;
  samples?: { before: unknown; after: unknown }[];
  /** How many documents block it, and the ids of a few. */
  refused?: number;
  ids?: unknown[];
  /** The rules that those few break: title.maxLength. */
  rules?: string[];
  /** Why MongoDB would refuse it regardless of documents. */
  conflict?: string;
}

/**
 * A migration, defined in the file of this URL (`import.meta.url`). Whether the previous version can work with it
 * follows from its steps unless `compatible` says so.
 */
export function migration(
  url: string,
  steps: Step[],
  {
    afterDeployment = false,
    compatible = steps.every(({ up }) => up.kind === 'structure' && up.adds === true),
  } = {},
): Migration {
  // The build copies the sources beside the compiled files, so the checksum is that of the source in either case.
  const file = fileURLToPath(url).replace(/\.js$/, '.ts');
  return { id: basename(file, '.ts'), file, steps, afterDeployment, compatible };
}

/**
 * Without the last migrations that wait for the end of the previous version. One that others follow no longer waits.
 */
export const beforeDeployment = (migrations: Migration[]): Migration[] =>
  migrations.slice(0, migrations.findLastIndex(({ afterDeployment }) => !afterDeployment) + 1);

/** The SHA-256 of a migration's source; line endings do not count. */
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
