/**
 * The broker's delay levels as an app uses them: declared once a connection, each target bound to them before the
 * first message is delayed.
 */
import { type DelayTarget, delayLevels, Exchange, type Publisher, Queue, reachable } from '../amqp/index.ts';

export class Delays {
  readonly #queueType: () => 'classic' | 'quorum';
  /** One object for each queue, by which the publisher knows what it has declared. */
  #levels: readonly Queue[] | undefined;
  readonly #targets = new Map<string, Queue>();

  constructor(queueType: () => 'classic' | 'quorum') {
    this.#queueType = queueType;
  }

  /** Makes sure that a message to `target` arrives there after its delay. `queue`: the app's queue it is meant for. */
  async declare(
    publisher: Publisher,
    target: DelayTarget,
    queue: Queue | undefined,
    timeoutSeconds: number,
  ): Promise<void> {
    this.#levels ??= delayLevels(this.#queueType());
    const key = JSON.stringify([target.exchange, target.exchange === '' ? target.routingKey : queue?.name]);
    const end = this.#targets.get(key) ?? endOf(target, queue);
    this.#targets.set(key, end);
    const missing = [...this.#levels, end].filter((one) => !publisher.isDeclared(one));
    if (missing.length > 0) await publisher.declare(missing, timeoutSeconds);
  }
}

function endOf(target: DelayTarget, queue: Queue | undefined): Queue {
  if (queue !== undefined) return reachable(queue, target);
  // A queue that is not the app's, a dead-letter queue say: it must be there, and is only bound.
  if (target.exchange === '') return reachable(new Queue(target.routingKey, { passive: true }), target);
  // An exchange that the caller named: it must be there, and is only bound to the levels.
  const exchange = new Exchange(target.exchange, { passive: true });
  const carrier = new Queue(target.exchange, { exchange, noDeclare: true });
  return reachable(carrier, target);
}
