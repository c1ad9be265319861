import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { MongoMemoryReplSet } from 'mongodb-memory-server-core';
import { tsImport } from 'tsx/esm/api';

const run = promisify(execFile);

/** One replica set of one member for the whole run; each jest worker has a database of its own in it. */
export default async function setUp() {
  const build = run('npm', ['run', '--silent', 'build']);
  const { findMongod } = await tsImport('../../src/mongo/embedded/binary.ts', import.meta.url);
  const mongod = await findMongod({ binary: process.env.MONGOD_BINARY, say: console.log });
  Object.assign(process.env, mongod.env, { MONGOMS_SYSTEM_BINARY_VERSION_CHECK: 'false' });
  const replicaSet = await MongoMemoryReplSet.create({
    binary: { systemBinary: mongod.path },
    replSet: {
      count: 1,
      args: [
        '--wiredTigerCacheSizeGB=0.5',
        '--oplogSize=200',
        '--setParameter=diagnosticDataCollectionEnabled=false',
        '--setParameter=transactionLifetimeLimitSeconds=5',
      ],
    },
  });
  process.env.TEST_MONGODB_URI = replicaSet.getUri();
  globalThis.replicaSet = replicaSet;
  await build;
  const dist = fileURLToPath(new URL('../../dist/', import.meta.url));
  process.env.TEST_OPENAPI = `${dist}openapi.json`;
  await run(process.execPath, [`${dist}scripts/openapi.js`, process.env.TEST_OPENAPI]);
}
