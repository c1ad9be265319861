import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeKey, readKeys, type SigningKey } from './auth/tokens.ts';
import { type Config, isProduction } from './config.ts';

/**
 * The keys that sign access tokens: those of TOKEN_KEYS or, in development, one that is created at the first start and
 * kept beside the embedded database's data, so that logins survive a restart.
 */
export async function signingKeys(config: Config): Promise<SigningKey[]> {
  if (config.TOKEN_KEYS) return config.TOKEN_KEYS;
  if (isProduction(config))
    throw new Error(
      'TOKEN_KEYS must be set in production (NODE_ENV is production, or MONGODB_URI names another host): a key ' +
        'that the server creates itself would differ between hosts. Create one with: openssl genpkey -algorithm ed25519',
    );
  const file = join(config.DATA_DIR, 'token-key.pem');
  try {
    return readKeys((await readFile(file, 'utf8').catch(() => undefined)) ?? (await make(file)));
  } catch (error) {
    throw new Error(`The key in ${file} (DATA_DIR) cannot be used: it ${(error as Error).message}.`, {
      cause: error,
    });
  }
}

/** If two processes start at the same moment, one creates the key and both read it. */
async function make(file: string): Promise<string> {
  await mkdir(join(file, '..'), { recursive: true });
  const own = `${file}.${randomUUID()}`;
  await writeFile(own, makeKey(), { mode: 0o600 });
  await link(own, file).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  await rm(own);
  return readFile(file, 'utf8');
}
