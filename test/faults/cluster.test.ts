/** A cluster of three nodes that lose one (the full tier). Where HAProxy is missing, its row says that it was not run. */
import { describe, it } from 'vitest';
import { haproxyIsInstalled, startRabbitCluster } from '../support/rabbitmq-cluster.ts';
import { cluster } from './cluster.ts';
import { isFull, suite } from './scenario.ts';

if (isFull) suite('with a cluster of three', cluster, { atOnce: false, open: startRabbitCluster, queueType: 'quorum' });
const why = isFull ? 'haproxy is not installed' : 'the full tier has it';
if (!isFull || !haproxyIsInstalled) {
  describe('not run', () => it.skip(`node of the worker killed, behind HAProxy: ${why}`));
}
