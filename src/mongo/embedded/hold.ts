import { createHash } from 'node:crypto';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MongodBinary } from './binary.ts';
import { dropClaim, isAlive, readClaim, stopOrphan, takeClaim, writeClaim } from './claim.ts';
import { launch, type Mongod, NotStarted } from './mongod.ts';
import { HOST, serves } from './replica-set.ts';

export interface Place {
  folder: string;
  dbPath: string;
  say: (line: string) => void;
  binary: () => Promise<MongodBinary>;
}

/** The mongod of a folder: run by this process, or by the one in its claim. */
export interface Held {
  port: number;
  mongod?: Mongod;
  claim?: string;
}

/** How long to wait for a process that is starting or stopping mongod, and for a locked folder. */
const PATIENCE_MS = 20_000;

/** Attaches to the mongod that another process runs on the folder, or starts one, on the given port if any. */
export async function hold(place: Place, port?: number): Promise<Held> {
  const { folder, dbPath } = place;
  const wait = patience(place.say);
  for (;;) {
    const seen = readClaim(folder);
    const owned = seen !== undefined && isAlive(seen.owner);
    if (owned && seen.port && (await serves(seen.port, dbPath))) {
      if (port && seen.port !== port)
        throw new Error(`Process ${seen.owner} now runs it on port ${seen.port}.`);
      return { port: seen.port, claim: seen.text };
    }
    await place.binary();
    const busy = owned && seen.owner !== process.pid;
    if (busy && (await wait(`process ${seen.owner}, which is starting or stopping it`))) continue;
    if (!takeClaim(folder, seen)) {
      await sleep(10);
      continue;
    }
    if (seen && !owned) await stopOrphan(dbPath);
    try {
      return await start(place, port);
    } catch (error) {
      const because = error instanceof NotStarted ? error.because : 'other';
      if (because === 'port' && port === undefined) continue;
      if (because === 'folder' && (await wait('another mongod on this folder to end'))) continue;
      dropClaim(folder);
      throw error;
    }
  }
}

/** A pause between retries; returns false once the time is up. */
function patience(say: (line: string) => void): (what: string) => Promise<boolean> {
  let since: number | undefined;
  let told = false;
  return async (what) => {
    since ??= Date.now();
    if (!told && Date.now() > since + 1_000) {
      say(`MongoDB: waiting for ${what}.`);
      told = true;
    }
    await sleep(100);
    return Date.now() < since + PATIENCE_MS;
  };
}

async function start({ folder, dbPath, binary }: Place, fixed?: number): Promise<Held> {
  const port = fixed ?? (await freePort(usualPort(folder))) ?? (await freePort(0)) ?? 0;
  const mongod = await launch({ binary: await binary(), dbPath, port });
  writeClaim(folder, { owner: process.pid, pid: mongod.mongodProcess?.pid ?? 0, port });
  return { port, mongod };
}

/** The same port at every start of a folder, so that database tools find it again. */
const usualPort = (folder: string): number =>
  27_100 + (createHash('sha256').update(folder).digest().readUInt16BE() % 900);

const freePort = (port: number): Promise<number | undefined> =>
  new Promise((done) => {
    const probe = createServer();
    probe.once('error', () => done(undefined));
    probe.listen(port, HOST, () => {
      const address = probe.address();
      probe.close(() => done(typeof address === 'object' ? address?.port : undefined));
    });
  });
