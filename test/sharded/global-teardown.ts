import type { Cluster } from './cluster.ts';

export default async function tearDown() {
  await (globalThis as { cluster?: Cluster }).cluster?.stop();
}
