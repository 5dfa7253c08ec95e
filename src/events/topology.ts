/** The exchange of events and the queue of a receiver, declared with the flags Celery declares them with (section 3). */
import { Exchange, Queue } from '../amqp/index.ts';

/** `eventExchange`'s default. */
export const eventExchange = 'celeryev';

export interface EventQueueOptions {
  /** Default: `celeryev`. */
  readonly exchange?: string | undefined;
  /** `eventQueuePrefix`. Default: `celeryev`. */
  readonly queuePrefix?: string | undefined;
  /** `eventQueueTtl`: seconds an event waits for a slow receiver. Default: 5. */
  readonly queueTtl?: number | undefined;
  /** `eventQueueExpires`: seconds the queue outlives its receiver. Default: 60. */
  readonly queueExpires?: number | undefined;
  /** `eventQueueExclusive`. Default: true. */
  readonly queueExclusive?: boolean | undefined;
  /** `eventQueueDurable`. Default: false. */
  readonly queueDurable?: boolean | undefined;
  /** `#` for everything, `worker.#` for what workers say of themselves. Default: `#`. */
  readonly routingKey?: string | undefined;
}

/** What a sender declares: the exchange and no queue. */
export function eventExchangeOnly(name: string): Queue {
  return new Queue(`exchange ${name}`, { exchange: new Exchange(name, { type: 'topic' }), noDeclare: true });
}

/** The queue of one receiver. `id` makes its name unique. */
export function eventQueue(id: string, options: EventQueueOptions = {}): Queue {
  return new Queue(`${options.queuePrefix ?? 'celeryev'}.${id}`, {
    exchange: new Exchange(options.exchange ?? eventExchange, { type: 'topic' }),
    routingKey: options.routingKey ?? '#',
    durable: options.queueDurable ?? false,
    exclusive: options.queueExclusive ?? true,
    autoDelete: true,
    noAck: true,
    messageTtl: options.queueTtl ?? 5,
    expires: options.queueExpires ?? 60,
  });
}
