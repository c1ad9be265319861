import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Who runs the mongod of a data folder, in its `mongod.json`. Without a port: it is starting or stopping. */
export interface Claim {
  owner: number;
  pid?: number;
  port?: number;
}

/** What was read: the text tells whether it has changed since. */
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

/** Takes the folder, unless someone else has since `seen`. What decides in the end is mongod's own lock. */
export function takeClaim(folder: string, seen: Seen | undefined): boolean {
  if (readClaim(folder)?.text !== seen?.text) return false;
  writeClaim(folder, { owner: process.pid });
  return true;
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
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
