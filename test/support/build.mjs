import { execFileSync } from 'node:child_process';
import { cpSync, rmSync, writeFileSync } from 'node:fs';

/**
 * Compiles the program and its tests twice: as they are, and with the resources of test/sample in place of those that are
 * registered. The tests of the kernel run on the second, so that they do not depend on what a project is about.
 */
for (const built of ['dist/test', 'dist/src/resources', 'dist/sample'])
  rmSync(built, { recursive: true, force: true });
for (const outDir of ['dist', 'dist/sample']) {
  execFileSync(
    process.execPath,
    ['node_modules/typescript/bin/tsc', '--noCheck', '--noEmit', 'false', '--outDir', outDir],
    { stdio: 'inherit' },
  );
  // A migration is also read as it is written, for its checksum.
  for (const migrations of ['src/migrations', 'test/support/volumes', 'test/sample/migrations'])
    cpSync(migrations, `${outDir}/${migrations}`, { recursive: true });
}
writeFileSync('dist/sample/src/resources/index.js', "export * from '../../test/sample/index.js';\n");
writeFileSync(
  'dist/sample/src/migrations/index.js',
  "export * from '../../test/sample/migrations/index.js';\n",
);
