/** Faults that leave the broker unharmed: rows run side by side, each in a vhost of its own behind a proxy of its own. */
import { startRabbitNode } from '../support/rabbitmq-node.ts';
import { backends } from './backends.ts';
import { mixed } from './mixed.ts';
import { network } from './network.ts';
import { processes } from './processes.ts';
import { suite } from './scenario.ts';

suite('with a broker that is well', [...network, ...processes, ...backends, ...mixed], {
  atOnce: true,
  open: startRabbitNode,
});
