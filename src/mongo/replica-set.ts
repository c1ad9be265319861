import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import mongoose from 'mongoose';

export const HOST = '127.0.0.1';
export const REPLICA_SET = 'rs0';
export const READY_WITHIN_MS = 60_000;
const NOT_YET_INITIALIZED = 94;
const ALREADY_INITIALIZED = 23;

type Client = mongoose.mongo.MongoClient;

export const uriOf = (port: number): string =>
  `mongodb://${HOST}:${port}/shelfmark?replicaSet=${REPLICA_SET}`;

/** False: the address of the only member was corrected in the data, and mongod must be killed and started anew. */
export const becomePrimary = (port: number, patience: number): Promise<boolean> =>
  withClient(port, async (client) => {
    const admin = client.db('admin');
    const host = `${HOST}:${port}`;
    const members = [{ _id: 0, host }];
    const deadline = Date.now() + patience;
    for (;;) {
      const config = await configOf(client);
      if (config) {
        // The former port was busy, or the folder has moved.
        if (config.members[0]?.host !== host)
          await admin.command({
            replSetReconfig: { ...config, version: config.version + 1, members },
            force: true,
          });
        break;
      }
      if (await initiate(client, { _id: REPLICA_SET, members })) break;
      if (Date.now() > deadline) {
        await correctAddress(client, host);
        return false;
      }
      await sleep(20);
    }
    await untilWritable(client);
    return true;
  });

interface ReplicaSetConfig {
  version: number;
  members: { host: string }[];
}

const configOf = async (client: Client): Promise<ReplicaSetConfig | undefined> => {
  try {
    return (await client.db('admin').command({ replSetGetConfig: 1 }))['config'] as ReplicaSetConfig;
  } catch (error) {
    if ((error as { code?: number }).code === NOT_YET_INITIALIZED) return undefined;
    throw error;
  }
};

/** False: there is a configuration, and mongod is still at reading it. */
async function initiate(client: Client, config: object): Promise<boolean> {
  try {
    await client.db('admin').command({ replSetInitiate: config });
    return true;
  } catch (error) {
    if ((error as { code?: number }).code === ALREADY_INITIALIZED) return false;
    throw error;
  }
}

/**
 * At its start mongod asks the address in its configuration whether that is itself. Where another program holds
 * the port and never answers, that takes 32 s, in which no reconfiguration and no clean stop is possible.
 */
async function correctAddress(client: Client, host: string): Promise<void> {
  await client
    .db('local')
    .collection('system.replset')
    .updateOne({}, { $set: { 'members.0.host': host } });
  // Kept although mongod is killed next.
  await client.db('admin').command({ fsync: 1 });
}

async function untilWritable(client: Client): Promise<void> {
  const deadline = Date.now() + READY_WITHIN_MS;
  while (!(await client.db('admin').command({ hello: 1 }))['isWritablePrimary']) {
    if (Date.now() > deadline) throw new Error(`it takes no writes after ${READY_WITHIN_MS / 1_000} s`);
    await sleep(20);
  }
}

/** Whether the mongod of this folder answers at this port. */
export async function serves(port: number, dbPath: string): Promise<boolean> {
  // The driver would go on trying for seconds where nothing listens.
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
