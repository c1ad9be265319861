import type { Logger } from 'pino';
import { database } from '../../mongo/connect.ts';

/** Warns where the cluster keeps images without a limit; whoever may not read that setting is told nothing. */
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
    'The cluster keeps what documents were before each change as long as its oplog: set expireAfterSeconds of changeStreamOptions, see docs/changes.md.',
  );
}
