/** A cluster of three nodes that lose one (the full tier). Where HAProxy is missing, its row says that it was not run. */
import { describe, it } from 'vitest';
import { haproxyIsInstalled, startRabbitCluster } from '../support/rabbitmq-cluster.ts';
import { cluster } from './cluster.ts';
import { isFull, suite } from './scenario.ts';

if (isFull) suite('with a cluster of three', cluster, { atOnce: false, open: startRabbitCluster, queueType: 'quorum' });
describe.skipIf(isFull && haproxyIsInstalled)('not run', () => {
  it.skip(isFull ? 'node of the worker killed, behind HAProxy: haproxy is not installed' : 'a cluster: full tier only');
});
