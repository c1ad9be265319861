import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import mongoose from 'mongoose';
import { copyFromNpm, installFromNpm } from '../../src/mongo/embedded/npm-mongod.ts';

/** A sharded cluster on this machine: a config server, two shards of one member each, and a mongos. */
export interface Cluster {
  uri: string;
  shards: Member[];
  stop: () => Promise<void>;
}

export interface Member {
  /** The name of its replica set, by which the cluster knows it as a shard. */
  name: string;
  port: number;
  start: () => Promise<void>;
  /** Ends it as a power cut does. */
  kill: () => Promise<void>;
}

type Client = mongoose.mongo.MongoClient;
type Program = 'mongod' | 'mongos';

const HOST = '127.0.0.1';
/** As small as they can be: four of them share the machine with the tests. Feeds wait for shards without writes. */
const SMALL =
  '--wiredTigerCacheSizeGB=0.25 --oplogSize=100 --setParameter=diagnosticDataCollectionEnabled=false --setParameter=periodicNoopIntervalSecs=1';

export async function startCluster(firstPort: number): Promise<Cluster> {
  const find = await programs();
  const folder = await mkdtemp(join(tmpdir(), 'sharded-'));
  const member = (program: Program, port: number, args: string): Member => {
    let child: ChildProcess | undefined;
    const start = async () => {
      const { path, env } = find(program);
      const own = ['--port', String(port), '--bind_ip', HOST, '--nounixsocket', ...args.split(' ')];
      child = spawn(path, own, { stdio: 'ignore', env: { ...process.env, ...env } });
      await withClient(port, (client) => client.db('admin').command({ hello: 1 }));
    };
    const kill = async () => {
      child?.kill('SIGKILL');
      if (child && child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    };
    return { name: /--replSet (\w+)/.exec(args)?.[1] ?? program, port, start, kill };
  };
  const set = async (name: string, role: string, port: number): Promise<Member> => {
    await mkdir(join(folder, name));
    return member('mongod', port, `--${role} --replSet ${name} --dbpath ${join(folder, name)} ${SMALL}`);
  };
  const config = await set('config', 'configsvr', firstPort);
  const shards = [await set('one', 'shardsvr', firstPort + 1), await set('two', 'shardsvr', firstPort + 2)];
  const router = member(
    'mongos',
    firstPort + 3,
    `--configdb config/${HOST}:${config.port} --setParameter=ShardingTaskExecutorPoolMinSize=1`,
  );
  await Promise.all([config, ...shards].map(initiate));
  await router.start();
  await withClient(router.port, async (client) => {
    for (const { name, port } of shards)
      await client.db('admin').command({ addShard: `${name}/${HOST}:${port}` });
  });
  const stop = async () => {
    for (const { kill } of [router, ...shards, config]) await kill();
    await rm(folder, { recursive: true, force: true });
  };
  return { uri: `mongodb://${HOST}:${router.port}/`, shards, stop };
}

async function initiate({ name, port, start }: Member): Promise<void> {
  await start();
  await withClient(port, async (client) => {
    const admin = client.db('admin');
    const members = [{ _id: 0, host: `${HOST}:${port}` }];
    await admin.command({
      replSetInitiate: { _id: name, members, ...(name === 'config' && { configsvr: true }) },
    });
    while (!(await admin.command({ hello: 1 }))['isWritablePrimary']) await sleep(20);
  });
}

/** mongos is beside mongod in MongoDB's packages, and in the copy from the npm registry. */
async function programs(): Promise<(name: Program) => { path: string; env: Record<string, string> }> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter).filter(Boolean))
    if ((await exists(join(folder, 'mongos'))) && (await exists(join(folder, 'mongod'))))
      return (name) => ({ path: join(folder, name), env: {} });
  const { path, env } = (await copyFromNpm()) ?? (await installFromNpm(console.log));
  return (name) => ({ path: join(dirname(path), name), env });
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

async function withClient<T>(port: number, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new mongoose.mongo.MongoClient(`mongodb://${HOST}:${port}/?directConnection=true`, {
    serverSelectionTimeoutMS: 30_000,
    heartbeatFrequencyMS: 500,
  });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}
