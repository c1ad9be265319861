import { execFile } from 'node:child_process';
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { MongoInstance } from 'mongodb-memory-server-core';
import mongoose from 'mongoose';
import type { MongodBinary } from './binary.ts';

const HOST = '127.0.0.1';
const REPLICA_SET = 'rs0';
const ARGS = [
  '--wiredTigerCacheSizeGB=0.25',
  '--oplogSize=200',
  '--noscripting',
  '--setParameter=diagnosticDataCollectionEnabled=false',
  '--setParameter=transactionLifetimeLimitSeconds=10',
  ...(process.platform === 'win32' ? [] : ['--nounixsocket']),
];
const READY_WITHIN_MS = 60_000;

export const uriOf = (port: number): string => `mongodb://${HOST}:${port}/shelfmark?replicaSet=${REPLICA_SET}`;

export interface Launch {
  binary: MongodBinary;
  dbPath: string;
  port: number;
}

/** `cause` says whether another mongod has the folder, another program the port, or neither. */
export class NotStarted extends Error {
  readonly because: 'folder' | 'port' | 'other';
  constructor(because: 'folder' | 'port' | 'other', message: string) {
    super(message);
    this.because = because;
  }
}

/** A mongod of mongodb-memory-server that keeps what it said about its end. */
export class Mongod extends MongoInstance {
  /** The first line of its log that tells of trouble. */
  trouble: string | undefined;
  /** Called when it has ended by itself. */
  onEnd: ((how: string) => void) | undefined;
  #rest = '';

  constructor({ binary, dbPath, port }: Launch) {
    super({
      instance: {
        args: ARGS,
        dbPath,
        port,
        ip: HOST,
        replSet: REPLICA_SET,
        storageEngine: 'wiredTiger',
        launchTimeout: READY_WITHIN_MS,
      },
      binary: { systemBinary: binary.path },
      // In a process group of its own, or Ctrl-C would stop it before the server has answered its last request.
      spawn: { detached: true, env: { ...process.env, ...binary.env } },
    });
  }

  get pid(): number | undefined {
    return this.mongodProcess?.pid;
  }

  /** Line by line: mongodb-memory-server throws in an event handler when an error comes with other lines. */
  override stdoutHandler(chunk: string | Buffer): void {
    const lines = (this.#rest + chunk.toString()).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      this.trouble ??= troubleIn(line, this.isInstanceReady);
      super.stdoutHandler(line);
    }
  }

  override stderrHandler(chunk: string | Buffer): void {
    this.trouble ??= chunk.toString().trim().split('\n')[0];
    super.stderrHandler(chunk);
  }

  override closeHandler(code: number | null, signal: string | null): void {
    super.closeHandler(code, signal);
    this.onEnd?.(this.trouble ?? (signal ? `signal ${signal}` : `exit code ${code}`));
  }
}

/** Starts mongod and waits until it takes writes. */
export async function launch(options: Launch): Promise<Mongod> {
  const mongod = new Mongod(options);
  try {
    await run(mongod, options.binary.path);
    const settled = await settle(options.port);
    if (settled) return mongod;
    await kill(mongod);
  } catch (error) {
    await mongod.stop();
    throw explain(options, mongod.trouble ?? (error as Error).message);
  }
  return launch(options);
}

async function run(mongod: Mongod, path: string): Promise<void> {
  // mongodb-memory-server lets these two win over the options of the call.
  process.env['MONGOMS_SYSTEM_BINARY'] = path;
  process.env['MONGOMS_SYSTEM_BINARY_VERSION_CHECK'] = 'false';
  await mongod.start();
}

async function kill(mongod: Mongod): Promise<void> {
  const ended = new Promise<void>((done) => {
    mongod.onEnd = () => done();
  });
  mongod.mongodProcess?.kill('SIGKILL');
  await ended;
  await mongod.stop();
}
