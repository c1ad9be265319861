import { execFile } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Difference } from '../../src/mongo/differences.ts';
import { skeleton } from './skeleton.ts';
import { exportOf, newSource } from './source.ts';

/**
 * Writes and registers migrations that make the database match the definitions; returns messages about them.
 * Overwrites nothing.
 */
export async function writeMigrations(
  folder: string,
  name: string,
  differences: Difference[],
  renames: string[],
): Promise<string[]> {
  const { before, after } = skeleton(differences, renames);
  const parts = [
    { name, source: before, options: '' },
    {
      name: before.isEmpty() ? name : `${name}-after`,
      source: after,
      options: ', { afterDeployment: true }',
    },
  ].filter(({ source }) => !source.isEmpty());
  if (parts.length === 0) parts.push({ name, source: newSource(), options: '' });

  const index = join(folder, 'index.ts');
  let registry = await readFile(index, 'utf8');
  let number = await lastNumber(folder);
  const written: string[] = [];
  const files: string[] = [];
  for (const part of parts) {
    const id = `${String(++number).padStart(4, '0')}-${part.name}`;
    const text = part.source.toText(part.name, part.options);
    registry = registered(registry, id, exportOf(part.name));
    const file = join(folder, `${id}.ts`);
    await writeFile(file, text, { flag: 'wx' });
    files.push(file);
    const todo = /TODO/.test(text) ? ': fill in what says TODO' : '';
    const when = part.options ? ' (for after the deployment)' : '';
    written.push(`Wrote and registered src/migrations/${id}.ts${when}${todo}.`);
  }
  await writeFile(index, registry);
  await format([...files, index]);
  return differences.length > 0
    ? written
    : [...written, 'The database already matches the definitions: add the steps by hand.'];
}

async function lastNumber(folder: string): Promise<number> {
  const numbers = (await readdir(folder)).map((file) => Number(/^(\d+)-/.exec(file)?.[1] ?? 0));
  return Math.max(0, ...numbers);
}

/** Appends a migration to the list. */
function registered(registry: string, id: string, name: string): string {
  if (new RegExp(`\\b${name}\\b`).test(registry))
    throw new Error(`src/migrations/index.ts already has a ${name}: choose another name.`);
  const line = `import { ${name} } from './${id}.ts';\n`;
  const imports = registry.lastIndexOf('import ');
  const afterImports = registry.indexOf('\n', imports) + 1;
  const list = registry.lastIndexOf(']');
  const before = registry.slice(afterImports, list).trimEnd();
  if (imports < 0 || list < 0)
    throw new Error(`src/migrations/index.ts has an unexpected form: nothing was written.`);
  const comma = before.endsWith(',') || before.endsWith('[') ? ' ' : ', ';
  return `${registry.slice(0, afterImports)}${line}${before}${comma}${name}${registry.slice(list)}`;
}

/** Formats with the project's formatter, if it is installed, so that npm run check passes. */
async function format(files: string[]): Promise<void> {
  try {
    const biome = createRequire(import.meta.url).resolve('@biomejs/biome/bin/biome');
    await promisify(execFile)(process.execPath, [biome, 'check', '--write', ...files]);
  } catch {
    // It can be formatted later: npm run format.
  }
}
