import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

/** The owner of a data folder's mongod, from its `mongod.json`. Without a port it is starting or stopping. */
export interface Claim {
  owner: number;
  pid?: number;
  port?: number;
}

/** The claim that was read, with its text to detect changes. */
export type Seen = Claim & { text: string };

const fileOf = (folder: string): string => join(folder, 'mongod.json');

export function readClaim(folder: string): Seen | undefined {
  let text: string;
  try {
    text = readFileSync(fileOf(folder), 'utf8');
  } catch {
    return undefined;
  }
  try {
    return { ...(JSON.parse(text) as Claim), text };
  } catch {
    return { owner: 0, text };
  }
}

/** Claims the folder, unless the claim has changed since `seen`. */
export function takeClaim(folder: string, seen: Seen | undefined): boolean {
  const lock = `${fileOf(folder)}.lock`;
  try {
    mkdirSync(lock);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    // The lock is held for a millisecond, so an old one belongs to a process that was killed.
    const made = statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - made > 5_000) rmSync(lock, { recursive: true, force: true });
    return false;
  }
  try {
    if (readClaim(folder)?.text !== seen?.text) return false;
    writeClaim(folder, { owner: process.pid });
    return true;
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

export function writeClaim(folder: string, claim: Claim): void {
  const draft = `${fileOf(folder)}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(claim));
  renameSync(draft, fileOf(folder));
}

export function dropClaim(folder: string): void {
  if (readClaim(folder)?.owner === process.pid) rmSync(fileOf(folder), { force: true });
}

export function isAlive(pid: number): boolean {
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  try {
    // Empty command line: a zombie that its parent has not reaped (the first process of a container often does not).
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8') !== '';
  } catch {
    return true;
  }
}

/** Stops a mongod that a killed process has left on this folder, unless mongodb-memory-server does so first. */
export async function stopOrphan(dbPath: string): Promise<void> {
  // mongod writes its process id there, and empties the file on a clean shutdown.
  const pid = Number(await readFile(join(dbPath, 'mongod.lock'), 'utf8').catch(() => ''));
  if (!isAlive(pid) || !(await commandOf(pid)).includes(`--dbpath ${dbPath} `)) return;
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    try {
      process.kill(pid, signal);
    } catch {
      return;
    }
    for (const until = Date.now() + 10_000; Date.now() < until; await sleep(20)) if (!isAlive(pid)) return;
  }
}

async function commandOf(pid: number): Promise<string> {
  try {
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ');
  } catch {
    const answer = promisify(execFile)('ps', ['-o', 'args=', '-p', String(pid)]);
    return (await answer.catch(() => ({ stdout: '' }))).stdout;
  }
}
