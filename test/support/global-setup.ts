import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { MongoMemoryReplSet } from 'mongodb-memory-server-core';
import mongoose from 'mongoose';
import { findMongod } from '../../src/mongo/embedded/binary.ts';
import { BUILD } from './process.ts';

/** One replica set of one member for the whole run; each jest worker has a database of its own in it. */
export default async function setUp() {
  const mongod = await findMongod({ binary: process.env['MONGOD_BINARY'], say: console.log });
  Object.assign(process.env, mongod.env, { MONGOMS_SYSTEM_BINARY_VERSION_CHECK: 'false' });
  const described = Promise.all(['./', './sample/'].map((build) => describeApi(new URL(build, BUILD))));
  const replicaSet = await MongoMemoryReplSet.create({
    binary: { systemBinary: mongod.path },
    replSet: {
      count: 1,
      args: [
        '--wiredTigerCacheSizeGB=0.5',
        '--oplogSize=200',
        '--setParameter=diagnosticDataCollectionEnabled=false',
        '--setParameter=transactionLifetimeLimitSeconds=5',
        // For failCommand: see slowDown().
        '--setParameter=enableTestCommands=1',
      ],
    },
  });
  await limitImages(replicaSet.getUri());
  process.env['TEST_MONGODB_URI'] = replicaSet.getUri();
  (globalThis as { replicaSet?: MongoMemoryReplSet }).replicaSet = replicaSet;
  await described;
}

/** As docs/changes.md asks for; without it each server warns at its start. */
async function limitImages(uri: string): Promise<void> {
  const client = await mongoose.mongo.MongoClient.connect(uri);
  const changeStreamOptions = { preAndPostImages: { expireAfterSeconds: 3600 } };
  await client.db('admin').command({ setClusterParameter: { changeStreamOptions } });
  await client.close();
}

/** Writes the OpenAPI document of a compiled program beside it. */
export const describeApi = (build: URL) =>
  promisify(execFile)(
    process.execPath,
    ['scripts/openapi.js', 'openapi.json'].map((path) => fileURLToPath(new URL(path, build))),
  );
