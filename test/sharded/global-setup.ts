import { describeApi } from '../support/global-setup.ts';
import { BUILD } from '../support/process.ts';
import { type Cluster, startCluster } from './cluster.ts';

/** One cluster for the run. It has a single worker, which is this process: the tests find the cluster here. */
export default async function setUp() {
  const [cluster] = await Promise.all([startCluster(27_410), describeApi(new URL('./sample/', BUILD))]);
  process.env['TEST_MONGODB_URI'] = cluster.uri;
  (globalThis as { cluster?: Cluster }).cluster = cluster;
}
