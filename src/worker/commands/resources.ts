/** Commands that change what the worker works with: pool, queues, events. */
import { Exchange, Queue, type QueueOptions } from '../../amqp/index.ts';
import { ImproperlyConfigured } from '../../core/errors.ts';
import type { CommandHost, WorkerCommand } from './host.ts';

export const resourceCommands: Readonly<Record<string, WorkerCommand>> = {
  pool_grow: (host, { n }) => resize(host, 'pool_grow', whole(n, most(host))),
  pool_shrink: (host, { n }) => resize(host, 'pool_shrink', whole(n, most(host))),
  pool_restart: (host) => {
    if (!host.app.config.workerPoolRestarts) return { error: "ValueError('Pool restarts not enabled')" };
    const { log } = host.app.system;
    host.pool.restart().catch((error: unknown) => log.error({ err: error }, 'The pool could not be restarted'));
    return { ok: 'reload started' };
  },
  autoscale: (host, { max, min }) => {
    const { autoscaler } = host;
    if (autoscaler === undefined) return { error: "ValueError('Autoscale not enabled')" };
    const now = autoscaler.update(optional(max, most(host)), optional(min, most(host), 0));
    host.followPool();
    return { ok: `autoscale now max=${now.max} min=${now.min}` };
  },
  add_consumer: (host, args) => addConsumer(host, args),
  cancel_consumer: (host, { queue }) => {
    inBackground(host, host.consumer.cancelQueue(String(queue)));
    return { ok: `no longer consuming from ${String(queue)}` };
  },
  active_queues: ({ consumer }) => {
    const consumed = new Set(consumer.active);
    return consumer.queues.map((queue) => ({ ...queueInfo(queue), consuming: consumed.has(queue.name) }));
  },
  enable_events: ({ events }) =>
    events.addGroup('task') ? { ok: 'task events enabled' } : { ok: 'task events already enabled' },
  disable_events: ({ events }) =>
    events.sends('task') && events.dropGroup('task')
      ? { ok: 'task events disabled' }
      : { ok: 'task events already disabled' },
};

function resize(host: CommandHost, command: 'pool_grow' | 'pool_shrink', count: number): unknown {
  if (host.autoscaler !== undefined) {
    return { error: `${command} is not supported with autoscale. Adjust autoscale range instead.` };
  }
  if (command === 'pool_grow') host.pool.grow(count);
  else host.pool.shrink(count);
  host.followPool();
  return { ok: command === 'pool_grow' ? 'pool will grow' : 'pool will shrink' };
}

function addConsumer(host: CommandHost, args: Readonly<Record<string, unknown>>): unknown {
  const name = String(args.queue);
  const known = host.app.router.queues.find(name);
  const queue = known ?? asked(name, args);
  inBackground(host, host.consumer.addQueue(queue));
  return { ok: `add consumer ${name}` };
}

function asked(name: string, args: Readonly<Record<string, unknown>>): Queue {
  const text = (value: unknown, otherwise: string): string =>
    typeof value === 'string' && value !== '' ? value : otherwise;
  const options: QueueOptions = {
    exchange: new Exchange(text(args.exchange, name), { type: exchangeType(text(args.exchange_type, 'direct')) }),
    routingKey: text(args.routing_key, name),
  };
  const queueArguments = args.queue_arguments;
  if (typeof queueArguments === 'object' && queueArguments !== null) {
    options.queueArguments = queueArguments as NonNullable<QueueOptions['queueArguments']>;
  }
  return new Queue(name, options);
}

/** The broker answers an unknown type by closing the connection, so it is not asked. Those of plugins begin with `x-`. */
function exchangeType(type: string): string {
  if (/^(?:direct|topic|fanout|headers|x-[\w-]+)$/.test(type)) return type;
  throw new ImproperlyConfigured(`No exchange has the type '${type}'; there are direct, topic, fanout and headers.`);
}

/** Consuming takes effect when the broker has answered; the command has been answered before. */
function inBackground({ app }: CommandHost, work: Promise<unknown>): void {
  work.catch((error: unknown) => app.system.log.error({ err: error }, 'A queue could not be added or left'));
}

function queueInfo(queue: Queue): Record<string, unknown> {
  const { exchange } = queue;
  return {
    name: queue.name,
    exchange: {
      name: exchange.name,
      type: exchange.type,
      arguments: emptyAsNull(exchange.arguments),
      durable: exchange.durable,
      passive: exchange.passive,
      auto_delete: exchange.autoDelete,
      delivery_mode: exchange.deliveryMode ?? null,
      no_declare: exchange.noDeclare,
    },
    routing_key: queue.routingKey,
    queue_arguments: emptyAsNull(queue.queueArguments),
    binding_arguments: emptyAsNull(queue.bindingArguments),
    consumer_arguments: emptyAsNull(queue.consumerArguments),
    durable: queue.durable,
    exclusive: queue.exclusive,
    auto_delete: queue.autoDelete,
    no_ack: queue.noAck,
    alias: queue.alias ?? null,
    bindings: moreBindings(queue),
    no_declare: queue.noDeclare ? true : null,
    expires: queue.expires ?? null,
    message_ttl: queue.messageTtl ?? null,
    max_length: queue.maxLength ?? null,
    max_length_bytes: queue.maxLengthBytes ?? null,
    max_priority: queue.maxPriority ?? null,
  };
}

/** Those beside the first one, which `exchange` and `routing_key` name. */
function moreBindings({ bindings, exchange, routingKey }: Queue): Record<string, unknown>[] {
  return bindings
    .filter((each) => each.exchange.name !== exchange.name || each.routingKey !== routingKey)
    .map((each) => ({ exchange: each.exchange.name, routing_key: each.routingKey }));
}

function emptyAsNull(table: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> | null {
  return Object.keys(table).length === 0 ? null : table;
}

/** How many a pool may be told to have: a number that was mistyped should not end the machine. */
function most({ pool }: CommandHost): number {
  return pool.name === 'prefork' || pool.name === 'threads' ? 1_000 : 100_000;
}

function whole(value: unknown, most: number, least = 1): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new ImproperlyConfigured(`The number should be a whole one from ${least} to ${most}.`);
}

function optional(value: unknown, most: number, least = 1): number | undefined {
  return value === null || value === undefined ? undefined : whole(value, most, least);
}
