import type { MongoMemoryReplSet } from 'mongodb-memory-server-core';

export default async function tearDown() {
  await (globalThis as { replicaSet?: MongoMemoryReplSet }).replicaSet?.stop();
}
