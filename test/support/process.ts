import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/**
 * The program in processes of its own, compiled: the same as the sources, and each start takes half the time. The
 * tests stand beside it there; the scripts that use this run from the sources.
 */
export const BUILD = new URL(import.meta.url.endsWith('.ts') ? '../../dist/' : '../../', import.meta.url);

/** Where a source file's compiled module is. */
export const compiled = (source: string): URL => new URL(source.replace(/\.ts$/, '.js'), BUILD);

export interface ServerProcess {
  url: string;
  pid: number;
  /** What it has said so far, its log included. */
  output(): string;
  /** Resolves when it has ended. */
  exitCode: Promise<number | null>;
  /** Ends it as an operator does, and waits until it is gone. */
  stop(): Promise<void>;
  /** Ends it as a power cut does. */
  kill(): Promise<void>;
  /**
   * The same at a certain moment, while the process stands still and MongoDB has answered all it was asked: what it is
   * still at for a client that is gone it ends at once, and the transaction with it, which otherwise stays open.
   */
  killBetweenCommands(isMoment: () => Promise<boolean>): Promise<void>;
}

/** A server on a free port, on the database of `uri`. */
export async function startServer(uri: string, env: Record<string, string> = {}): Promise<ServerProcess> {
  const child = start('src/main.ts', [], {
    MONGODB_URI: uri,
    PORT: '0',
    LOG_LEVEL: 'silent',
    // The issuer of the tokens that the tests sign.
    PUBLIC_URL: 'http://127.0.0.1:3000',
    // No test meets the limit by accident.
    RATE_LIMIT: '1000000',
    DRAIN_DELAY: '0',
    ...env,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += chunk));
  const exitCode = once(child, 'close').then(([code]) => code as number | null);
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    await exitCode;
  };
  const url = await urlOf(child);
  const killBetweenCommands = async (isMoment: () => Promise<boolean>) => {
    for (;;) {
      child.kill('SIGSTOP');
      await sleep(200);
      if (await isMoment()) break;
      child.kill('SIGCONT');
      await sleep(100 * Math.random());
    }
    await end('SIGKILL');
  };
  return {
    url,
    pid: child.pid as number,
    output: () => output,
    exitCode,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    killBetweenCommands,
  };
}

/** What the server says when it listens. */
function urlOf(child: ChildProcess): Promise<string> {
  let said = '';
  return new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk) => {
        said += chunk;
        const url = /answers at (\S+)/.exec(said)?.[1];
        if (url) resolve(url);
      });
    child.once('exit', () => reject(new Error(`The server has ended: ${said}`)));
  });
}

/** Runs a script to its end. */
export async function runScript(script: string, args: string[], env: Record<string, string>) {
  const child = start(script, args, env);
  child.stdin?.end();
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk) => (stdout += chunk));
  child.stderr?.on('data', (chunk) => (stderr += chunk));
  // One that goes on, against what its test expects, must not outlive it.
  const cut = setTimeout(() => child.kill('SIGKILL'), 25_000);
  const [exitCode] = await once(child, 'close');
  clearTimeout(cut);
  return { exitCode: exitCode as number, stdout, stderr };
}

/** Starts a program of src or scripts; `cwd` is the folder it is called from. */
export const start = (
  source: string,
  args: string[],
  env: Record<string, string>,
  cwd?: string,
): ChildProcessWithoutNullStreams =>
  spawn(process.execPath, [fileURLToPath(compiled(source)), ...args], {
    cwd,
    // Not jest's options: they are not for the program.
    env: { ...process.env, NODE_OPTIONS: '', ...env },
  });
