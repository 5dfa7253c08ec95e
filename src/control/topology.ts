/** Exchanges and queues of remote control, with the flags Celery declares them with (celery-protocol.md section 3). */
import { Exchange, Queue } from '../amqp/index.ts';

export interface ControlTopologyOptions {
  /** `controlExchange`. Default: `celery`, which gives `celery.pidbox` and `reply.celery.pidbox`. */
  readonly namespace?: string | undefined;
  /** `controlQueueTtl`: seconds a message waits in a queue. Default: 300. */
  readonly queueTtl?: number | undefined;
  /** `controlQueueExpires`: seconds a queue outlives its owner. Default: 10. */
  readonly queueExpires?: number | undefined;
  /** `controlQueueExclusive`. Default: true. */
  readonly queueExclusive?: boolean | undefined;
  /** `controlQueueDurable`. Default: false. */
  readonly queueDurable?: boolean | undefined;
}

/** Every request goes here, and from here to every worker. Not durable: another flag is refused by the broker. */
export function requestExchange({ namespace = 'celery' }: ControlTopologyOptions): Exchange {
  return new Exchange(`${namespace}.pidbox`, { type: 'fanout', durable: false });
}

/** Where answers go. Not durable either. */
export function replyExchange({ namespace = 'celery' }: ControlTopologyOptions): Exchange {
  return new Exchange(`reply.${namespace}.pidbox`, { type: 'direct', durable: false });
}

/** What a sender declares: an exchange and no queue. */
export function exchangeOnly(exchange: Exchange): Queue {
  return new Queue(`exchange ${exchange.name}`, { exchange, noDeclare: true });
}

/** The queue of one worker. `suffix` makes a fresh name when the old one is still locked by a dead connection. */
export function nodeQueue(node: string, options: ControlTopologyOptions, suffix = ''): Queue {
  const exchange = requestExchange(options);
  return new Queue(`${node}.${exchange.name}${suffix}`, { exchange, routingKey: '', ...flags(options) });
}

/** The queue of one client. `oid` is its name at the reply exchange. */
export function replyQueue(oid: string, options: ControlTopologyOptions, suffix = ''): Queue {
  const exchange = replyExchange(options);
  return new Queue(`${oid}.${exchange.name}${suffix}`, { exchange, routingKey: oid, ...flags(options) });
}

function flags(options: ControlTopologyOptions): ConstructorParameters<typeof Queue>[1] {
  const durable = options.queueDurable ?? false;
  return {
    durable,
    exclusive: options.queueExclusive ?? true,
    autoDelete: !durable,
    noAck: true,
    messageTtl: options.queueTtl ?? 300,
    expires: options.queueExpires ?? 10,
  };
}
