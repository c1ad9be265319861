import { createHash } from 'node:crypto';
import { z } from 'zod';

/** What a backup contains, and how to tell that it is whole: the file manifest.json, which is written last. */

export const MANIFEST = 'manifest.json';
const FORMAT = 'shelfmark-backup-1';

const file = z.strictObject({
  name: z.string().regex(/^[\w.-]+$/),
  documents: z.int(),
  sha256: z.string(),
});
const content = z.strictObject({
  format: z.literal(FORMAT),
  database: z.string(),
  /** The point in time that all documents are from, as MongoDB counts it: seconds, and operations in that second. */
  clusterTime: z.strictObject({ t: z.int(), i: z.int() }),
  collections: z.array(
    z.strictObject({
      name: z.string(),
      /** Its options and indexes, or those of a view, in Extended JSON: see layout.ts. */
      layout: z.unknown(),
      documents: z.int(),
      files: z.array(file),
    }),
  ),
});

export type Manifest = z.output<typeof content>;
export type CollectionEntry = Manifest['collections'][number];

export const digest = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex');

/** The text of a manifest, with its own checksum. */
export function seal(given: Omit<Manifest, 'format'>): string {
  const manifest: Manifest = { format: FORMAT, ...given };
  return `${JSON.stringify({ ...manifest, sha256: digest(JSON.stringify(manifest)) }, null, 2)}\n`;
}

/** Reads such a text. Throws an Error that says what is wrong with it. */
export function unseal(text: string): Manifest {
  const { sha256, ...manifest } = parse(text);
  if (manifest['format'] !== FORMAT)
    throw new Error(
      `${MANIFEST} is of no backup that this version can read: its format is ${JSON.stringify(manifest['format'])}, not "${FORMAT}".`,
    );
  if (sha256 !== digest(JSON.stringify(manifest)))
    throw new Error(`${MANIFEST} was changed or is damaged: its checksum does not match its content.`);
  return content.parse(manifest);
}

function parse(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text)) as Record<string, unknown>;
  } catch (error) {
    throw new Error(`${MANIFEST} is damaged: it is not JSON.`, { cause: error });
  }
}
