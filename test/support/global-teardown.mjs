export default async function tearDown() {
  await globalThis.replicaSet.stop();
}
