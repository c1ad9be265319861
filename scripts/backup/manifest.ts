import { createHash } from 'node:crypto';
import { z } from 'zod';

/** The contents of a backup, and how to check that it is complete: manifest.json, which is written last. */

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
  /** The point in time of all documents, in MongoDB's cluster time: seconds, and operations within that second. */
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

/** The text of a manifest, including its own checksum. */
export function seal(given: Omit<Manifest, 'format'>): string {
  const manifest: Manifest = { format: FORMAT, ...given };
  return `${JSON.stringify({ ...manifest, sha256: digest(JSON.stringify(manifest)) }, null, 2)}\n`;
}

/** Parses a manifest. Throws an Error that says what is wrong with it. */
export function unseal(text: string): Manifest {
  const { sha256, ...manifest } = parse(text);
  if (manifest['format'] !== FORMAT)
    throw new Error(
      `${MANIFEST} cannot be read by this version: its format is ${JSON.stringify(manifest['format'])}, not "${FORMAT}".`,
    );
  if (sha256 !== digest(JSON.stringify(manifest)))
    throw new Error(`${MANIFEST} was changed or is damaged: its checksum does not match.`);
  return content.parse(manifest);
}

function parse(text: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(text)) as Record<string, unknown>;
  } catch (error) {
    throw new Error(`${MANIFEST} is damaged: it is not JSON.`, { cause: error });
  }
}
