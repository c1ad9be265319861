import { access, constants, mkdir, realpath } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findMongod, type MongodBinary } from './binary.ts';
import { dropClaim, isAlive, readClaim, writeClaim } from './claim.ts';
import { type Held, hold, type Place } from './hold.ts';
import { HOST, uriOf } from './replica-set.ts';

export interface EmbeddedMongo {
  uri: string;
  /** False: another Shelfmark process runs it on this folder, and this one shares it. */
  started: boolean;
  /** Stops the mongod that this process runs; another process's keeps running. */
  stop(): Promise<void>;
}

const RESTARTS_PER_MINUTE = 5;

/** Starts a mongod that keeps its data in `dataDir`, or attaches to the one that another process runs there. */
export async function startEmbedded(options: {
  dataDir: string;
  binary?: string | undefined;
  say: (line: string) => void;
}): Promise<EmbeddedMongo> {
  const folder = await prepare(resolve(options.dataDir));
  let found: Promise<MongodBinary> | undefined;
  const binary = () => (found ??= findMongod(options));
  const place = { folder, dbPath: join(folder, 'db'), say: options.say, binary };
  const held = await hold(place);
  if (held.mongod) {
    const { version, source } = await binary();
    place.say(`MongoDB ${version} runs on ${HOST}:${held.port}, data in ${folder} (${source}).`);
  } else place.say(`Using the MongoDB of another process, ${HOST}:${held.port}, data in ${folder}.`);
  return new Embedded(place, held);
}

class Embedded implements EmbeddedMongo {
  readonly uri: string;
  readonly started: boolean;
  readonly #place: Place;
  #held: Held;
  #poll: NodeJS.Timeout | undefined;
  #recovery: Promise<void> | undefined;
  #restarts: number[] = [];
  #stopping: Promise<void> | undefined;

  constructor(place: Place, held: Held) {
    this.uri = uriOf(held.port);
    this.started = held.mongod !== undefined;
    this.#place = place;
    this.#held = held;
    this.#watch();
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    clearInterval(this.#poll);
    await this.#recovery;
    const { folder } = this.#place;
    if (!this.#held.mongod) return;
    // From here on no other process attaches to it.
    if (readClaim(folder)?.owner === process.pid) writeClaim(folder, { owner: process.pid });
    await this.#held.mongod.stop();
    dropClaim(folder);
  }

  /** Restarts a mongod that has ended; if another process ran it, whichever remaining process is first. */
  #watch(): void {
    const { mongod, claim, port } = this.#held;
    const { folder, say } = this.#place;
    const recover = () => {
      if (!this.#stopping) this.#recovery = this.#recover();
    };
    if (mongod) {
      void mongod.ended.then((how) => {
        if (!this.#stopping) say(`MongoDB has ended (${how}): restarting it on port ${port}.`);
        recover();
      });
      return;
    }
    this.#poll = setInterval(() => {
      const seen = readClaim(folder);
      if (seen?.text === claim && isAlive(seen?.owner ?? 0)) return;
      clearInterval(this.#poll);
      recover();
    }, 500).unref();
  }

  async #recover(): Promise<void> {
    const { say } = this.#place;
    const { port } = this.#held;
    for (;;) {
      this.#restarts = this.#restarts.filter((time) => time > Date.now() - 60_000);
      if (this.#restarts.length === RESTARTS_PER_MINUTE) break;
      await sleep(100 * 2 ** this.#restarts.length);
      if (this.#stopping) return;
      this.#restarts.push(Date.now());
      try {
        this.#held = await hold(this.#place, port);
        if (this.#held.mongod) say(`MongoDB runs again on port ${port}, started by this process.`);
        this.#watch();
        return;
      } catch (error) {
        say(`MongoDB could not be restarted: ${(error as Error).message}`);
      }
    }
    say(
      `MongoDB stays down after ${RESTARTS_PER_MINUTE} attempts within a minute. Stop Shelfmark, fix the ` +
        'problem reported above, and start it again.',
    );
  }
}

async function prepare(folder: string): Promise<string> {
  try {
    await mkdir(join(folder, 'db'), { recursive: true, mode: 0o700 });
    await access(folder, constants.W_OK);
    await access(join(folder, 'db'), constants.W_OK);
    return await realpath(folder);
  } catch (error) {
    throw new Error(`The data folder ${folder} (DATA_DIR) cannot be used: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
