import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import mongoose from 'mongoose';

export const HOST = '127.0.0.1';
export const REPLICA_SET = 'rs0';
export const READY_WITHIN_MS = 60_000;
const NOT_YET_INITIALIZED = 94;

type Client = mongoose.mongo.MongoClient;

export const uriOf = (port: number): string =>
  `mongodb://${HOST}:${port}/shelfmark?replicaSet=${REPLICA_SET}`;

/**
 * Makes mongod the primary of a replica set with one member. Returns false if the member's address was corrected in
 * the data: then mongod must be killed and started again.
 */
export async function becomePrimary(port: number, patience: number, attempts = 3): Promise<boolean> {
  try {
    return await withClient(port, (client) => settle(client, `${HOST}:${port}`, patience));
  } catch (error) {
    // mongod closes its connections when it notices that its address has changed.
    if (attempts > 1 && error instanceof mongoose.mongo.MongoNetworkError)
      return becomePrimary(port, patience, attempts - 1);
    throw error;
  }
}

async function settle(client: Client, host: string, patience: number): Promise<boolean> {
  const stored = await client.db('local').collection<ReplicaSetConfig>('system.replset').findOne();
  if (!stored) {
    const members = [{ _id: 0, host }];
    await client.db('admin').command({ replSetInitiate: { _id: REPLICA_SET, members } });
  } else if (stored.members[0]?.host !== host && !(await changeAddress(client, host, patience))) return false;
  await untilWritable(client);
  await client.db('admin').command({
    setClusterParameter: {
      changeStreamOptions: { preAndPostImages: { expireAfterSeconds: 24 * 60 * 60 } },
    },
  });
  return true;
}

interface ReplicaSetConfig {
  version: number;
  members: { host: string }[];
}

async function loadedConfig(client: Client, deadline: number): Promise<ReplicaSetConfig | undefined> {
  for (;;) {
    try {
      const { config } = await client.db('admin').command({ replSetGetConfig: 1 });
      return config as ReplicaSetConfig;
    } catch (error) {
      if ((error as { code?: number }).code !== NOT_YET_INITIALIZED) throw error;
    }
    if (Date.now() > deadline) return undefined;
    await sleep(20);
  }
}

/** The former port was busy, or the folder is a copy. */
async function changeAddress(client: Client, host: string, patience: number): Promise<boolean> {
  const config = await loadedConfig(client, Date.now() + patience);
  if (config) {
    const changed = { ...config, version: config.version + 1, members: [{ _id: 0, host }] };
    await client.db('admin').command({ replSetReconfig: changed, force: true });
    return true;
  }
  // mongod checks whether the old address is its own. If another program holds that port without answering, this takes
  // 32 s, in which mongod can neither be reconfigured nor stopped.
  const address = { $set: { 'members.0.host': host } };
  await client.db('local').collection('system.replset').updateOne({}, address);
  // Journaled, so that the change survives the kill.
  await client.db('admin').command({ fsync: 1 });
  return false;
}

async function untilWritable(client: Client): Promise<void> {
  const deadline = Date.now() + READY_WITHIN_MS;
  while (!(await client.db('admin').command({ hello: 1 }))['isWritablePrimary']) {
    if (Date.now() > deadline)
      throw new Error(`it does not accept writes after ${READY_WITHIN_MS / 1_000} s`);
    await sleep(20);
  }
}

/** Whether the mongod of this folder answers at this port. */
export async function serves(port: number, dbPath: string): Promise<boolean> {
  // The driver would keep trying for seconds if nothing listens.
  if (!(await listens(port))) return false;
  const answer = withClient(port, async (client) => {
    const { parsed } = await client.db('admin').command({ getCmdLineOpts: 1 });
    return (parsed as { storage?: { dbPath?: string } }).storage?.dbPath === dbPath;
  });
  return answer.catch(() => false);
}

const listens = (port: number): Promise<boolean> =>
  new Promise((done) => {
    const socket = connect(port, HOST, () => done(true));
    socket.once('error', () => done(false));
    socket.once('connect', () => socket.destroy());
  });

async function withClient<T>(port: number, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new mongoose.mongo.MongoClient(`mongodb://${HOST}:${port}/?directConnection=true`, {
    serverSelectionTimeoutMS: 3_000,
    retryWrites: false,
  });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}
