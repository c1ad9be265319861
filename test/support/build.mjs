import { execFileSync } from 'node:child_process';
import { cpSync, rmSync } from 'node:fs';

/** Compiles the program and its tests into dist; a migration is also read as it is written, for its checksum. */
rmSync('dist/test', { recursive: true, force: true });
execFileSync(
  process.execPath,
  ['node_modules/typescript/bin/tsc', '--noCheck', '--noEmit', 'false', '--outDir', 'dist'],
  { stdio: 'inherit' },
);
for (const migrations of ['src/migrations', 'test/support/volumes'])
  cpSync(migrations, `dist/${migrations}`, { recursive: true });
