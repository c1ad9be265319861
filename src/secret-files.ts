import { readFileSync } from 'node:fs';

/** Secrets in files, as Docker and Kubernetes mount them: MONGODB_URI_FILE instead of MONGODB_URI. */

const SECRETS = ['MONGODB_URI', 'TOKEN_KEYS', 'ADMIN_PASSWORD', 'SMTP_URL'];

/** The contents of the files, by variable, and faults, which never quote a file. */
export function readSecretFiles(env: Record<string, string | undefined>) {
  const secrets: Record<string, string> = {};
  const faults: string[] = [];
  for (const name of SECRETS) {
    const path = env[`${name}_FILE`];
    if (path === undefined) continue;
    if (env[name] !== undefined) faults.push(`${name} and ${name}_FILE must not both be set`);
    try {
      secrets[name] = readFileSync(path, 'utf8').trim();
    } catch (error) {
      faults.push(`${name}_FILE cannot be read: ${(error as NodeJS.ErrnoException).code}`);
    }
  }
  return { secrets, faults };
}
