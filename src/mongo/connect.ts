import mongoose, { type mongo } from 'mongoose';
import { hostsOf } from './hosts.ts';
import { watchTraffic } from './traffic.ts';

export interface Database {
  /** The database is an embedded mongod: a development setup. */
  embedded: boolean;
  close(): Promise<void>;
}

/** The location of the database, in the words of the configuration. */
interface Place {
  MONGODB_URI?: string | undefined;
  DATA_DIR: string;
  MONGOD_BINARY?: string | undefined;
  POOL_SIZE?: number;
}

/**
 * Connects Mongoose to MONGODB_URI or, without one, to the embedded database of DATA_DIR, which it starts
 * if no other process has. Throws an Error that says what to do.
 */
export async function openDatabase(
  place: Place,
  say: (line: string) => void,
  own: mongoose.ConnectOptions = {},
): Promise<Database> {
  const options = { ...(place.POOL_SIZE && { maxPoolSize: place.POOL_SIZE }), ...own };
  if (place.MONGODB_URI) {
    await connect(place.MONGODB_URI, options);
    return { embedded: false, close: () => mongoose.disconnect() };
  }
  // Loaded here because it takes longer than everything else.
  const { startEmbedded } = await import('./embedded/start.ts').catch(notInstalled);
  const mongod = await startEmbedded({ dataDir: place.DATA_DIR, binary: place.MONGOD_BINARY, say });
  const close = async () => {
    await mongoose.disconnect();
    await mongod.stop();
  };
  try {
    await connect(mongod.uri, options);
  } catch (error) {
    await close();
    throw error;
  }
  return { embedded: true, close };
}

/** A production installation (npm ci --omit=dev) lacks the embedded database. */
function notInstalled(error: NodeJS.ErrnoException): never {
  if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
  throw new Error('MONGODB_URI must be set: the embedded database is not installed here.', { cause: error });
}

/** The driver's handle of the database that Mongoose is connected to. */
export const database = (): mongo.Db =>
  mongoose.connection.db ?? mongoose.connection.getClient().db(mongoose.connection.name);

async function connect(uri: string, options?: mongoose.ConnectOptions): Promise<void> {
  try {
    await mongoose.connect(uri, {
      appName: 'shelfmark',
      bufferCommands: false,
      maxPoolSize: 50,
      // How long a request waits for a database that is gone, and how soon a hanging one is noticed.
      serverSelectionTimeoutMS: 5_000,
      connectTimeoutMS: 2_000,
      heartbeatFrequencyMS: 1_000,
      waitQueueTimeoutMS: 3_000,
      writeConcern: { w: 'majority' },
      ...options,
    });
    watchTraffic(mongoose.connection.getClient());
    await refuseUnfit();
  } catch (error) {
    await mongoose.disconnect();
    if (!(error instanceof Error && (error.name.startsWith('Mongo') || 'syscall' in error))) throw error;
    const where = `MongoDB cannot be used at ${hostsOf(uri).join(', ')} (MONGODB_URI): ${error.message}`;
    throw new Error(error.name.endsWith('ServerSelectionError') ? `${where}. ${WHAT_TO_LOOK_AT}` : where, {
      cause: error,
    });
  }
}

const WHAT_TO_LOOK_AT =
  'Is mongod running there, is it a replica set that has been initiated (rs.initiate(), once), and does ' +
  'replicaSet= in the URI give its name?';

const clusters = new WeakMap<mongo.MongoClient, Promise<mongo.Document>>();

/** The server's `hello` reply, requested once per connection. */
function hello(): Promise<mongo.Document> {
  const client = mongoose.connection.getClient();
  const known = clusters.get(client) ?? client.db('admin').command({ hello: 1 });
  clusters.set(client, known);
  known.catch(() => clusters.delete(client));
  return known;
}

/** Whether this reply is from a mongos, the router of a sharded cluster. */
export const isMongos = ({ msg }: mongo.Document): boolean => msg === 'isdbgrid';

/** Whether the database is a sharded cluster. */
export const isSharded = async (): Promise<boolean> => isMongos(await hello());

/** The first wire protocol version with the bulkWrite command, that of MongoDB 8.0. */
const WIRE_VERSION = 25;

/** Why a server with this reply cannot be used; undefined if it can. */
export function unfit(server: mongo.Document): string | undefined {
  if (!server['setName'] && !isMongos(server))
    return (
      'MONGODB_URI names a standalone server, which does not support transactions. Start mongod with --replSet rs0, run ' +
      'rs.initiate() once, and add ?replicaSet=rs0 to the URI; one member is enough.'
    );
  return server['maxWireVersion'] < WIRE_VERSION
    ? 'The server is older than MongoDB 8.0: upgrade it to 8.0 or later.'
    : undefined;
}

async function refuseUnfit(): Promise<void> {
  const reason = unfit(await hello());
  if (reason) throw new Error(reason);
}
