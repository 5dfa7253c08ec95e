/**
 * Delays kept by the broker, in nobody's memory: 28 levels, level n a queue whose messages wait 2^n seconds and then
 * move on. A message enters at the top with its delay in binary at the front of its routing key; each level either
 * keeps it for its time (`1`) or passes it on at once (`0`). After the last one it reaches its own exchange or queue.
 *
 *   celery-ts.delay.27 ─0─▶ celery-ts.delay.26 ─▶ … ─▶ celery-ts.delay.0 ─▶ celery-ts.delay ─▶ the target
 *            └1▶ queue (2^27 s) ─dead-letters─▶┘
 *
 * Pure: names, keys and topology as values. Celery's own levels (`celery_delayed_*`) cannot reach direct exchanges,
 * so these stand beside them.
 */
import { Exchange, Queue } from './topology.ts';

const levels = 28;
const prefix = 'celery-ts.delay';

/** The longest delay in seconds: 2^28 - 1, about eight and a half years. */
export const longestDelaySeconds = 2 ** levels - 1;

/** The exchange that delayed messages are published to. */
export const delayExchange = `${prefix}.${levels - 1}`;

/** Where a message is to be after its delay. The default exchange is empty. */
export interface DelayTarget {
  readonly exchange: string;
  readonly routingKey: string;
}

/**
 * The routing key that delays a message by `seconds` (a whole number from 1 to `longestDelaySeconds`), and the header
 * `CC` by which its target finds its own key again. Undefined when the key would be longer than AMQP's 255 bytes.
 */
export function delayKey(
  seconds: number,
  target: DelayTarget,
): { routingKey: string; cc: readonly string[] } | undefined {
  const bits = seconds.toString(2).padStart(levels, '0').split('').join('.');
  const { exchange, routingKey } = target;
  const rest = exchange === '' ? `q.${word(routingKey)}` : `x.${word(exchange)}.${routingKey}`;
  const whole = `${bits}.${rest}`;
  if (Buffer.byteLength(whole) > 255) return undefined;
  return { routingKey: whole, cc: exchange === '' ? [] : [routingKey] };
}

/** The target of a delayed message, read off its routing key; undefined for any other message. */
export function delayTarget(exchange: string, routingKey: string): DelayTarget | undefined {
  if (!exchange.startsWith(prefix)) return undefined;
  const found = /^(?:[01]\.){28}(?:q\.([^.]*)|x\.([^.]*)\.(.*))$/s.exec(routingKey);
  if (found === null) return undefined;
  const [, queue, target, key] = found;
  return queue === undefined
    ? { exchange: unword(target ?? ''), routingKey: key ?? '' }
    : { exchange: '', routingKey: unword(queue) };
}

/** The levels, from the longest to the last exchange: to be declared before anything is delayed. */
export function delayLevels(queueType: 'classic' | 'quorum'): readonly Queue[] {
  const exchanges = levelExchanges();
  return exchanges.slice(0, levels).map((exchange, index) => {
    const level = levels - 1 - index;
    return new Queue(exchange.name, {
      exchange,
      routingKey: `${any(index)}1.#`,
      deadLetterExchange: exchanges[index + 1] ?? exchange,
      queueArguments: {
        'x-queue-type': queueType,
        'x-message-ttl': 2 ** level * 1000,
        // Full is refused, not dropped; a quorum queue hands over only what the next level has taken.
        'x-overflow': 'reject-publish',
        ...(queueType === 'quorum' ? { 'x-dead-letter-strategy': 'at-least-once' } : {}),
      },
    });
  });
}

/** A copy of a queue that the levels reach: through its exchange, or by its name where that is the default exchange. */
export function reachable(queue: Queue, target: DelayTarget): Queue {
  const last = levelExchanges().at(-1) ?? new Exchange(prefix, { type: 'topic' });
  if (target.exchange === '') {
    const own = { exchange: last, routingKey: `${any(levels)}q.${word(queue.name)}` };
    return queue.with({ exchange: queue.exchange, routingKey: queue.routingKey, bindings: [...rest(queue), own] });
  }
  const { exchange } = queue;
  const own = { exchange: last, routingKey: `${any(levels)}x.${word(target.exchange)}.#` };
  return queue.with({
    exchange: exchange.with({ bindings: [...exchange.bindings, own] }),
    routingKey: queue.routingKey,
    bindings: rest(queue),
  });
}

/** The bindings beside the first one. */
function rest(queue: Queue): Queue['bindings'] {
  return queue.bindings.filter(
    ({ exchange, routingKey }) => exchange !== queue.exchange || routingKey !== queue.routingKey,
  );
}

/** Each takes from the one before it what need not wait there. */
function levelExchanges(): readonly Exchange[] {
  const made: Exchange[] = [];
  for (let index = 0; index <= levels; index += 1) {
    const before = made[index - 1];
    const name = index === levels ? prefix : `${prefix}.${levels - 1 - index}`;
    const bindings = before === undefined ? [] : [{ exchange: before, routingKey: `${any(index - 1)}0.#` }];
    made.push(new Exchange(name, { type: 'topic', bindings }));
  }
  return made;
}

function any(words: number): string {
  return '*.'.repeat(words);
}

/** A name as one word of a routing key: no dots, and nothing that a binding would take for a wildcard. */
function word(name: string): string {
  return name.replace(/[%.*#]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`);
}

function unword(text: string): string {
  return text.replace(/%([0-9A-F]{2})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
}
