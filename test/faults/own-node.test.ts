/** Faults of the broker itself: one after the other. */
import { startRabbitNode } from '../support/rabbitmq-node.ts';
import { brokers } from './brokers.ts';
import { mixedBrokers } from './mixed.ts';
import { nemesis } from './nemesis-row.ts';
import { suite } from './scenario.ts';

suite('with a broker that is not well', [...brokers, ...mixedBrokers, nemesis], {
  atOnce: false,
  open: startRabbitNode,
});
