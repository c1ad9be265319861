import { MongoInstance } from 'mongodb-memory-server-core';
import type { MongodBinary } from './binary.ts';
import { becomePrimary, HOST, READY_WITHIN_MS, REPLICA_SET } from './replica-set.ts';

const ARGS = [
  '--wiredTigerCacheSizeGB=0.25',
  '--oplogSize=200',
  '--noscripting',
  '--setParameter=diagnosticDataCollectionEnabled=false',
  '--setParameter=transactionLifetimeLimitSeconds=5',
];
if (process.platform !== 'win32') ARGS.push('--nounixsocket');
/** How long mongod may take to notice that its address has changed; usually milliseconds. */
const ADDRESS_WITHIN_MS = 1_500;

export interface Launch {
  binary: MongodBinary;
  dbPath: string;
  port: number;
}

/** `because`: another mongod has the folder, another program has the port, or neither. */
export class NotStarted extends Error {
  readonly because: 'folder' | 'port' | 'other';
  constructor(because: NotStarted['because'], message: string) {
    super(message);
    this.because = because;
  }
}

/** mongodb-memory-server's mongod, plus the reason why it stopped, from its log. */
export class Mongod extends MongoInstance {
  /** Resolves with the way it ended. */
  readonly ended: Promise<string>;
  trouble: string | undefined;
  #end!: (how: string) => void;
  #rest = '';

  constructor({ binary, dbPath, port }: Launch) {
    super({
      instance: {
        dbPath,
        port,
        ip: HOST,
        replSet: REPLICA_SET,
        storageEngine: 'wiredTiger',
        args: ARGS,
        launchTimeout: READY_WITHIN_MS,
      },
      binary: { systemBinary: binary.path },
      // In its own process group: otherwise Ctrl-C would end it before the server has answered its last request.
      spawn: { detached: true, env: { ...process.env, ...binary.env } },
    });
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /** Stops it by signal: mongodb-memory-server's shutdown command goes to whatever mongod has the port. */
  override stop(): Promise<boolean> {
    if (process.platform !== 'win32') this.isReplSet = false;
    return super.stop();
  }

  /** Line by line: an error in one chunk with other lines makes mongodb-memory-server throw. */
  override stdoutHandler(chunk: string | Buffer): void {
    const lines = (this.#rest + chunk.toString()).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      this.trouble ??= troubleIn(line, this.isInstanceReady);
      super.stdoutHandler(line);
    }
  }

  override stderrHandler(chunk: string | Buffer): void {
    this.trouble ??= chunk.toString().split('\n').find(isTrouble);
    super.stderrHandler(chunk);
  }

  override closeHandler(code: number | null, signal: string | null): void {
    super.closeHandler(code, signal);
    this.#end(this.trouble ?? (signal ? `signal ${signal}` : `exit code ${code}`));
  }
}

/** Starts mongod and waits until it accepts writes. */
export async function launch(options: Launch, patience = ADDRESS_WITHIN_MS): Promise<Mongod> {
  const mongod = new Mongod(options);
  // mongodb-memory-server prefers these two variables to its arguments.
  process.env['MONGOMS_SYSTEM_BINARY'] = options.binary.path;
  process.env['MONGOMS_SYSTEM_BINARY_VERSION_CHECK'] = 'false';
  try {
    await mongod.start();
    if (await becomePrimary(options.port, patience)) return mongod;
    mongod.mongodProcess?.kill('SIGKILL');
    await mongod.ended;
  } catch (error) {
    await mongod.stop();
    throw explain(options, mongod.trouble ?? (error as Error).message);
  }
  return launch(options, READY_WITHIN_MS);
}

const DISK_FULL = 'No space left on device';

const isTrouble = (line: string): boolean => /error|cannot|unrecogni[sz]ed/i.test(line);

/** The reason why mongod cannot continue, if a line of its log has one. */
function troubleIn(line: string, ready: boolean): string | undefined {
  // A full disk ends in a "fatal assertion" without a reason.
  if (line.includes(DISK_FULL)) return `The disk is full: ${DISK_FULL}`;
  if (!line.startsWith('{')) return !ready && isTrouble(line) ? line : undefined;
  const { s: severity, msg, attr } = parse(line);
  if (severity !== 'F' && (severity !== 'E' || ready)) return undefined;
  const { error, message } = attr ?? {};
  const detail = [error, message].map((value) =>
    typeof value === 'object' ? (value?.errmsg ?? value?.msg) : value,
  );
  return `${msg}: ${detail.find((value) => typeof value === 'string') ?? 'no details'}`;
}

interface LogLine {
  s?: string;
  msg?: string;
  attr?: Partial<Record<'error' | 'message', string | number | { errmsg?: string; msg?: string } | null>>;
}

function parse(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return {};
  }
}

function explain({ binary, dbPath, port }: Launch, reason: string): NotStarted {
  const failed = `MongoDB ${binary.version} (${binary.path}) did not start on ${dbPath}: ${reason.replace(/\.$/, '')}`;
  if (/Address already in use/i.test(reason))
    return new NotStarted('port', `Port ${port} has been taken by another program.`);
  if (/DBPathInUse/.test(reason))
    return new NotStarted('folder', `${failed}. Stop that mongod, or set DATA_DIR to another folder.`);
  if (/featureCompatibilityVersion|UPGRADE PROBLEM|unsupported WiredTiger/i.test(reason))
    return new NotStarted(
      'other',
      `${failed}. The data was written by another version of MongoDB: set MONGOD_BINARY to that one, or move ` +
        'the folder away to start with an empty database.',
    );
  return new NotStarted(
    'other',
    `${failed}. If the data files are damaged, restore them from a backup, or move the folder away to start ` +
      'with an empty database.',
  );
}
