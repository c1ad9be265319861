import type { Logger } from 'pino';
import { database } from '../../mongo/connect.ts';

/** Warns if the cluster keeps pre-images without a limit; silent if the user may not read that setting. */
export async function warnOfExpiry(logger: Logger): Promise<void> {
  const found = await database()
    .admin()
    .command({ getClusterParameter: 'changeStreamOptions' })
    .catch(() => undefined);
  const [options] = (found?.['clusterParameters'] ?? []) as {
    preAndPostImages?: { expireAfterSeconds?: unknown };
  }[];
  if (options?.preAndPostImages?.expireAfterSeconds !== 'off') return;
  logger.warn(
    'The cluster keeps pre-images of documents as long as its oplog: set expireAfterSeconds of changeStreamOptions, see docs/changes.md.',
  );
}
