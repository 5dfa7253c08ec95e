/**
 * Celery's own levels for delayed messages (celery-protocol.md section 18), declared beside ours so that tasks which
 * its clients delay arrive: `celery_delayed_27 … 0`, then `celery_delayed_delivery`, which every exchange that is not
 * direct is bound to. Pure: topology as values. We publish to our own levels, which reach direct exchanges too.
 */
import { Exchange, Queue } from './topology.ts';

const levels = 28;
const last = 'celery_delayed_delivery';

/** The levels, from the longest to the last exchange. */
export function celeryDelayLevels(queueType: 'classic' | 'quorum'): readonly Queue[] {
  const exchanges = levelExchanges();
  return exchanges.slice(0, levels).map((exchange, index) => {
    const level = levels - 1 - index;
    return new Queue(exchange.name, {
      exchange,
      routingKey: `${'*.'.repeat(index)}1.#`,
      deadLetterExchange: exchanges[index + 1] ?? exchange,
      queueArguments: {
        'x-queue-type': queueType,
        'x-overflow': 'reject-publish',
        'x-message-ttl': 2 ** level * 1000,
        ...(queueType === 'quorum' ? { 'x-dead-letter-strategy': 'at-least-once' } : {}),
      },
    });
  });
}

/** A copy of a queue that Celery's levels reach; undefined for one behind a direct exchange, which they cannot. */
export function reachableByCelery(queue: Queue): Queue | undefined {
  const { exchange, routingKey } = queue;
  if (exchange.isDefault || exchange.type === 'direct') return undefined;
  const key = `#.${routingKey}`;
  const source = levelExchanges().at(-1) ?? new Exchange(last, { type: 'topic' });
  const own = exchange.with({ bindings: [...exchange.bindings, { exchange: source, routingKey: key }] });
  const others = queue.bindings.filter((one) => one.exchange !== exchange || one.routingKey !== routingKey);
  return queue.with({ exchange: own, routingKey, bindings: [...others, { exchange: own, routingKey: key }] });
}

/** True for a message that came through Celery's levels: its routing key is then 28 bits and the key it was sent with. */
export function isDelayedByCelery(exchange: string, routingKey: string): boolean {
  return /(?:^|_)celery_delayed_(?:\d+|delivery)$/.test(exchange) && /^(?:[01]\.){28}/.test(routingKey);
}

function levelExchanges(): readonly Exchange[] {
  const made: Exchange[] = [];
  for (let index = 0; index <= levels; index += 1) {
    const before = made[index - 1];
    const name = index === levels ? last : `celery_delayed_${levels - 1 - index}`;
    const bindings = before === undefined ? [] : [{ exchange: before, routingKey: `${'*.'.repeat(index - 1)}0.#` }];
    made.push(new Exchange(name, { type: 'topic', bindings }));
  }
  return made;
}
